// All sessions: status, progress and cost, filtered by what is in the address.
import { useEffect, useRef, useState } from 'preact/hooks';
import { get } from '../api/client';
import { useLoad, useNow, useSettled } from '../api/hooks';
import type { Card } from '../api/types';
import { go, set, to } from '../router';
import { Bar, Empty, Failed, Loading, Status } from '../ui/bits';
import { ago, amount, count, money } from '../ui/format';
import { Icon } from '../ui/icons';
import { Rows } from '../ui/rows';
import { SavedFilters } from './filters';

const PAGE = 200;
const ROW = 52;
const REFRESH_MS = 5_000;
const statuses = ['running', 'waiting', 'paused', 'completed', 'failed', 'stopped', 'cancelled', 'abandoned', 'created', 'none'];
const sorts: [string, string][] = [
  ['last', 'Last active'],
  ['tokens', 'Most tokens'],
  ['cost', 'Highest cost'],
  ['errors', 'Most errors'],
  ['events', 'Most events'],
  ['age', 'Oldest'],
  ['name', 'Name'],
];

interface Page {
  sessions: Card[];
  next: string | null;
}

function asked(query: URLSearchParams) {
  const text = query.get('title') ?? '';
  return {
    status: query.getAll('status'),
    label: query.getAll('label'),
    source: query.get('source'),
    since: query.get('since'),
    sort: query.get('sort'),
    title: text ? (/[*?]/.test(text) ? text : `*${text}*`) : null,
  };
}

export function Sessions({ query }: { query: URLSearchParams }) {
  const filter = asked(query);
  const key = JSON.stringify(filter);
  const now = useNow(5_000);
  const [pages, setPages] = useState(1);
  const [selected, setSelected] = useState(0);
  useEffect(() => (setPages(1), setSelected(0)), [key]);

  const { data, error, loading, reload } = useLoad(
    `${key} ${pages}`,
    async (signal) => {
      const sessions: Card[] = [];
      let next: string | null = null;
      for (let page = 0; page < pages; page++) {
        const got: Page = await get<Page>('/v1/sessions', { ...filter, limit: PAGE, after: next }, signal);
        sessions.push(...got.sessions);
        next = got.next;
        if (!next) break;
      }
      return { sessions, next };
    },
    { every: REFRESH_MS, keep: key },
  );
  const isFiltered = [...query.keys()].some((name) => name !== 'sort');
  const cards = data?.sessions ?? [];
  const open = (at: number) => {
    const card = cards[at];
    if (card) go(to.branch(card.session, card.current));
  };

  return (
    <section class="view" aria-labelledby="title">
      <header class="view-head">
        <h1 id="title">Sessions</h1>
        {data && <span class="dim">{data.next ? `${amount(cards.length)}+` : count(cards.length, 'session')}</span>}
      </header>
      <Filters query={query} />
      {error !== null && <Failed error={error} again={reload} />}
      {!data && loading && <Loading what="sessions" />}
      {data && cards.length === 0 && (
        <Empty title={isFiltered ? 'No session matches' : 'No sessions yet'} icon="sessions">
          {isFiltered ? (
            <button class="link" onClick={() => go('/sessions')}>
              Clear the filters
            </button>
          ) : (
            <>
              Append an event, and it is here: <code>retold append run-1 step.done</code>
            </>
          )}
        </Empty>
      )}
      {data && cards.length > 0 && (
        <div class="table">
          <div class="session-row table-head" aria-hidden="true">
            <span>Session</span>
            <span>Status</span>
            <span>Progress</span>
            <span class="number">Events</span>
            <span class="number">Tokens</span>
            <span class="number">Cost</span>
            <span class="number">Last active</span>
          </div>
          <Rows
            label="Sessions"
            count={cards.length}
            height={ROW}
            selected={selected}
            select={setSelected}
            open={open}
            nearEnd={() => data.next && setPages((n) => n + 1)}
            row={(at) => cards[at] && <Row card={cards[at]} now={now} />}
          />
        </div>
      )}
    </section>
  );
}

function Row({ card, now }: { card: Card; now: number }) {
  const isLive = card.status === 'running';
  const labels = Object.entries(card.labels);
  return (
    <div class="session-row">
      <span class="session-name">
        <span class="session-title">
          <b>{card.title ?? card.session}</b>
          {labels.slice(0, 3).map(([key, value]) => (
            <span class="label" key={key}>
              {value ? `${key}: ${value}` : key}
            </span>
          ))}
          {labels.length > 3 && <span class="label">+{labels.length - 3}</span>}
        </span>
        <span class="session-id">
          {card.session}
          {card.current !== 'main' && ` / ${card.current}`}
          {card.branches > 1 && ` · ${count(card.branches, 'branch', 'branches')}`}
          {card.why && (
            <>
              {' · '}
              <span class={card.status === 'failed' ? 'bad' : ''}>{card.why}</span>
            </>
          )}
        </span>
      </span>
      <span>
        <Status of={card.status} live={isLive} />
      </span>
      <span class="session-progress">{card.progress !== null && <Bar of={card.progress} label="Progress" />}</span>
      <span class="number">
        {amount(card.events)}
        {card.errors > 0 && <em class="bad">{count(card.errors, 'error')}</em>}
      </span>
      <span class="number">{card.tokens ? amount(Math.round(card.tokens)) : '–'}</span>
      <span class="number">{card.cost_usd ? money(card.cost_usd) : '–'}</span>
      <span class="number dim">
        <time dateTime={card.last_occurred ?? ''}>{ago(card.last_occurred ?? card.last, now)}</time>
      </span>
    </div>
  );
}

function Filters({ query }: { query: URLSearchParams }) {
  const [title, setTitle] = useState(query.get('title') ?? '');
  const [label, setLabel] = useState('');
  const settled = useSettled(title, 250);
  const mine = useRef(query.get('title') ?? '');
  const there = query.get('title') ?? '';
  useEffect(() => {
    if (there !== mine.current) (mine.current = there), setTitle(there);
  }, [there]);
  useEffect(() => {
    if (settled !== mine.current) (mine.current = settled), set({ title: settled });
  }, [settled]);
  const chosen = query.getAll('status');
  const labels = query.getAll('label');
  const change = (name: string, values: string[]) => {
    const next = new URLSearchParams(query);
    next.delete(name);
    values.forEach((value) => next.append(name, value));
    go(`/sessions${next.size ? `?${next}` : ''}`, { replace: true });
  };
  const addLabel = (event: Event) => {
    event.preventDefault();
    if (label.trim()) change('label', [...labels, label.trim()]);
    setLabel('');
  };
  return (
    <div class="filters" role="group" aria-label="Filters">
      <input class="input" type="search" aria-label="Title contains" placeholder="Title contains…" value={title} onInput={(event) => setTitle(event.currentTarget.value)} />
      <select class="input" aria-label="Status" value={chosen.length === 1 ? chosen[0] : chosen.length ? 'several' : ''} onChange={(event) => change('status', event.currentTarget.value ? [event.currentTarget.value] : [])}>
        <option value="">Any status</option>
        {chosen.length > 1 && <option value="several">{chosen.join(', ')}</option>}
        {statuses.map((status) => (
          <option key={status} value={status}>
            {status}
          </option>
        ))}
      </select>
      <form onSubmit={addLabel}>
        <input class="input" aria-label="Label, as key or key=value" placeholder="Label…" value={label} onInput={(event) => setLabel(event.currentTarget.value)} />
      </form>
      {labels.map((one) => (
        <button key={one} class="chip" aria-label={`Remove the label ${one}`} onClick={() => change('label', labels.filter((other) => other !== one))}>
          {one} <Icon name="close" />
        </button>
      ))}
      <select class="input" aria-label="Sort by" value={query.get('sort') ?? 'last'} onChange={(event) => set({ sort: event.currentTarget.value === 'last' ? null : event.currentTarget.value })}>
        {sorts.map(([value, name]) => (
          <option key={value} value={value}>
            {name}
          </option>
        ))}
      </select>
      <SavedFilters query={query} />
    </div>
  );
}
