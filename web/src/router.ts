// Where the page is: its path and parameters are the address, so that every view can be linked to.
import { useEffect, useState } from 'preact/hooks';

export interface Place {
  parts: string[];
  query: URLSearchParams;
}

const moved = new EventTarget();

export function place(): Place {
  const parts = location.pathname.split('/').filter(Boolean).map(decoded);
  return { parts, query: new URLSearchParams(location.search) };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function go(to: string, how: { replace?: boolean } = {}): void {
  if (to === location.pathname + location.search) return;
  history[how.replace ? 'replaceState' : 'pushState'](null, '', to);
  moved.dispatchEvent(new Event('moved'));
}

/** Changes parameters of the address; an empty value removes one. */
export function set(changes: Record<string, string | null>, how: { replace?: boolean } = { replace: true }): void {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === '') query.delete(name);
    else query.set(name, value);
  }
  const text = query.toString();
  go(location.pathname + (text ? `?${text}` : ''), how);
}

export function usePlace(): Place {
  const [now, setNow] = useState(place);
  useEffect(() => {
    const changed = () => setNow(place());
    addEventListener('popstate', changed);
    moved.addEventListener('moved', changed);
    return () => {
      removeEventListener('popstate', changed);
      moved.removeEventListener('moved', changed);
    };
  }, []);
  return now;
}

/** Follows links within the page without loading it again. */
export function followLinks(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = (event.target as Element | null)?.closest?.('a[href]') as HTMLAnchorElement | null;
  if (!link || link.target || link.hasAttribute('download') || link.origin !== location.origin) return;
  if (link.pathname.startsWith('/v1') || link.getAttribute('href')?.startsWith('#')) return;
  event.preventDefault();
  go(link.pathname + link.search);
}

const part = encodeURIComponent;

export const to = {
  session: (session: string) => `/sessions/${part(session)}`,
  branch: (session: string, branch: string, at?: number | null, view?: string) => {
    const query = new URLSearchParams();
    if (view) query.set('view', view);
    if (at) query.set('at', String(at));
    const text = query.toString();
    return `/sessions/${part(session)}/${part(branch)}${text ? `?${text}` : ''}`;
  },
  compare: (left: string, right: string) => `/compare?${new URLSearchParams({ left, right })}`,
  /** `session/branch@12`, as the store writes addresses. */
  address: (address: string) => {
    const [, of = address, at] = /^(.*)@(\d+)$/.exec(address) ?? [];
    const cut = of.lastIndexOf('/');
    return cut < 0 ? to.session(of) : to.branch(of.slice(0, cut), of.slice(cut + 1), at ? Number(at) : null);
  },
};
