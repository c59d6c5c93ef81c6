// Whether new events are followed, and how many have come since they were last seen.
import type { Log } from './log';
import { count } from '../ui/format';
import { Icon } from '../ui/icons';

interface Props {
  log: Log;
  version: number;
  following: boolean;
  unseen: number;
  live: () => void;
  pause: () => void;
}

export function Tail({ log, following, unseen, live, pause }: Props) {
  const isUp = log.live === 'live';
  const words = { connecting: 'Connecting', live: following ? 'Live' : 'Follow', waiting: 'Reconnecting', ended: 'Not live' }[log.live];
  return (
    <div class="tail">
      <span class="visually-hidden" role="status">
        {log.live === 'waiting' ? 'The connection was lost; it is tried again.' : !following && unseen > 0 ? `${count(unseen, 'new event')}` : ''}
      </span>
      {!following && unseen > 0 && (
        <button class="button is-main tail-new" onClick={live}>
          <Icon name="down" /> {unseen.toLocaleString('en-US')} new
        </button>
      )}
      <button class={`button tail-button${following && isUp ? ' is-live' : ''}`} aria-pressed={following} aria-label={following ? 'Pause following' : 'Follow live'} title={following ? 'Pause (l)' : 'Follow live (l)'} onClick={following ? pause : live}>
        <i class={`dot tail-${following || !isUp ? log.live : 'paused'}`} aria-hidden="true" />
        {words}
        {following && <Icon name="pause" />}
      </button>
    </div>
  );
}
