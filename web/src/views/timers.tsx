// Timers: events that are recorded when their time has come.
import { useNow } from '../api/hooks';
import type { Timer } from '../api/types';
import { to } from '../router';
import { ago, moment } from '../ui/format';
import { Listing, useListing } from './listing';

export function Timers() {
  const loaded = useListing<Timer>('/v1/timers', 'timers');
  const now = useNow(1_000);
  return (
    <Listing
      title="Timers"
      one="timer"
      icon="timers"
      loaded={loaded}
      keyOf={(one) => one.id}
      none={
        <>
          A timer appends an event later, once: <code>retold timers add run-1 step.timeout --after 5m</code>
        </>
      }
      columns={[
        {
          name: 'Due',
          cell: (one) => (
            <time dateTime={one.due} title={moment(one.due)}>
              <b>{ago(one.due, now)}</b>
            </time>
          ),
        },
        { name: 'Event', cell: (one) => <span class="type">{one.type}</span> },
        { name: 'In', cell: (one) => <a href={to.branch(one.session, one.branch)}>{`${one.session}/${one.branch}`}</a> },
        { name: 'Made', cell: (one) => <time dateTime={one.made}>{ago(one.made, now)}</time> },
        { name: 'State', cell: (one) => (one.refused ? <span class="bad">{one.refused}</span> : 'waits') },
      ]}
    />
  );
}
