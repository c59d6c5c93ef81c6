// A value of JSON as a tree that opens and closes. Only what is open is drawn, and of long lists a part.
import { useState } from 'preact/hooks';

const SHOWN = 100;
const OPEN_DEPTH = 2;

export function JsonTree({ value }: { value: unknown }) {
  return (
    <div class="json" tabIndex={0} role="region" aria-label="Data as JSON">
      <Node value={value} depth={0} />
    </div>
  );
}

function Node({ name, value, depth }: { name?: string; value: unknown; depth: number }) {
  const isBranch = typeof value === 'object' && value !== null;
  const items = isBranch ? Object.entries(value as object) : [];
  const [open, setOpen] = useState(depth < OPEN_DEPTH && items.length <= 50);
  const [shown, setShown] = useState(SHOWN);
  const label = name === undefined ? null : <span class="json-key">{name}</span>;
  if (!isBranch || items.length === 0) {
    return (
      <div class="json-line">
        {label}
        <Leaf value={value} />
      </div>
    );
  }
  const size = Array.isArray(value) ? `[${items.length}]` : `{${items.length}}`;
  return (
    <div>
      <button class="json-line json-toggle" aria-expanded={open} onClick={() => setOpen(!open)}>
        <i aria-hidden="true">{open ? '▾' : '▸'}</i>
        {label}
        <span class="json-size">{size}</span>
      </button>
      {open && (
        <div class="json-inner">
          {items.slice(0, shown).map(([key, inner]) => (
            <Node key={key} name={key} value={inner} depth={depth + 1} />
          ))}
          {items.length > shown && (
            <button class="link" onClick={() => setShown(shown + 10 * SHOWN)}>
              Show more of {items.length}
            </button>
          )}
        </div>
      )}
    </div>
  );
}

function Leaf({ value }: { value: unknown }) {
  const [whole, setWhole] = useState(false);
  if (typeof value === 'string') {
    const isLong = value.length > 600;
    return (
      <span class="json-text">
        {isLong && !whole ? `${value.slice(0, 600)}…` : value}
        {isLong && (
          <button class="link" onClick={() => setWhole(!whole)}>
            {whole ? 'less' : `all ${value.length.toLocaleString('en-US')} characters`}
          </button>
        )}
      </span>
    );
  }
  const text = value === undefined ? 'nothing' : JSON.stringify(value);
  return <span class={`json-${value === null ? 'null' : typeof value}`}>{text}</span>;
}
