// What happened, in order. Rows are as high as what is in them; only those in sight are drawn.
import { useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { Heights } from '../ui/heights';
import { EntryView, guess, isMessage, toneOf } from './entry';
import type { Log } from './log';

interface Props {
  log: Log;
  /** The last sequence that is shown: while paused, newer ones wait. */
  head: number;
  /** Changes when the log does. */
  version: number;
  at: number | null;
  onlyMessages: boolean;
  following: boolean;
  select: (sequence: number) => void;
  leftEnd: () => void;
  reachedEnd: () => void;
}

const SPARE_PX = 600;
const UNKNOWN = 34;
/** So near to the end counts as being there. */
const END_PX = 40;

export function Transcript(props: Props) {
  const { log, head, at, onlyMessages, following } = props;
  const box = useRef<HTMLDivElement>(null);
  const inner = useRef<HTMLDivElement>(null);
  const [, redraw] = useState(0);
  const first = log.first;
  const rows = Math.max(0, head - first + 1);
  const filter = useRef(onlyMessages);
  filter.current = onlyMessages;
  const heights = useMemo(() => {
    return new Heights((row) => {
      const entry = log.get(first + row);
      if (!entry) return UNKNOWN;
      return filter.current && !isMessage(entry) ? 0 : guess(entry);
    });
  }, [log]);
  heights.resize(rows);
  const scroll = useRef({ top: 0, height: 800, anchor: 0, offset: 0, width: 0, isOurs: false });
  // What the reader asked to see stays in sight while what is above it is measured.
  const target = useRef<number | null>(null);

  // From where on heights have to be found again. Until the next drawing they stay as they were drawn: what the reader
  // scrolls meanwhile is found by them.
  const stale = useRef(Infinity);
  const drawnFilter = useRef(onlyMessages);
  if (drawnFilter.current !== onlyMessages) {
    drawnFilter.current = onlyMessages;
    stale.current = 0;
  }
  if (stale.current < Infinity) {
    heights.forget(stale.current);
    stale.current = Infinity;
  }
  useLayoutEffect(() => {
    const loaded = (event: Event) => {
      stale.current = Math.min(stale.current, Math.max(0, (event as CustomEvent<number>).detail - first));
    };
    log.addEventListener('loaded', loaded);
    return () => log.removeEventListener('loaded', loaded);
  }, [log]);
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const seen = new ResizeObserver(() => {
      const s = scroll.current;
      s.height = element.clientHeight;
      if (s.width !== element.clientWidth) {
        s.width = element.clientWidth;
        stale.current = 0;
      }
      redraw((n) => n + 1);
    });
    seen.observe(element);
    return () => seen.disconnect();
  }, []);
  useLayoutEffect(() => {
    if (at === null || following) return;
    target.current = at;
    redraw((n) => n + 1);
  }, [at, following]);

  const s = scroll.current;
  const top = following ? Math.max(0, heights.total() - s.height) : s.top;
  const from = heights.at(top - SPARE_PX);
  const to = rows ? heights.at(top + s.height + SPARE_PX) : -1;

  useLayoutEffect(() => {
    if (rows) log.want(first + from, first + to);
  }, [from, to, head, log]);

  // Measures what was drawn, and keeps in place what the reader looks at.
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    let isOther = false;
    inner.current?.querySelectorAll<HTMLElement>('[data-row]').forEach((row) => {
      isOther = heights.measure(Number(row.dataset.row), row.offsetHeight) || isOther;
    });
    let want = heights.top(s.anchor) + s.offset;
    if (following) {
      want = heights.total() - element.clientHeight;
    } else if (target.current !== null) {
      const row = target.current - first;
      const [begin, end] = [heights.top(row), heights.top(row + 1)];
      const isInSight = begin >= element.scrollTop + 8 && end <= element.scrollTop + element.clientHeight - 8;
      want = isInSight ? element.scrollTop : begin - element.clientHeight / 3;
      if (!isOther && log.get(target.current)) target.current = null;
    }
    want = Math.max(0, Math.min(want, heights.total() - element.clientHeight));
    if (inner.current) inner.current.style.height = `${heights.total()}px`;
    if (Math.abs(want - element.scrollTop) > 1) {
      s.isOurs = true;
      element.scrollTop = want;
      read(element);
      isOther = true;
    }
    if (isOther) redraw((n) => n + 1);
  });

  function read(element: HTMLElement) {
    s.top = element.scrollTop;
    s.height = element.clientHeight;
    s.anchor = heights.at(s.top);
    s.offset = s.top - heights.top(s.anchor);
  }

  const scrolled = (event: Event) => {
    const element = event.currentTarget as HTMLElement;
    const isUp = element.scrollTop < s.top - 2;
    const isOurs = s.isOurs;
    s.isOurs = false;
    read(element);
    if (!isOurs) {
      target.current = null;
      const left = element.scrollHeight - element.clientHeight - element.scrollTop;
      if (following && isUp && left > END_PX) props.leftEnd();
      else if (!following && left <= 2) props.reachedEnd();
    }
    redraw((n) => n + 1);
  };

  const step = (by: 1 | -1) => {
    let next = (at ?? (by > 0 ? first - 1 : head + 1)) + by;
    while (next >= first && next <= head) {
      const entry = log.get(next);
      if (!entry || !onlyMessages || isMessage(entry)) break;
      next += by;
    }
    if (next >= first && next <= head) props.select(next);
  };
  const keys = (event: KeyboardEvent) => {
    if (event.metaKey || event.ctrlKey || event.altKey) return;
    if (event.key === 'j' || event.key === 'ArrowDown') step(1);
    else if (event.key === 'k' || event.key === 'ArrowUp') step(-1);
    else return;
    event.preventDefault();
  };

  const drawn = [];
  let before = '';
  for (let row = from; row <= to; row++) {
    const sequence = first + row;
    const entry = log.get(sequence);
    if (entry && onlyMessages && !isMessage(entry)) continue;
    const speaker = entry?.parts?.[0]?.speaker ?? '';
    const goesOn = speaker !== '' && speaker === before && speaker !== 'user';
    before = speaker;
    drawn.push(
      <article
        key={sequence}
        data-row={row}
        data-sequence={sequence}
        class={`entry say-${entry ? speaker || 'none' : 'unknown'} tone-${entry ? toneOf(entry) : ''}${sequence === at ? ' is-selected' : ''}`}
        aria-posinset={row + 1}
        aria-setsize={rows}
        aria-current={sequence === at ? 'true' : undefined}
        aria-label={entry ? `Event ${sequence}, ${entry.type}` : `Event ${sequence}, loading`}
        style={{ transform: `translateY(${heights.top(row)}px)` }}
        onClick={() => props.select(sequence)}
      >
        {entry ? <EntryView entry={entry} sequence={sequence} goesOn={goesOn} /> : <div class="line is-loading">@{sequence}</div>}
      </article>,
    );
  }
  return (
    <div ref={box} class="transcript" role="feed" aria-label="Transcript" aria-busy={rows > 0 && !log.get(head)} tabIndex={0} onScroll={scrolled} onKeyDown={keys}>
      <div ref={inner} class="transcript-inner" role="presentation" style={{ height: `${heights.total()}px` }}>
        {drawn}
      </div>
    </div>
  );
}
