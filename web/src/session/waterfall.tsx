// What was in which phase, from when to when: a row for each task and tool, below what it is part of.
import { useMemo, useState } from 'preact/hooks';
import { get, path } from '../api/client';
import { useLoad } from '../api/hooks';
import type { Entity, RecordedEvent, Timeline } from '../api/types';
import { Empty, Failed, Loading } from '../ui/bits';
import { clock, span } from '../ui/format';
import { Rows } from '../ui/rows';

const ROW = 30;
const TICKS = 5;

interface Row {
  entity: Entity;
  depth: number;
  from: number;
  to: number;
}

/** Each entity below its parent, in the order in which they began. */
function rowsOf(entities: Entity[]): Row[] {
  const key = (of: { kind: string; id: string }) => `${of.kind}\n${of.id}`;
  const known = new Set(entities.map(key));
  const children = new Map<string, Entity[]>();
  for (const entity of entities) {
    const parent = entity.parent && known.has(key(entity.parent)) && key(entity.parent) !== key(entity) ? key(entity.parent) : '';
    children.set(parent, [...(children.get(parent) ?? []), entity]);
  }
  const rows: Row[] = [];
  const seen = new Set<Entity>();
  const add = (entity: Entity, depth: number) => {
    if (seen.has(entity)) return;
    seen.add(entity);
    const times = entity.spans.flatMap((one) => [Date.parse(one.from), Date.parse(one.to)]);
    rows.push({ entity, depth, from: Math.min(...times), to: Math.max(...times) });
    (children.get(key(entity)) ?? []).forEach((child) => add(child, depth + 1));
  };
  (children.get('') ?? []).forEach((entity) => add(entity, 0));
  return rows;
}

interface Props {
  session: string;
  branch: string;
  head: number;
  time: string | null;
  select: (sequence: number) => void;
}

export function Waterfall({ session, branch, head, time, select }: Props) {
  const [selected, setSelected] = useState(-1);
  const { data, error, reload } = useLoad(`${session}/${branch} ${head}`, (signal) => get<Timeline>(`${path.branch(session, branch)}/timeline`, {}, signal), { keep: `${session}/${branch}` });
  const rows = useMemo(() => rowsOf(data?.entities ?? []), [data]);
  if (error && !data) return <Failed error={error} again={reload} />;
  if (!data) return <Loading what="the timeline" />;
  if (!rows.length || !data.from || !data.to) return <Empty title="Nothing that lasts">Tasks, tools and runs are drawn here once events tell of them.</Empty>;
  const [from, to] = [Date.parse(data.from), Date.parse(data.to)];
  const whole = Math.max(1, to - from);
  const percent = (at: number) => ((at - from) / whole) * 100;
  const open = async (at: number) => {
    const row = rows[at];
    if (!row) return;
    const since = row.entity.spans[0]?.from;
    const page = await get<{ events: RecordedEvent[] }>(`${path.branch(session, branch)}/events`, { since, limit: 1 }).catch(() => null);
    const [event] = page?.events ?? [];
    if (event) select(event.sequence);
  };
  const now = time ? percent(Date.parse(time)) : null;
  return (
    <div class="waterfall">
      <div class="waterfall-scale" aria-hidden="true">
        <span class="waterfall-name" />
        <span class="waterfall-area">
          {Array.from({ length: TICKS }, (_, tick) => (
            <i key={tick} style={{ left: `${(tick / TICKS) * 100}%` }}>
              {span((whole * tick) / TICKS)}
            </i>
          ))}
        </span>
        <span class="waterfall-span">{span(whole)}</span>
      </div>
      <Rows
        label="Timeline of tasks and tools"
        count={rows.length}
        height={ROW}
        selected={selected}
        select={setSelected}
        open={(at) => void open(at)}
        row={(at) => {
          const row = rows[at];
          return row && <Line row={row} percent={percent} now={now} />;
        }}
      />
    </div>
  );
}

function Line({ row, percent, now }: { row: Row; percent: (at: number) => number; now: number | null }) {
  const { entity } = row;
  const lasted = span(row.to - row.from);
  return (
    <div class="waterfall-row" title={`${entity.kind} ${entity.name ?? entity.id}: ${entity.end ?? 'not ended'}, ${lasted}, from ${clock(entity.spans[0]?.from ?? '')}`}>
      <span class="waterfall-name" style={{ paddingLeft: `${row.depth * 14}px` }}>
        <span class="dim">{entity.kind}</span> {entity.name ?? entity.id} {entity.detail && <code>{entity.detail}</code>}
      </span>
      <span class="waterfall-area" aria-hidden="true">
        {now !== null && now >= 0 && now <= 100 && <i class="waterfall-now" style={{ left: `${now}%` }} />}
        {entity.spans.map((one, at) => {
          const left = percent(Date.parse(one.from));
          return <i key={at} class={`span phase-${one.phase}`} style={{ left: `${left}%`, width: `max(3px, ${percent(Date.parse(one.to)) - left}%)` }} />;
        })}
        {(entity.end === 'failed' || entity.end === 'completed') && <i class={`span-end phase-${entity.end}`} style={{ left: `${percent(row.to)}%` }} />}
      </span>
      <span class="waterfall-span">
        <span class="visually-hidden">{entity.end ?? 'not ended'} after </span>
        {lasted}
      </span>
    </div>
  );
}
