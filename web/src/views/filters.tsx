// Filters under a name. What is saved is the address, so a filter can also be sent to somebody.
import { useState } from 'preact/hooks';
import { go } from '../router';
import { Icon } from '../ui/icons';

const KEY = 'retold-filters';
type Saved = Record<string, string>;

function saved(): Saved {
  try {
    const all: unknown = JSON.parse(localStorage.getItem(KEY) ?? '{}');
    return all && typeof all === 'object' && !Array.isArray(all) ? (all as Saved) : {};
  } catch {
    return {};
  }
}

export function SavedFilters({ query }: { query: URLSearchParams }) {
  const [all, setAll] = useState(saved);
  const [naming, setNaming] = useState(false);
  const [name, setName] = useState('');
  const now = query.toString();
  const keep = (next: Saved) => {
    localStorage.setItem(KEY, JSON.stringify(next));
    setAll(next);
  };
  const save = (event: Event) => {
    event.preventDefault();
    if (name.trim()) keep({ ...all, [name.trim()]: now });
    setNaming(false);
    setName('');
  };
  const isSaved = Object.values(all).includes(now);
  return (
    <>
      {Object.entries(all).map(([title, search]) => (
        <span key={title} class={`chip${search === now ? ' is-on' : ''}`}>
          <button aria-pressed={search === now} onClick={() => go(`/sessions${search ? `?${search}` : ''}`)}>
            {title}
          </button>
          <button
            aria-label={`Remove the filter ${title}`}
            onClick={() => {
              const { [title]: _, ...rest } = all;
              keep(rest);
            }}
          >
            <Icon name="close" />
          </button>
        </span>
      ))}
      {naming ? (
        <form onSubmit={save}>
          <input class="input" autofocus aria-label="Name of the filter" placeholder="Name, then Enter" value={name} onInput={(event) => setName(event.currentTarget.value)} onBlur={() => setNaming(false)} />
        </form>
      ) : (
        now &&
        !isSaved && (
          <button class="button is-quiet" onClick={() => setNaming(true)}>
            <Icon name="bookmark" /> Save filter
          </button>
        )
      )}
    </>
  );
}
