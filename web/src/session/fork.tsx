// A new branch, from the event that is looked at.
import { useState } from 'preact/hooks';
import { path, send, told } from '../api/client';
import type { Branch } from '../api/types';
import { go, to } from '../router';
import { Dialog } from '../ui/dialog';

export function Fork({ session, branch, at, close }: { session: string; branch: string; at: number; close: () => void }) {
  const [name, setName] = useState('');
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const fork = async (event: Event) => {
    event.preventDefault();
    if (busy || !name.trim()) return;
    setBusy(true);
    setError(null);
    try {
      const made = await send<Branch>('POST', `${path.session(session)}/branches`, { name: name.trim(), from: { branch, sequence: at } });
      close();
      go(to.branch(session, made?.branch ?? name.trim()));
    } catch (failed) {
      setError(failed);
      setBusy(false);
    }
  };
  return (
    <Dialog title={`Fork ${branch} at event ${at}`} close={close}>
      <form class="form" onSubmit={fork}>
        <label class="field">
          <span>Name of the new branch</span>
          <input autofocus autocomplete="off" spellcheck={false} value={name} onInput={(event) => setName(event.currentTarget.value)} />
        </label>
        <p class="hint">
          It shares events 1 to {at.toLocaleString('en-US')} with {branch}. Nothing is copied, and {branch} stays as it is.
        </p>
        {error !== null && (
          <p class="note note-bad" role="alert">
            {told(error)}
          </p>
        )}
        <div class="form-end">
          <button class="button" type="button" onClick={close}>
            Cancel
          </button>
          <button class="button is-main" type="submit" disabled={busy || !name.trim()}>
            Fork
          </button>
        </div>
      </form>
    </Dialog>
  );
}
