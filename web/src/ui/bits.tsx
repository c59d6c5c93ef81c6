// Small parts that every view uses: status, notes for what is empty or failed, figures, copies.
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { told } from '../api/client';
import { Icon, type IconName } from './icons';

export function Status({ of, live }: { of: string | null | undefined; live?: boolean }) {
  const word = of ?? 'no status';
  return (
    <span class={`status phase-${of ?? 'none'}${live ? ' is-live' : ''}`}>
      <i class="dot" aria-hidden="true" />
      {word}
    </span>
  );
}

export function Failed({ error, again }: { error: unknown; again?: () => void }) {
  return (
    <div class="note note-bad" role="alert">
      <p>{told(error)}</p>
      {again && (
        <button class="button" onClick={again}>
          Try again
        </button>
      )}
    </div>
  );
}

export function Empty({ title, children, icon }: { title: string; children?: ComponentChildren; icon?: IconName }) {
  return (
    <div class="empty">
      {icon && <Icon name={icon} />}
      <h2>{title}</h2>
      {children && <p>{children}</p>}
    </div>
  );
}

export function Loading({ what }: { what: string }) {
  return (
    <div class="loading" role="status">
      <span class="visually-hidden">Loading {what}</span>
      <i />
      <i />
      <i />
    </div>
  );
}

export function Figure({ name, children, title }: { name: string; children: ComponentChildren; title?: string }) {
  return (
    <div class="figure" title={title}>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

export function Bar({ of, label }: { of: number; label: string }) {
  const percent = Math.round(Math.min(1, Math.max(0, of)) * 100);
  return (
    <span class="bar" role="img" aria-label={`${label}: ${percent} %`}>
      <i style={{ width: `${percent}%` }} />
    </span>
  );
}

export function Copy({ text, label }: { text: string; label: string }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    await navigator.clipboard?.writeText(text).catch(() => undefined);
    setDone(true);
    setTimeout(() => setDone(false), 1_500);
  };
  return (
    <button class="icon-button" aria-label={done ? 'Copied' : `Copy ${label}`} title={done ? 'Copied' : `Copy ${label}`} onClick={copy}>
      <Icon name="copy" />
    </button>
  );
}

export interface Tab {
  id: string;
  name: string;
}

/** One of several: arrow keys move between them. */
export function Tabs(props: { label: string; tabs: Tab[]; now: string; controls: string; choose: (id: string) => void }) {
  const move = (event: KeyboardEvent) => {
    const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const at = props.tabs.findIndex((tab) => tab.id === props.now);
    const next = props.tabs[(at + step + props.tabs.length) % props.tabs.length];
    if (!next) return;
    props.choose(next.id);
    ((event.currentTarget as Element).querySelector(`[data-tab="${next.id}"]`) as HTMLElement | null)?.focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label={props.label} onKeyDown={move}>
      {props.tabs.map((tab) => (
        <button
          key={tab.id}
          role="tab"
          data-tab={tab.id}
          id={`${props.controls}-${tab.id}`}
          aria-selected={tab.id === props.now}
          aria-controls={props.controls}
          tabIndex={tab.id === props.now ? 0 : -1}
          onClick={() => props.choose(tab.id)}
        >
          {tab.name}
        </button>
      ))}
    </div>
  );
}
