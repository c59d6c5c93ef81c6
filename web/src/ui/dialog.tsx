// A dialog of the browser: it keeps the focus, and Escape closes it.
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { Icon } from './icons';

export function Dialog(props: { title: string; close?: () => void; children: ComponentChildren }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const element = dialog.current;
    if (element && !element.open) element.showModal();
    return () => element?.close();
  }, []);
  const cancel = (event: Event) => {
    event.preventDefault();
    props.close?.();
  };
  return (
    <dialog ref={dialog} class="dialog" aria-labelledby="dialog-title" onCancel={cancel}>
      <header>
        <h2 id="dialog-title">{props.title}</h2>
        {props.close && (
          <button class="icon-button" aria-label="Close" onClick={props.close}>
            <Icon name="close" />
          </button>
        )}
      </header>
      {props.children}
    </dialog>
  );
}
