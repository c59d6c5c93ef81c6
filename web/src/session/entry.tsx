// One event as people read it: what was said, what a tool was called with and answered, or one line.
import { memo } from '../ui/memo';
import { useState } from 'preact/hooks';
import type { Entry, Part, Speaker } from '../api/types';
import { amount, clock, moment, money } from '../ui/format';
import { Icon } from '../ui/icons';

const LONG = 1_400;
const LINES = 18;

export const names: Record<Speaker, string> = {
  user: 'User',
  assistant: 'Assistant',
  thinking: 'Thinking',
  tool_call: 'Tool',
  tool_result: 'Tool',
  system: 'System',
};

/** How an event is shown: who says it, or what became of something. */
export function toneOf(entry: Entry): string {
  const part = entry.parts?.[0];
  if (part?.error || /(^|\.)(failed|errored|error|crashed|timed_out)$/.test(entry.type)) return 'bad';
  if (part) return part.speaker;
  if (/(^|\.)(completed|succeeded|finished|resolved|passed)$/.test(entry.type)) return 'good';
  return 'other';
}

/** Whether it is among the messages, or only among all events. */
export function isMessage(entry: Entry): boolean {
  return (entry.parts?.length ?? 0) > 0 || toneOf(entry) === 'bad';
}

/** A guess of its height until it was drawn. */
export function guess(entry: Entry | undefined): number {
  const part = entry?.parts?.[0];
  if (!part || part.speaker === 'tool_call' || part.speaker === 'tool_result') return 31;
  return 52 + 21 * Math.min(LINES, Math.ceil(part.text.length / 90));
}

interface Props {
  entry: Entry;
  sequence: number;
  /** The same speaker goes on: no heading. */
  goesOn: boolean;
}

export const EntryView = memo(function EntryView({ entry, sequence, goesOn }: Props) {
  const parts = entry.parts ?? [];
  const [first] = parts;
  if (!first) return <Line entry={entry} sequence={sequence} />;
  const isTool = first.speaker === 'tool_call' || first.speaker === 'tool_result';
  return (
    <>
      {!isTool && !goesOn && (
        <header class="entry-head">
          <b>{names[first.speaker]}</b>
          <span class="entry-facts">{facts(entry)}</span>
          <time dateTime={entry.time} title={moment(entry.time)}>
            {clock(entry.time)}
          </time>
          <span class="at">@{sequence}</span>
        </header>
      )}
      {parts.map((part, at) => (
        <PartView key={at} part={part} entry={entry} sequence={sequence} />
      ))}
    </>
  );
});

function facts(entry: Entry): string {
  const all = [entry.model];
  const tokens = entry.tokens ?? ((entry.input_tokens ?? 0) + (entry.output_tokens ?? 0) || undefined);
  if (tokens) all.push(`${amount(tokens)} tokens`);
  if (entry.cost_usd) all.push(money(entry.cost_usd));
  return all.filter(Boolean).join(' · ');
}

function PartView({ part, entry, sequence }: { part: Part; entry: Entry; sequence: number }) {
  if (part.speaker === 'tool_call' || part.speaker === 'tool_result') {
    const isCall = part.speaker === 'tool_call';
    const text = (isCall ? oneLine(argumentsOf(part.text)) : oneLine(part.text)) || (isCall ? '' : part.error ? 'failed' : 'done');
    return (
      <div class={`tool${isCall ? '' : ' is-result'}${part.error ? ' is-bad' : ''}`}>
        {isCall ? <Icon name="tool" /> : <i class="elbow" aria-hidden="true" />}
        {isCall && <b>{part.tool ?? 'tool'}</b>}
        <span class="visually-hidden">{isCall ? 'is called with' : part.error ? 'failed:' : 'answers:'}</span>
        <code>{text}</code>
        <span class="at">@{sequence}</span>
      </div>
    );
  }
  if (part.speaker === 'thinking' || part.speaker === 'system') return <Text text={part.text} lines={3} dim />;
  return <Text text={part.text} lines={LINES} label={entry.type} />;
}

function Line({ entry, sequence }: { entry: Entry; sequence: number }) {
  return (
    <div class="line">
      <i class={`dot tone-${toneOf(entry)}`} aria-hidden="true" />
      <span class="type">{entry.type}</span>
      <span class="line-text">{oneLine(entry.summary)}</span>
      <span class="at">@{sequence}</span>
    </div>
  );
}

/** The arguments of a call without the signs of JSON. */
function argumentsOf(text: string): string {
  if (!text.startsWith('{')) return text;
  try {
    const all = Object.entries(JSON.parse(text) as object);
    const value = (of: unknown) => (typeof of === 'string' ? of : JSON.stringify(of));
    return all.length === 1 ? value(all[0]?.[1]) : all.map(([name, of]) => `${name}: ${value(of)}`).join('  ');
  } catch {
    return text;
  }
}

function oneLine(text: string): string {
  const cut = text.length > 400 ? `${text.slice(0, 400)}…` : text;
  return cut.replace(/\s+/g, ' ').trim();
}

function Text({ text, lines, dim }: { text: string; lines: number; dim?: boolean; label?: string }) {
  const [whole, setWhole] = useState(false);
  const trimmed = text.trim();
  const isLong = trimmed.length > (dim ? 280 : LONG) || trimmed.split('\n', lines + 1).length > lines;
  const shown = whole || !isLong ? trimmed : trimmed.split('\n', lines).join('\n').slice(0, dim ? 280 : LONG);
  return (
    <div class={dim ? 'text is-dim' : 'text'}>
      {blocks(shown)}
      {isLong && (
        <button class="link" aria-expanded={whole} onClick={(event) => (event.stopPropagation(), setWhole(!whole))}>
          {whole ? 'Show less' : 'Show all'}
        </button>
      )}
    </div>
  );
}

/** Code between fences is set as code; everything else stays as it was written. */
function blocks(text: string) {
  return text.split(/^```[^\n]*\n?/m).map((block, at) =>
    at % 2 === 1 ? (
      <pre key={at}>{block.replace(/\n$/, '')}</pre>
    ) : (
      block.trim() && <p key={at}>{inline(block.trim())}</p>
    ),
  );
}

function inline(text: string) {
  return text.split(/(`[^`\n]+`|\*\*[^*\n]+\*\*)/).map((piece, at) => {
    if (at % 2 === 0) return piece;
    return piece.startsWith('`') ? <code key={at}>{piece.slice(1, -1)}</code> : <strong key={at}>{piece.slice(2, -2)}</strong>;
  });
}
