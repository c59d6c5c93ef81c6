// The head of a session: its name, status and figures as they were after the event that is looked at.
import type { Branch, Card, Described } from '../api/types';
import { go, to } from '../router';
import { Bar, Figure, Status } from '../ui/bits';
import { ago, amount, count, money, span } from '../ui/format';
import { Icon } from '../ui/icons';

interface Props {
  card: Card;
  branches: Branch[];
  info: Branch;
  state: Described | null;
  head: number;
  at: number;
  fork: () => void;
  clockNow: number;
}

export function Head({ card, branches, info, state, head, at, fork, clockNow }: Props) {
  const { session, branch } = info;
  const isPast = at < head;
  const phase = isPast ? state?.lifecycle.session.phase : (card.current === branch ? card.status : (state?.lifecycle.session.phase ?? null));
  const sum = (name: string) => state?.resource.measures[name]?.sum ?? 0;
  const tokens = sum('input_tokens') + sum('output_tokens') + sum('tokens');
  const cost = sum('cost_usd');
  const fraction = state?.progress.session?.fraction;
  const other = branches.find((one) => one.branch === info.parent) ?? branches.find((one) => one.branch !== branch);
  const lasted = card.first_occurred && card.last_occurred ? Date.parse(card.last_occurred) - Date.parse(card.first_occurred) : null;
  return (
    <header class="session-head">
      <div class="session-head-line">
        <div class="session-names">
          <p class="crumbs">
            <a href="/sessions">Sessions</a> <span aria-hidden="true">/</span> <span class="mono">{session}</span>
          </p>
          <h1 id="title">{card.title ?? session}</h1>
        </div>
        <div class="session-actions">
          <select class="input" aria-label="Branch" value={branch} onChange={(event) => go(to.branch(session, event.currentTarget.value))}>
            {branches.map((one) => (
              <option key={one.branch} value={one.branch}>
                {one.branch}
              </option>
            ))}
          </select>
          {other && (
            <a class="button" href={to.compare(`${session}/${other.branch}`, `${session}/${branch}`)}>
              <Icon name="compare" /> Compare
            </a>
          )}
          <button class="button" onClick={fork} disabled={at < 1} title="Fork at this event (f)">
            <Icon name="fork" /> Fork
          </button>
        </div>
      </div>
      <div class="figures-scroll" role="region" aria-label="Figures" tabIndex={0}>
        <dl class={`figures${isPast ? ' is-past' : ''}`}>
          <Figure name={isPast ? `Status at ${at.toLocaleString('en-US')}` : 'Status'}>
            <Status of={phase} live={!isPast && phase === 'running'} />
          </Figure>
          {fraction !== undefined && (
            <Figure name="Progress">
              <Bar of={fraction} label="Progress" /> {Math.round(fraction * 100)} %
            </Figure>
          )}
          <Figure name="Tokens">{tokens ? amount(Math.round(tokens)) : '–'}</Figure>
          <Figure name="Cost">{cost ? money(cost) : '–'}</Figure>
          <Figure name="Calls" title="Calls of tools">
            {amount(state?.conversation.calls ?? 0)}
          </Figure>
          {lasted !== null && <Figure name="Duration">{span(lasted)}</Figure>}
          <Figure name="Last active">{ago(card.last_occurred ?? card.last, clockNow)}</Figure>
          {card.errors > 0 && (
            <Figure name="Errors">
              <span class="bad">{count(card.errors, 'error')}</span>
            </Figure>
          )}
        </dl>
      </div>
    </header>
  );
}
