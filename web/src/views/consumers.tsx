// Durable consumers: how far each has come, and what it has been given and has not resolved.
import { useNow } from '../api/hooks';
import type { Consumer } from '../api/types';
import { to } from '../router';
import { ago, count } from '../ui/format';
import { Lag, Listing, useListing } from './listing';

export function Consumers() {
  const loaded = useListing<Consumer>('/v1/consumers', 'consumers');
  const now = useNow(1_000);
  return (
    <Listing
      title="Consumers"
      one="consumer"
      icon="consumers"
      loaded={loaded}
      keyOf={(one) => one.name}
      none={
        <>
          A consumer is delivered events until it has acknowledged them: <code>retold consumer add NAME</code>
        </>
      }
      columns={[
        { name: 'Consumer', cell: (one) => <b>{one.name}</b> },
        { name: 'Lag', cell: (one) => <Lag of={one.lag} /> },
        { name: 'Acknowledged', cell: (one) => one.acknowledged.toLocaleString('en-US'), number: true },
        { name: 'Up to', cell: (one) => one.ack_floor.toLocaleString('en-US'), number: true },
        { name: 'Delivered', cell: (one) => one.outstanding.length.toLocaleString('en-US'), number: true },
        { name: 'Dead letters', cell: (one) => (one.dead_letters ? <a class="bad" href="/dead-letters">{count(one.dead_letters, 'letter')}</a> : '–') },
        { name: 'Created', cell: (one) => <time dateTime={one.created}>{ago(one.created, now)}</time> },
      ]}
      below={(one) =>
        one.outstanding.length > 0 && (
          <ul class="parked">
            {one.outstanding.slice(0, 5).map((event) => (
              <li key={event.position}>
                <a href={to.address(event.event)}>{event.event}</a> {event.deliveries > 1 && <span class="warn">delivery {event.deliveries}</span>} due {ago(event.due, now)}
              </li>
            ))}
            {one.outstanding.length > 5 && <li class="dim">and {one.outstanding.length - 5} more</li>}
          </ul>
        )
      }
    />
  );
}
