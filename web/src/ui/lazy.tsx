// A component that is loaded when it is first drawn.
import type { ComponentType } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Failed, Loading } from './bits';

export function lazy<P extends object>(load: () => Promise<{ default: ComponentType<P> }>): ComponentType<P> {
  let loaded: ComponentType<P> | null = null;
  return function Lazy(props: P) {
    const [, drawn] = useState(0);
    const [error, setError] = useState<unknown>(null);
    useEffect(() => {
      if (loaded) return;
      let isGone = false;
      load().then(
        (of) => {
          loaded = of.default;
          if (!isGone) drawn(1);
        },
        (failed) => !isGone && setError(failed),
      );
      return () => void (isGone = true);
    }, []);
    if (error) return <Failed error={error} />;
    const Inner = loaded;
    return Inner ? <Inner {...props} /> : <Loading what="the view" />;
  };
}
