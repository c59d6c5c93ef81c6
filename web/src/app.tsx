// The frame of every view: where one can go, what is searched for, and the token.
import { useEffect, useRef, useState } from 'preact/hooks';
import { tokens } from './api/client';
import { go, followLinks, set, usePlace, type Place } from './router';
import { Dialog } from './ui/dialog';
import { Icon, type IconName } from './ui/icons';
import { ThemeSwitch } from './ui/theme';
import { Empty } from './ui/bits';
import { AskToken, SignOut } from './token';
import { Sessions } from './views/sessions';
import { SessionPage } from './session/page';
import { Compare } from './views/compare';
import { Search } from './views/search';
import { Projections } from './views/projections';
import { Consumers } from './views/consumers';
import { DeadLetters } from './views/letters';
import { Timers } from './views/timers';
import { Types } from './views/types';

const places: { path: string; name: string; icon: IconName }[] = [
  { path: 'sessions', name: 'Sessions', icon: 'sessions' },
  { path: 'search', name: 'Search', icon: 'search' },
  { path: 'projections', name: 'Projections', icon: 'projections' },
  { path: 'consumers', name: 'Consumers', icon: 'consumers' },
  { path: 'dead-letters', name: 'Dead letters', icon: 'letters' },
  { path: 'timers', name: 'Timers', icon: 'timers' },
  { path: 'types', name: 'Types', icon: 'types' },
];

const shortcuts: [string, string][] = [
  ['/', 'Search'],
  ['j k ↓ ↑', 'Next and previous row'],
  ['Enter', 'Open the row'],
  ['[ ]', 'One event back or forward'],
  ['{ }', 'To the first or the last event'],
  ['l', 'Follow live, or pause'],
  ['f', 'Fork at the event'],
  ['?', 'This list'],
];

export function App() {
  const now = usePlace();
  const [menu, setMenu] = useState(false);
  const [help, setHelp] = useState(false);
  const [asked, setAsked] = useState<{ why: string | null } | null>(null);
  const [entry, setEntry] = useState(0);
  const here = now.parts[0] ?? 'sessions';

  useEffect(() => {
    const needed = (event: Event) => setAsked({ why: (event as CustomEvent<string | null>).detail });
    const changed = () => (setAsked(null), setEntry((n) => n + 1));
    tokens.addEventListener('needed', needed);
    tokens.addEventListener('changed', changed);
    document.addEventListener('click', followLinks);
    return () => {
      tokens.removeEventListener('needed', needed);
      tokens.removeEventListener('changed', changed);
      document.removeEventListener('click', followLinks);
    };
  }, []);

  useEffect(() => {
    const keys = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      const isTyping = /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) && (target as HTMLInputElement).type !== 'range';
      if (event.metaKey || event.ctrlKey || event.altKey || isTyping || document.querySelector('dialog[open]')) return;
      if (event.key === '/') {
        event.preventDefault();
        document.getElementById('search')?.focus();
      } else if (event.key === '?') {
        setHelp(true);
      }
    };
    addEventListener('keydown', keys);
    return () => removeEventListener('keydown', keys);
  }, []);

  // A view that was gone to is told to screen readers, and the menu of small screens closes.
  const main = useRef<HTMLElement>(null);
  const isFirst = useRef(true);
  const view = now.parts.join('/');
  useEffect(() => {
    setMenu(false);
    if (isFirst.current) isFirst.current = false;
    else main.current?.focus({ preventScroll: true });
  }, [view]);

  return (
    <div class={`shell${menu ? ' has-menu' : ''}`}>
      <a class="skip" href="#main" onClick={(event) => (event.preventDefault(), main.current?.focus())}>
        Skip to the content
      </a>
      <header class="top">
        <button class="icon-button menu-button" aria-label="Menu" aria-expanded={menu} aria-controls="places" onClick={() => setMenu(!menu)}>
          <Icon name="menu" />
        </button>
        <a class="brand" href="/sessions">
          <svg viewBox="0 0 32 32" aria-hidden="true">
            <path d="M9 8v16M9 18c0-5 12-3 12-9" />
            <circle cx="9" cy="8" r="3" />
            <circle cx="9" cy="24" r="3" />
            <circle cx="21" cy="8" r="3" />
          </svg>
          retold
        </a>
        <SearchBox now={now} />
        <div class="top-end">
          <SignOut key={entry} />
          <ThemeSwitch />
          <button class="icon-button" aria-label="Keyboard shortcuts" title="Keyboard shortcuts (?)" onClick={() => setHelp(true)}>
            <Icon name="help" />
          </button>
        </div>
      </header>
      <nav class="places" id="places" aria-label="Main">
        <ul>
          {places.map((place, at) => (
            <li key={place.path}>
              {at === 2 && <h2 class="places-title">Store</h2>}
              <a href={`/${place.path}`} aria-current={here === place.path ? 'page' : undefined}>
                <Icon name={place.icon} />
                {place.name}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <main id="main" ref={main} tabIndex={-1} key={entry}>
        <View now={now} here={here} />
      </main>
      {help && (
        <Dialog title="Keyboard shortcuts" close={() => setHelp(false)}>
          <dl class="shortcuts">
            {shortcuts.map(([keys, what]) => (
              <div key={keys}>
                <dt>
                  {keys.split(' ').map((key) => (
                    <kbd key={key}>{key}</kbd>
                  ))}
                </dt>
                <dd>{what}</dd>
              </div>
            ))}
          </dl>
        </Dialog>
      )}
      {asked && <AskToken why={asked.why} />}
    </div>
  );
}

function View({ now, here }: { now: Place; here: string }) {
  const title = places.find((place) => place.path === here)?.name ?? (here === 'compare' ? 'Compare' : 'retold');
  const session = here === 'sessions' ? now.parts[1] : undefined;
  useEffect(() => {
    document.title = session ? `${session} – retold` : `${title} – retold`;
  }, [title, session]);
  switch (here) {
    case 'sessions':
      return session ? <SessionPage key={now.parts.join('\n')} session={session} branch={now.parts[2] ?? null} query={now.query} /> : <Sessions query={now.query} />;
    case 'compare':
      return <Compare query={now.query} />;
    case 'search':
      return <Search query={now.query} />;
    case 'projections':
      return <Projections query={now.query} />;
    case 'consumers':
      return <Consumers />;
    case 'dead-letters':
      return <DeadLetters />;
    case 'timers':
      return <Timers />;
    case 'types':
      return <Types query={now.query} />;
    default:
      return (
        <Empty title="There is no such view" icon="search">
          <a href="/sessions">All sessions</a>
        </Empty>
      );
  }
}

function SearchBox({ now }: { now: Place }) {
  const asked = now.parts[0] === 'search' ? (now.query.get('q') ?? '') : '';
  const [text, setText] = useState(asked);
  useEffect(() => setText(asked), [asked]);
  const search = (event: Event) => {
    event.preventDefault();
    const q = text.trim();
    if (!q) return;
    if (now.parts[0] === 'search') set({ q }, { replace: false });
    else go(`/search?${new URLSearchParams({ q })}`);
  };
  return (
    <form class="search-box" role="search" onSubmit={search}>
      <Icon name="search" />
      <input
        id="search"
        type="search"
        aria-label="Search what was said"
        placeholder="Search what was said"
        autocomplete="off"
        spellcheck={false}
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => event.key === 'Escape' && event.currentTarget.blur()}
      />
      <kbd aria-hidden="true">/</kbd>
    </form>
  );
}
