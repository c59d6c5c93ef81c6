// What two states say differently, in the words of people.
import type { Described } from '../api/types';
import { addsUp, valueOf } from '../session/state';
import { amount, money } from '../ui/format';

export interface Difference {
  what: string;
  left: string | null;
  right: string | null;
}

export function differences(left: Described, right: Described): Difference[] {
  const [a, b] = [said(left), said(right)];
  const all = new Set([...a.keys(), ...b.keys()]);
  const rows = [...all].map((what) => ({ what, left: a.get(what) ?? null, right: b.get(what) ?? null }));
  return rows.filter((row) => row.left !== row.right);
}

function said(state: Described): Map<string, string> {
  const found = new Map<string, string>();
  const note = (what: string, value: string | number | undefined) => {
    if (value !== undefined && value !== '') found.set(what, typeof value === 'number' ? amount(value) : value);
  };
  const { lifecycle, conversation, progress, resource } = state;
  note('status', lifecycle.session.phase);
  note('reason', lifecycle.session.error ?? lifecycle.session.reason);
  for (const [kind, lives] of Object.entries(lifecycle.entities)) {
    for (const [id, life] of Object.entries(lives)) note(`${kind} ${life.name ?? id}`, life.phase);
  }
  if (progress.session?.fraction !== undefined) note('progress', `${Math.round(progress.session.fraction * 100)} %`);
  for (const [kind, tracks] of Object.entries(progress.entities ?? {})) {
    for (const [id, track] of Object.entries(tracks)) {
      if (track.fraction !== undefined) note(`${kind} ${track.name ?? id}: progress`, `${Math.round(track.fraction * 100)} %`);
    }
  }
  note('messages of the user', conversation.prompts);
  note('messages of the model', conversation.answers);
  note('calls of tools', conversation.calls);
  note('model', conversation.model);
  for (const [measure, of] of Object.entries(resource.measures)) {
    const value = valueOf(measure, of);
    note(measure, /cost|usd/.test(measure) ? money(value) : amount(value));
    if (!addsUp(measure)) note(`${measure}: peak`, of.peak);
  }
  return found;
}
