// What was known after an event: phases, progress, what was used. What the last step has changed stands out.
import { useEffect, useRef } from 'preact/hooks';
import type { Amount, Described, Life, Track } from '../api/types';
import { Bar, Empty, Failed, Loading, Status } from '../ui/bits';
import { amount, clock, count } from '../ui/format';

const SHOWN = 24;

interface Props {
  state: Described | null;
  error: unknown;
  at: number;
  select: (sequence: number) => void;
}

export function StatePanel({ state, error, at, select }: Props) {
  const before = useRef<Described | null>(null);
  const now = useRef<Described | null>(null);
  if (state !== now.current) {
    before.current = now.current;
    now.current = state;
  }
  useEffect(() => () => void (before.current = null), []);
  if (at < 1) return <Empty title="No state yet">It follows from events.</Empty>;
  if (error && !state) return <Failed error={error} />;
  if (!state) return <Loading what="the state" />;
  const old = before.current;
  return (
    <div class="state" aria-live="off">
      <h2 class="state-at">After event {state.sequence.toLocaleString('en-US')}</h2>
      <Lifecycle state={state} old={old} select={select} />
      <Progress state={state} old={old} />
      <Resources state={state} old={old} />
    </div>
  );
}

function mark(isNew: boolean): string {
  return isNew ? ' is-changed' : '';
}

function lives(of: Record<string, Record<string, Life>>): [string, string, Life][] {
  return Object.entries(of).flatMap(([kind, all]) => Object.entries(all).map(([id, life]): [string, string, Life] => [kind, id, life]));
}

function Lifecycle({ state, old, select }: { state: Described; old: Described | null; select: (n: number) => void }) {
  const { session, entities, odd } = state.lifecycle;
  const all = lives(entities).sort((a, b) => b[2].sequence - a[2].sequence);
  const was = (kind: string, id: string) => old?.lifecycle.entities[kind]?.[id];
  return (
    <section aria-labelledby="state-lifecycle">
      <h3 id="state-lifecycle">Lifecycle</h3>
      <div class={`state-row${mark(old !== null && old.lifecycle.session.phase !== session.phase)}`}>
        <b>Session</b>
        <Status of={session.phase} />
        {session.phase && <Jump at={session.sequence} select={select} />}
      </div>
      {(session.error ?? session.reason) && <p class={session.error ? 'bad state-why' : 'dim state-why'}>{session.error ?? session.reason}</p>}
      {all.slice(0, SHOWN).map(([kind, id, life]) => (
        <div key={`${kind}/${id}`} class={`state-row${mark(old !== null && was(kind, id)?.phase !== life.phase)}`}>
          <span class="state-name">
            <span class="dim">{kind}</span> {life.name ?? id}
          </span>
          <Status of={life.phase} />
          <Jump at={life.sequence} select={select} />
        </div>
      ))}
      {all.length > SHOWN && <p class="dim">and {count(all.length - SHOWN, 'other')}</p>}
      {odd > 0 && <p class="warn">{count(odd, 'impossible report')}: they changed nothing.</p>}
    </section>
  );
}

function Jump({ at, select }: { at: number; select: (n: number) => void }) {
  return (
    <button class="at link" aria-label={`Go to event ${at}`} onClick={() => select(at)}>
      @{at}
    </button>
  );
}

function Progress({ state, old }: { state: Described; old: Described | null }) {
  const { session, entities } = state.progress;
  const all = Object.entries(entities ?? {}).flatMap(([kind, of]) => Object.entries(of).map(([id, track]): [string, string, Track] => [kind, id, track]));
  const rows = all.filter(([, , track]) => track.fraction !== undefined || track.stage || track.description);
  if (!rows.length && !(session && (session.fraction !== undefined || session.stage))) return null;
  return (
    <section aria-labelledby="state-progress">
      <h3 id="state-progress">Progress</h3>
      {session && <TrackRow name="Session" track={session} old={old?.progress.session} isKnown={old !== null} />}
      {rows.slice(0, SHOWN).map(([kind, id, track]) => (
        <TrackRow key={`${kind}/${id}`} name={`${kind} ${track.name ?? id}`} track={track} old={old?.progress.entities?.[kind]?.[id]} isKnown={old !== null} />
      ))}
    </section>
  );
}

function TrackRow({ name, track, old, isKnown }: { name: string; track: Track; old: Track | undefined; isKnown: boolean }) {
  const { fraction, done, total } = track;
  const steps = done !== undefined && total !== undefined ? `${amount(done)} of ${amount(total)}` : '';
  return (
    <div class={`state-row${mark(isKnown && old?.fraction !== fraction)}`}>
      <span class="state-name">
        {name}
        {(track.stage ?? track.description) && <span class="dim"> {track.stage ?? track.description}</span>}
      </span>
      {fraction !== undefined && <Bar of={fraction} label={name} />}
      <span class="number">{steps || (fraction === undefined ? '' : `${Math.round(fraction * 100)} %`)}</span>
    </div>
  );
}

/** Measures that add up; of the others, the last is told. */
export function addsUp(measure: string): boolean {
  return /token|cost|usd|call|error|request|byte.*(sent|read|written|transferred)|duration|spent/.test(measure);
}

export function valueOf(measure: string, of: Amount): number {
  return addsUp(measure) ? of.sum : of.last;
}

function Resources({ state, old }: { state: Described; old: Described | null }) {
  const all = Object.entries(state.resource.measures);
  if (!all.length) return null;
  return (
    <section aria-labelledby="state-resources">
      <h3 id="state-resources">Resources</h3>
      <table class="small-table">
        <thead>
          <tr>
            <th scope="col">Measure</th>
            <th scope="col">Sum or last</th>
            <th scope="col">Peak</th>
          </tr>
        </thead>
        <tbody>
          {all.slice(0, 2 * SHOWN).map(([name, of]) => {
            const before = old?.resource.measures[name];
            return (
              <tr key={name} class={mark(old !== null && before?.count !== of.count)} title={`${count(of.count, 'amount')}, last at ${clock(of.time)}`}>
                <th scope="row">{name}</th>
                <td>{amount(valueOf(name, of))}</td>
                <td>{amount(of.peak)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </section>
  );
}
