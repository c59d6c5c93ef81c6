// The types of the catalogue, and how often each was recorded.
import { useMemo } from 'preact/hooks';
import { useNow } from '../api/hooks';
import type { TypeCoverage } from '../api/types';
import { set } from '../router';
import { Bar } from '../ui/bits';
import { ago, count } from '../ui/format';
import { Listing, useListing } from './listing';

export function Types({ query }: { query: URLSearchParams }) {
  const loaded = useListing<TypeCoverage>('/v1/types', 'types', { coverage: true, limit: 1000 }, 30_000);
  const now = useNow(30_000);
  const domain = query.get('domain') ?? '';
  const which = query.get('which') ?? '';
  const all = loaded.data?.items ?? [];
  const domains = useMemo(() => {
    const found = new Map<string, { all: number; recorded: number }>();
    for (const type of all) {
      const of = found.get(type.domain ?? '') ?? { all: 0, recorded: 0 };
      of.all++;
      if (type.events > 0) of.recorded++;
      found.set(type.domain ?? '', of);
    }
    return [...found].sort((a, b) => b[1].recorded / b[1].all - a[1].recorded / a[1].all || a[0].localeCompare(b[0]));
  }, [all]);
  const items = all.filter((type) => (!domain || (type.domain ?? '') === domain) && (which !== 'recorded' || type.events > 0) && (which !== 'never' || type.events === 0) && (which !== 'unknown' || !type.known));
  const recorded = all.filter((type) => type.known && type.events > 0).length;
  const known = all.filter((type) => type.known).length;
  return (
    <Listing
      title="Types"
      one="type"
      icon="types"
      loaded={{ ...loaded, data: loaded.data && { items, more: false } }}
      keyOf={(one) => one.name}
      none="None matches."
      filters={
        <>
          {known > 0 && (
            <div class="coverage">
              <p>
                <b>
                  {recorded} of {known}
                </b>{' '}
                types of the catalogue were recorded
              </p>
              <ul>
                {domains.map(([name, of]) => (
                  <li key={name}>
                    <button class={`coverage-domain${name === domain ? ' is-on' : ''}`} aria-pressed={name === domain} onClick={() => set({ domain: name === domain ? null : name })}>
                      <span>{name || 'unknown'}</span>
                      <Bar of={of.recorded / of.all} label={`Coverage of ${name || 'unknown'}`} />
                      <span class="dim">
                        {of.recorded}/{of.all}
                      </span>
                    </button>
                  </li>
                ))}
              </ul>
            </div>
          )}
          <div class="filters" role="group" aria-label="Filters">
            <select class="input" aria-label="Which types" value={which} onChange={(event) => set({ which: event.currentTarget.value })}>
              <option value="">All types</option>
              <option value="recorded">Recorded</option>
              <option value="never">Never recorded</option>
              <option value="unknown">Not in the catalogue</option>
            </select>
          </div>
        </>
      }
      columns={[
        { name: 'Type', cell: (one) => <span class="type">{one.name}</span> },
        { name: 'Domain', cell: (one) => (one.known ? one.domain : <span class="warn">not in the catalogue</span>) },
        { name: 'Events', cell: (one) => (one.events ? count(one.events, 'event') : <span class="dim">never</span>), number: true },
        { name: 'First', cell: (one) => ago(one.first, now), number: true },
        { name: 'Last', cell: (one) => ago(one.last, now), number: true },
      ]}
    />
  );
}
