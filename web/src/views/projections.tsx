// Projections: how far behind each is, what it could not take in, and folding it anew.
import { useState } from 'preact/hooks';
import { send, told } from '../api/client';
import { useLoad } from '../api/hooks';
import { get } from '../api/client';
import type { Projection } from '../api/types';
import { to } from '../router';
import { Bar } from '../ui/bits';
import { Dialog } from '../ui/dialog';
import { count } from '../ui/format';
import { Lag, Listing, useListing } from './listing';

interface Progress {
  rebuild: { done: number; total: number; left_seconds: number | null } | null;
}

export function Projections({ query }: { query: URLSearchParams }) {
  const loaded = useListing<Projection>('/v1/projections', 'projections');
  const [asking, setAsking] = useState<Projection | null>(null);
  const [rebuilding, setRebuilding] = useState<string | null>(query.get('rebuild'));
  return (
    <>
      <Listing
        title="Projections"
        one="projection"
        icon="projections"
        loaded={loaded}
        keyOf={(one) => one.name}
        none="A projection is listed once a program, or retold state, has read it."
        columns={[
          { name: 'Projection', cell: (one) => <b>{one.name}</b> },
          { name: 'Scope', cell: (one) => one.scope ?? '–' },
          { name: 'Version', cell: (one) => (one.next_version !== null && one.next_version !== one.version ? `${one.version ?? '–'} → ${one.next_version}` : (one.version ?? '–')) },
          { name: 'Position', cell: (one) => one.position.toLocaleString('en-US'), number: true },
          { name: 'Lag', cell: (one) => (one.version === null && !one.running ? <span class="dim">not read yet</span> : <Lag of={one.lag} />) },
          { name: 'Parked', cell: (one) => (one.stopped ? <span class="bad">{one.stopped}</span> : one.parked.length ? <span class="bad">{count(one.parked.length, 'key')}</span> : '–') },
          {
            name: 'Rebuild',
            cell: (one) =>
              rebuilding === one.name ? (
                <Rebuilding name={one.name} done={() => (setRebuilding(null), loaded.reload())} />
              ) : (
                <button class="button" aria-label={`Rebuild ${one.name}`} onClick={() => setAsking(one)}>
                  Rebuild
                </button>
              ),
          },
        ]}
        below={(one) =>
          one.parked.length > 0 && (
            <ul class="parked">
              {one.parked.slice(0, 5).map((parked) => (
                <li key={parked.of}>
                  <b>{parked.of}</b> stopped at <a href={to.address(parked.at)}>{parked.at}</a>: {parked.reason}
                </li>
              ))}
            </ul>
          )
        }
      />
      {asking && <Ask projection={asking} close={() => setAsking(null)} begun={() => (setRebuilding(asking.name), setAsking(null))} />}
    </>
  );
}

function Ask({ projection, close, begun }: { projection: Projection; close: () => void; begun: () => void }) {
  const [error, setError] = useState<unknown>(null);
  const rebuild = async (event: Event) => {
    event.preventDefault();
    try {
      await send('POST', `/v1/projections/${encodeURIComponent(projection.name)}/rebuild`, {});
      begun();
    } catch (failed) {
      setError(failed);
    }
  };
  return (
    <Dialog title={`Rebuild ${projection.name}?`} close={close}>
      <form class="form" onSubmit={rebuild}>
        <p>All events are folded again. States can be read meanwhile; they are the old ones until it is done.</p>
        {error !== null && (
          <p class="note note-bad" role="alert">
            {told(error)}
          </p>
        )}
        <div class="form-end">
          <button class="button" type="button" onClick={close}>
            Cancel
          </button>
          <button class="button is-main" type="submit" autofocus>
            Rebuild
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function Rebuilding({ name, done }: { name: string; done: () => void }) {
  const { data, error } = useLoad(`rebuild ${name}`, (signal) => get<Progress>(`/v1/projections/${encodeURIComponent(name)}/rebuild`, {}, signal), { every: 500 });
  const isOver = data !== null && data.rebuild === null;
  const { done: folded = 0, total: all = 0 } = data?.rebuild ?? {};
  if (error || isOver) {
    return (
      <button class="button is-quiet" onClick={done}>
        {error ? told(error) : 'Done'}
      </button>
    );
  }
  return (
    <span role="status">
      <Bar of={all ? folded / all : 0} label={`Rebuilding ${name}`} /> {all ? `${Math.round((folded / all) * 100)} %` : 'begun'}
    </span>
  );
}
