// Moves through the sequences of a branch. Behind the handle, each event has the colour of who said it.
import { useEffect, useRef, useState } from 'preact/hooks';
import { Icon } from '../ui/icons';
import { toneOf } from './entry';
import type { Log } from './log';

interface Props {
  log: Log;
  head: number;
  version: number;
  at: number;
  select: (sequence: number) => void;
  play: boolean;
  setPlay: (play: boolean) => void;
}

const PLAY_MS = 120;

export function Scrubber({ log, head, version, at, select, play, setPlay }: Props) {
  const { first } = log;
  const now = useRef(at);
  now.current = at;
  useEffect(() => {
    if (!play) return;
    // Long branches are played in about a minute.
    const step = Math.max(1, Math.round((head - first) / 500));
    const timer = setInterval(() => {
      const next = Math.min(head, now.current + step);
      select(next);
      if (next >= head) setPlay(false);
    }, PLAY_MS);
    return () => clearInterval(timer);
  }, [play, head]);
  const entry = log.get(at);
  const to = (sequence: number) => () => (setPlay(false), select(Math.min(head, Math.max(first, sequence))));
  return (
    <div class="scrubber" role="group" aria-label="Position in the branch">
      <button class="icon-button" aria-label={play ? 'Stop playing' : 'Play from here'} title={play ? 'Stop' : 'Play'} onClick={() => (play || at < head ? setPlay(!play) : (select(first), setPlay(true)))}>
        <Icon name={play ? 'pause' : 'play'} />
      </button>
      <button class="icon-button" aria-label="One event back" title="One event back ([)" disabled={at <= first} onClick={to(at - 1)}>
        <Icon name="back" />
      </button>
      <button class="icon-button" aria-label="One event forward" title="One event forward (])" disabled={at >= head} onClick={to(at + 1)}>
        <Icon name="next" />
      </button>
      <div class="track">
        <Strip log={log} head={head} version={version} />
        <input
          type="range"
          aria-label="Sequence"
          aria-valuetext={`Event ${at} of ${head}${entry ? `, ${entry.type}` : ''}`}
          min={first}
          max={Math.max(head, first)}
          step={1}
          value={at}
          onInput={(event) => (setPlay(false), select(Number(event.currentTarget.value)))}
        />
      </div>
      <output class="position">
        <b>{at.toLocaleString('en-US')}</b> / {head.toLocaleString('en-US')}
      </output>
    </div>
  );
}

const tones = ['other', 'system', 'tool_result', 'tool_call', 'thinking', 'assistant', 'good', 'user', 'bad'];

/** The most telling tone of the events that share a pixel. */
function Strip({ log, head, version }: { log: Log; head: number; version: number }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [width, setWidth] = useState(0);
  const [theme, setTheme] = useState(0);
  useEffect(() => {
    const element = canvas.current;
    if (!element) return;
    const seen = new ResizeObserver(() => setWidth(element.clientWidth));
    seen.observe(element);
    const changed = () => setTheme((n) => n + 1);
    const scheme = matchMedia('(prefers-color-scheme: dark)');
    addEventListener('theme', changed);
    scheme.addEventListener('change', changed);
    return () => {
      seen.disconnect();
      removeEventListener('theme', changed);
      scheme.removeEventListener('change', changed);
    };
  }, []);
  useEffect(() => {
    const element = canvas.current;
    const drawing = element?.getContext('2d');
    if (!element || !drawing || !width) return;
    const scale = devicePixelRatio || 1;
    const height = element.clientHeight;
    element.width = Math.round(width * scale);
    element.height = Math.round(height * scale);
    drawing.setTransform(scale, 0, 0, scale, 0, 0);
    const style = getComputedStyle(element);
    const colors = tones.map((tone) => style.getPropertyValue(`--tone-${tone.replace('_', '-')}`).trim());
    const events = head - log.first + 1;
    if (events < 1) return;
    const columns = Math.min(events, Math.floor(width / 3));
    const wide = width / columns;
    for (let column = 0; column < columns; column++) {
      const from = log.first + Math.floor((column * events) / columns);
      const to = log.first + Math.floor(((column + 1) * events) / columns);
      let best = -1;
      for (let sequence = from; sequence < to; sequence++) {
        const entry = log.get(sequence);
        if (entry) best = Math.max(best, tones.indexOf(toneOf(entry)));
      }
      if (best < 0) continue;
      const tall = best >= 5 ? height : best >= 2 ? height * 0.62 : height * 0.34;
      drawing.fillStyle = colors[best] || '#888';
      drawing.fillRect(column * wide, height - tall, Math.max(1, wide - (wide > 2.5 ? 1 : 0)), tall);
    }
  }, [width, version, head, theme]);
  return <canvas ref={canvas} class="strip" aria-hidden="true" />;
}
