// Two branches side by side, from the event at which they part, and how their states differ.
import { useEffect, useMemo, useState } from 'preact/hooks';
import { get, path } from '../api/client';
import { useLoad } from '../api/hooks';
import type { Branch, Comparison, Described, Entry, Pair } from '../api/types';
import { go, set, to } from '../router';
import { toneOf, names } from '../session/entry';
import { Empty, Failed, Loading } from '../ui/bits';
import { count, sequenceOf } from '../ui/format';
import { Rows } from '../ui/rows';
import { differences } from './differences';

const PAGE = 500;
const MOST = 5_000;
const ROW = 58;

interface Side {
  session: string;
  branch: string;
}

function sideOf(text: string | null): Side | null {
  const of = text?.replace(/@\d+$/, '') ?? '';
  const cut = of.lastIndexOf('/');
  return cut > 0 ? { session: of.slice(0, cut), branch: of.slice(cut + 1) } : null;
}

interface Compared {
  of: Comparison;
  pairs: Pair[];
  entries: [Map<number, Entry>, Map<number, Entry>];
  more: boolean;
}

async function compared(left: Side, right: Side, signal: AbortSignal): Promise<Compared> {
  const query = { left: `${left.session}/${left.branch}`, right: `${right.session}/${right.branch}`, limit: PAGE };
  const of = await get<Comparison>('/v1/diff', query, signal);
  const pairs = [...of.pairs];
  let { next } = of;
  while (next !== null && pairs.length < MOST) {
    const page: Comparison = await get<Comparison>('/v1/diff', { ...query, from: next }, signal);
    pairs.push(...page.pairs);
    next = page.next;
  }
  const until = pairs.at(-1)?.sequence ?? 0;
  const entries = await Promise.all([left, right].map((side) => entriesOf(side, of.common + 1, until, signal)));
  return { of, pairs: pairs.filter((pair) => pair.sequence > of.common), entries: entries as Compared['entries'], more: next !== null };
}

async function entriesOf(side: Side, from: number, to: number, signal: AbortSignal): Promise<Map<number, Entry>> {
  const found = new Map<number, Entry>();
  let next: number | null = from;
  while (next !== null && next <= to) {
    const page: { entries: Entry[]; next: number | null } = await get(`${path.branch(side.session, side.branch)}/show`, { events: true, from: next, limit: PAGE }, signal);
    for (const entry of page.entries) found.set(sequenceOf(entry.event), entry);
    next = page.next !== null && page.next > next ? page.next : null;
  }
  return found;
}

export function Compare({ query }: { query: URLSearchParams }) {
  const [left, right] = [sideOf(query.get('left')), sideOf(query.get('right'))];
  const key = left && right ? `${left.session}/${left.branch} ${right.session}/${right.branch}` : null;
  const { data, error, reload } = useLoad(key, (signal) => compared(left!, right!, signal));
  const branches = useLoad(left ? left.session : null, (signal) => get<{ branches: Branch[] }>(`${path.session(left!.session)}/branches`, { limit: 1000 }, signal));
  if (!left || !right) {
    return (
      <Empty title="Nothing to compare" icon="compare">
        Open a session, and choose Compare beside one of its branches.
      </Empty>
    );
  }
  const choose = (side: 'left' | 'right', branch: string) => set({ [side]: `${left.session}/${branch}` }, { replace: false });
  return (
    <section class="view compare" aria-labelledby="title">
      <header class="view-head">
        <div>
          <p class="crumbs">
            <a href="/sessions">Sessions</a> <span aria-hidden="true">/</span> <a href={to.session(left.session)}>{left.session}</a>
          </p>
          <h1 id="title">
            {left.branch} <span class="dim">and</span> {right.branch}
          </h1>
        </div>
        <div class="session-actions">
          {(['left', 'right'] as const).map((side) => (
            <select key={side} class="input" aria-label={`Branch on the ${side}`} value={side === 'left' ? left.branch : right.branch} onChange={(event) => choose(side, event.currentTarget.value)}>
              {(branches.data?.branches ?? [{ branch: side === 'left' ? left.branch : right.branch }]).map((one) => (
                <option key={one.branch}>{one.branch}</option>
              ))}
            </select>
          ))}
          <button class="button" onClick={() => go(to.compare(`${right.session}/${right.branch}`, `${left.session}/${left.branch}`))}>
            Swap
          </button>
        </div>
      </header>
      {error !== null && <Failed error={error} again={reload} />}
      {!data && !error && <Loading what="the comparison" />}
      {data && <Sides data={data} left={left} right={right} selected={Number(query.get('at')) || null} />}
    </section>
  );
}

function Sides({ data, left, right, selected }: { data: Compared; left: Side; right: Side; selected: number | null }) {
  const { of, pairs, entries } = data;
  const [all, setAll] = useState(true);
  const shown = useMemo(() => (all ? pairs : pairs.filter((pair) => !pair.alike)), [pairs, all]);
  const chosen = selected === null ? -1 : shown.findIndex((pair) => pair.sequence === selected);
  return (
    <div class="compare-main">
      <StateDifference data={data} left={left} right={right} />
      <div class="compare-pairs">
        <p class="compare-fork">
          <span>
            {of.common === 0 ? 'Nothing in common' : `Events 1 to ${of.common.toLocaleString('en-US')} in common`}
            {of.common > 0 && (
              <>
                {' · '}
                <a href={to.branch(left.session, left.branch, of.common)}>the last before they part</a>
              </>
            )}
          </span>
          {pairs.some((pair) => pair.alike) && (
            <label class="check">
              <input type="checkbox" checked={!all} onChange={(event) => setAll(!event.currentTarget.checked)} />
              Only what differs
            </label>
          )}
        </p>
        <div class="pair-row table-head" aria-hidden="true">
          <span />
          <span>
            {left.branch} <span class="dim">{count(of.left.head - of.common, 'event')} after</span>
          </span>
          <span>
            {right.branch} <span class="dim">{count(of.right.head - of.common, 'event')} after</span>
          </span>
        </div>
        {shown.length === 0 ? (
          <Empty title="They say the same" icon="compare">
            Neither has an event that the other does not have.
          </Empty>
        ) : (
          <Rows
            label="Pairs of events"
            count={shown.length}
            height={ROW}
            selected={chosen}
            select={(at) => set({ at: String(shown[at]?.sequence ?? '') })}
            row={(at) => {
              const pair = shown[at];
              return (
                pair && (
                  <div class={`pair-row${pair.alike ? ' is-alike' : ''}`}>
                    <span class="at">{pair.sequence}</span>
                    <Cell entry={entries[0].get(pair.sequence)} side="left" has={pair.left !== null} />
                    <Cell entry={entries[1].get(pair.sequence)} side="right" has={pair.right !== null} />
                  </div>
                )
              );
            }}
          />
        )}
        {data.more && <p class="dim">Only the first {count(pairs.length, 'pair')} are shown.</p>}
      </div>
    </div>
  );
}

function Cell({ entry, side, has }: { entry: Entry | undefined; side: string; has: boolean }) {
  if (!has) return <span class="pair-cell is-none">–</span>;
  const part = entry?.parts?.[0];
  const who = part ? (part.tool ?? names[part.speaker]) : null;
  return (
    <span class={`pair-cell pair-${side}`}>
      <span class="pair-type">
        <i class={`dot tone-${entry ? toneOf(entry) : 'other'}`} aria-hidden="true" />
        {who && <b>{who}</b>} <span class="dim">{entry?.type}</span>
      </span>
      <span class="pair-text">{part?.text || entry?.summary}</span>
    </span>
  );
}

function StateDifference({ data, left, right }: { data: Compared; left: Side; right: Side }) {
  const [open, setOpen] = useState(true);
  const describe = (side: Side, signal: AbortSignal) => get<Described>(`${path.branch(side.session, side.branch)}/describe`, { events: 0 }, signal);
  const states = useLoad(`${left.branch} ${right.branch} ${data.of.left.head} ${data.of.right.head}`, (signal) => Promise.all([describe(left, signal), describe(right, signal)]));
  const rows = useMemo(() => (states.data ? differences(states.data[0], states.data[1]) : []), [states.data]);
  useEffect(() => setOpen(true), [left.branch, right.branch]);
  if (states.error) return <Failed error={states.error} again={states.reload} />;
  if (!states.data) return <Loading what="the states" />;
  return (
    <section class="card" aria-labelledby="difference">
      <header class="card-head">
        <h2 id="difference">State at the end</h2>
        <button class="button is-quiet" aria-expanded={open} onClick={() => setOpen(!open)}>
          {open ? 'Hide' : count(rows.length, 'difference')}
        </button>
      </header>
      {open && rows.length === 0 && <p class="dim card-text">The states are the same.</p>}
      {open && rows.length > 0 && (
        <div class="scroll" tabIndex={0} role="region" aria-label="Differences of the state">
          <table class="small-table difference">
            <thead>
              <tr>
                <th scope="col">What</th>
                <th scope="col">{left.branch}</th>
                <th scope="col">{right.branch}</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={row.what}>
                  <th scope="row">{row.what}</th>
                  <td class={row.left === null ? 'dim' : ''}>{row.left ?? '–'}</td>
                  <td class={row.right === null ? 'dim' : ''}>{row.right ?? '–'}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
