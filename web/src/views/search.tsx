// What was said, found: the best first, each with the words around it.
import { useEffect, useState } from 'preact/hooks';
import { get } from '../api/client';
import { useLoad, useNow } from '../api/hooks';
import type { Hit } from '../api/types';
import { go, set, to } from '../router';
import { names } from '../session/entry';
import { Empty, Failed, Loading } from '../ui/bits';
import { ago, count } from '../ui/format';

const PAGE = 50;
const speakers = ['user', 'assistant', 'thinking', 'tool', 'system'];

export function Search({ query }: { query: URLSearchParams }) {
  const q = query.get('q') ?? '';
  const filter = { q, speaker: query.getAll('speaker'), session: query.get('session') };
  const key = JSON.stringify(filter);
  const [pages, setPages] = useState(1);
  const now = useNow(30_000);
  useEffect(() => setPages(1), [key]);
  const { data, error, loading, reload } = useLoad(q ? `${key} ${pages}` : null, (signal) => get<{ hits: Hit[]; next: number | null }>('/v1/search', { ...filter, limit: PAGE * pages }, signal), { keep: key });
  const keys = (event: KeyboardEvent) => {
    const step = event.key === 'j' || event.key === 'ArrowDown' ? 1 : event.key === 'k' || event.key === 'ArrowUp' ? -1 : 0;
    if (!step || event.metaKey || event.ctrlKey) return;
    const links = [...(event.currentTarget as Element).querySelectorAll<HTMLElement>('a.hit')];
    const at = links.indexOf(document.activeElement as HTMLElement);
    links[Math.min(links.length - 1, Math.max(0, at + step))]?.focus();
    event.preventDefault();
  };
  return (
    <section class="view" aria-labelledby="title" onKeyDown={keys}>
      <header class="view-head">
        <h1 id="title">{q ? <>Results for “{q}”</> : 'Search'}</h1>
        {data && <span class="dim">{data.next ? `${count(data.hits.length, 'event')} and more` : count(data.hits.length, 'event')}</span>}
      </header>
      {q && (
        <div class="filters" role="group" aria-label="Filters">
          <select class="input" aria-label="Who says it" value={query.get('speaker') ?? ''} onChange={(event) => set({ speaker: event.currentTarget.value })}>
            <option value="">Said by anybody</option>
            {speakers.map((who) => (
              <option key={who}>{who}</option>
            ))}
          </select>
          {filter.session && (
            <button class="chip" onClick={() => set({ session: null })}>
              only in {filter.session} ×
            </button>
          )}
        </div>
      )}
      {!q && (
        <Empty title="What are you looking for?" icon="search">
          Words, “whole phrases”, beginnings*, and -what must not be there. Press <kbd>/</kbd> to begin.
        </Empty>
      )}
      {error !== null && <Failed error={error} again={reload} />}
      {q && !data && loading && !error && <Loading what="results" />}
      {q && data?.hits.length === 0 && (
        <Empty title="Nothing found" icon="search">
          Nobody said that. Try fewer words, or only their beginning: <code>{q.split(/\s+/)[0]?.slice(0, 12)}*</code>
        </Empty>
      )}
      {q && data && data.hits.length > 0 && (
        <div class="scroll hits" tabIndex={-1}>
          <ol>
            {data.hits.map((hit) => (
              <li key={hit.address}>
                <a class="hit" href={to.address(hit.address)}>
                  <span class="hit-head">
                    <b>{hit.speaker ? names[hit.speaker] : (hit.event?.type ?? 'event')}</b>
                    <span class="mono">{hit.address}</span>
                    {hit.event && <time dateTime={hit.event.time}>{ago(hit.event.time, now)}</time>}
                  </span>
                  <span class="hit-text">{marked(hit)}</span>
                </a>
                <button class="link" onClick={() => go(`/search?${new URLSearchParams({ q, session: sessionOf(hit) })}`)}>
                  only this session
                </button>
              </li>
            ))}
          </ol>
          {data.next !== null && (
            <button class="button" onClick={() => setPages(pages + 1)}>
              Show more
            </button>
          )}
        </div>
      )}
    </section>
  );
}

function sessionOf(hit: Hit): string {
  return hit.event?.session ?? hit.address.replace(/\/[^/]*$/, '');
}

/** The marks count bytes of UTF-8. */
function marked(hit: Hit) {
  const bytes = new TextEncoder().encode(hit.snippet);
  const text = (from: number, to: number) => new TextDecoder().decode(bytes.subarray(from, to));
  const pieces = [];
  let end = 0;
  for (const [from, to] of hit.marks) {
    pieces.push(text(end, from), <mark key={from}>{text(from, to)}</mark>);
    end = to;
  }
  pieces.push(text(end, bytes.length));
  return pieces;
}
