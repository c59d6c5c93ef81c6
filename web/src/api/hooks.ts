// Loading in components: what was there stays until the new is, and what is no longer wanted is stopped.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';

export interface Loaded<T> {
  data: T | null;
  error: unknown;
  loading: boolean;
  reload: () => void;
}

export interface LoadOptions {
  /** Load again after so many milliseconds, while the page is seen. */
  every?: number;
  /** What is loaded belongs to the same thing as long as this is the same: until the new is there, the old is shown. */
  keep?: string;
}

export function useLoad<T>(key: string | null, load: (signal: AbortSignal) => Promise<T>, options: LoadOptions = {}): Loaded<T> {
  const [state, setState] = useState<{ of: string | null; data: T | null; error: unknown; loading: boolean }>({
    of: null,
    data: null,
    error: null,
    loading: true,
  });
  const [again, setAgain] = useState(0);
  const loader = useRef(load);
  loader.current = load;
  const { every } = options;
  const keep = options.keep ?? key;
  useEffect(() => {
    if (key === null) return;
    const stop = new AbortController();
    let timer = 0;
    const run = async () => {
      try {
        const data = await loader.current(stop.signal);
        if (!stop.signal.aborted) setState({ of: keep, data, error: null, loading: false });
      } catch (error) {
        if (!stop.signal.aborted) setState((was) => ({ of: keep, data: was.of === keep ? was.data : null, error, loading: false }));
      }
      if (every && !stop.signal.aborted) timer = window.setTimeout(next, every);
    };
    const next = () => (document.hidden ? (timer = window.setTimeout(next, every)) : void run());
    setState((was) => ({ ...was, loading: true }));
    void run();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [key, again, every]);
  const reload = useCallback(() => setAgain((n) => n + 1), []);
  const isKept = state.of === keep;
  return { data: isKept ? state.data : null, error: isKept ? state.error : null, loading: state.loading || !isKept, reload };
}

/** The value once it has not changed for a while. */
export function useSettled<T>(value: T, ms: number): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return settled;
}

/** Now, again every so often: ages move on. */
export function useNow(ms: number): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), ms);
    return () => clearInterval(timer);
  }, [ms]);
  return now;
}
