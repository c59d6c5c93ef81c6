// Dead letters: events that a consumer or a handler could not deal with, and why.
import { useState } from 'preact/hooks';
import { send, told } from '../api/client';
import { useNow } from '../api/hooks';
import type { DeadLetter } from '../api/types';
import { to } from '../router';
import { ago } from '../ui/format';
import { Listing, useListing } from './listing';

export function DeadLetters() {
  const loaded = useListing<DeadLetter>('/v1/dead-letters', 'dead_letters');
  const now = useNow(5_000);
  return (
    <Listing
      title="Dead letters"
      one="dead letter"
      icon="letters"
      loaded={loaded}
      keyOf={(one) => `${one.owner} ${one.position}`}
      none="Every event that was delivered has been dealt with."
      columns={[
        { name: 'Event', cell: (one) => <a href={to.address(one.at)}>{one.at}</a> },
        { name: 'Type', cell: (one) => <span class="type">{one.type}</span> },
        { name: 'Owner', cell: (one) => one.owner },
        { name: 'Error', cell: (one) => <span class="bad">{one.error}</span> },
        { name: 'Deliveries', cell: (one) => one.deliveries, number: true },
        { name: 'Last', cell: (one) => <time dateTime={one.last}>{ago(one.last, now)}</time> },
        { name: 'Redeliver', cell: (one) => (one.again ? 'is redelivered' : <Redeliver letter={one} done={loaded.reload} />) },
      ]}
    />
  );
}

function Redeliver({ letter, done }: { letter: DeadLetter; done: () => void }) {
  const [error, setError] = useState<unknown>(null);
  const replay = async () => {
    try {
      await send('POST', `/v1/dead-letters/${encodeURIComponent(letter.owner)}/${letter.position}/replay`, {});
      done();
    } catch (failed) {
      setError(failed);
    }
  };
  return (
    <>
      <button class="button" aria-label={`Redeliver ${letter.at} to ${letter.owner}`} onClick={() => void replay()}>
        Redeliver
      </button>
      {error !== null && (
        <span class="bad" role="alert">
          {' '}
          {told(error)}
        </span>
      )}
    </>
  );
}
