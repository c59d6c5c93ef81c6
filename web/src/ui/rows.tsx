// A list of rows of one height, of which only those in sight are drawn. j, k and the arrows move, Enter opens.
import type { ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';

interface Props {
  count: number;
  height: number;
  label: string;
  row: (at: number) => ComponentChildren;
  selected: number;
  select: (at: number) => void;
  open?: (at: number) => void;
  /** Called when the end comes into sight. */
  nearEnd?: () => void;
  idOf?: (at: number) => string;
}

const SPARE = 8;

export function Rows(props: Props) {
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 800 });
  const { count, height, selected } = props;

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const read = () => setView({ top: element.scrollTop, height: element.clientHeight });
    read();
    const seen = new ResizeObserver(read);
    seen.observe(element);
    return () => seen.disconnect();
  }, []);

  useLayoutEffect(() => {
    const element = box.current;
    if (!element || selected < 0) return;
    const top = selected * height;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (top + height > element.scrollTop + element.clientHeight) element.scrollTop = top + height - element.clientHeight;
  }, [selected, height]);

  const first = Math.max(0, Math.floor(view.top / height) - SPARE);
  const last = Math.min(count, Math.ceil((view.top + view.height) / height) + SPARE);
  useEffect(() => {
    if (last >= count - SPARE) props.nearEnd?.();
  }, [last, count]);

  const keys = (event: KeyboardEvent) => {
    if (event.metaKey || event.ctrlKey || event.altKey) return;
    const page = Math.max(1, Math.floor(view.height / height) - 1);
    const steps: Record<string, number> = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -count, End: count };
    const step = steps[event.key];
    if (step !== undefined) {
      event.preventDefault();
      event.stopPropagation();
      props.select(Math.min(count - 1, Math.max(0, selected + step)));
    } else if (event.key === 'Enter' && selected >= 0) {
      event.preventDefault();
      props.open?.(selected);
    }
  };

  const drawn = [];
  for (let at = first; at < last; at++) {
    drawn.push(
      <div
        key={at}
        id={`row-${at}`}
        role="option"
        class={`row${at === selected ? ' is-selected' : ''}`}
        aria-selected={at === selected}
        aria-setsize={count}
        aria-posinset={at + 1}
        style={{ height: `${height}px`, transform: `translateY(${at * height}px)` }}
        onClick={() => (props.select(at), props.open?.(at))}
      >
        {props.row(at)}
      </div>,
    );
  }
  return (
    <div
      ref={box}
      class="rows"
      role="listbox"
      tabIndex={0}
      aria-label={props.label}
      aria-activedescendant={selected >= first && selected < last ? `row-${selected}` : undefined}
      onScroll={(event) => setView({ top: event.currentTarget.scrollTop, height: event.currentTarget.clientHeight })}
      onKeyDown={keys}
    >
      <div class="rows-inner" style={{ height: `${count * height}px` }}>
        {drawn}
      </div>
    </div>
  );
}
