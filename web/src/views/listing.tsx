// A table of what the server lists, the same for every noun.
import type { ComponentChildren } from 'preact';
import { get, type Query } from '../api/client';
import { useLoad, type Loaded } from '../api/hooks';
import { Empty, Failed, Loading } from '../ui/bits';
import { count } from '../ui/format';
import type { IconName } from '../ui/icons';

const MOST = 20;

/** All pages of a list; a store has few of these, and what is beyond is told. */
export function useListing<T>(of: string, name: string, query: Query = {}, every = 5_000): Loaded<{ items: T[]; more: boolean }> {
  return useLoad(
    `${of} ${JSON.stringify(query)}`,
    async (signal) => {
      const items: T[] = [];
      let after: unknown = null;
      for (let page = 0; page < MOST; page++) {
        const got: Record<string, unknown> = await get<Record<string, unknown>>(of, { ...query, ...(after === null ? {} : { after: String(after) }) }, signal);
        items.push(...((got[name] as T[] | undefined) ?? []));
        after = got.next ?? null;
        if (after === null) break;
      }
      return { items, more: after !== null };
    },
    { every },
  );
}

export interface Column<T> {
  name: string;
  cell: (item: T) => ComponentChildren;
  number?: boolean;
}

interface Props<T> {
  title: string;
  one: string;
  icon: IconName;
  loaded: Loaded<{ items: T[]; more: boolean }>;
  columns: Column<T>[];
  keyOf: (item: T) => string;
  none: ComponentChildren;
  filters?: ComponentChildren;
  after?: ComponentChildren;
  /** Another row below it. */
  below?: (item: T) => ComponentChildren;
}

export function Listing<T>(props: Props<T>) {
  const { title, loaded, columns } = props;
  const items = loaded.data?.items ?? [];
  return (
    <section class="view" aria-labelledby="title">
      <header class="view-head">
        <h1 id="title">{title}</h1>
        {loaded.data && <span class="dim">{loaded.data.more ? `${count(items.length, props.one)} and more` : count(items.length, props.one)}</span>}
      </header>
      {props.filters}
      {loaded.error !== null && <Failed error={loaded.error} again={loaded.reload} />}
      {!loaded.data && loaded.loading && !loaded.error && <Loading what={title.toLowerCase()} />}
      {loaded.data && items.length === 0 && (
        <Empty title={`No ${title.toLowerCase()}`} icon={props.icon}>
          {props.none}
        </Empty>
      )}
      {items.length > 0 && (
        <div class="scroll" tabIndex={0} role="region" aria-label={`Table of ${title.toLowerCase()}`}>
          <table class="listing">
            <thead>
              <tr>
                {columns.map((column) => (
                  <th key={column.name} scope="col" class={column.number ? 'number' : ''}>
                    {column.name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {items.map((item) => {
                const below = props.below?.(item);
                return [
                  <tr key={props.keyOf(item)} class={below ? 'has-below' : ''}>
                    {columns.map((column) => (
                      <td key={column.name} class={column.number ? 'number' : ''} data-name={column.name}>
                        {column.cell(item)}
                      </td>
                    ))}
                  </tr>,
                  below && (
                    <tr key={`${props.keyOf(item)} below`} class="below">
                      <td colSpan={columns.length}>{below}</td>
                    </tr>
                  ),
                ];
              })}
            </tbody>
          </table>
        </div>
      )}
      {props.after}
    </section>
  );
}

export function Lag({ of }: { of: number }) {
  return of === 0 ? <span class="good">up to date</span> : <span class="warn">{count(of, 'event')} behind</span>;
}
