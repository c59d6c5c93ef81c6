// The token: asked for when the server wants one, and forgotten with the tab.
import { useState } from 'preact/hooks';
import { setToken, token } from './api/client';
import { Dialog } from './ui/dialog';

export function AskToken({ why }: { why: string | null }) {
  const [secret, setSecret] = useState('');
  const give = (event: Event) => {
    event.preventDefault();
    if (secret.trim()) setToken(secret.trim());
  };
  return (
    <Dialog title="This server needs a token">
      <form class="form" onSubmit={give}>
        {why && (
          <p class="note note-bad" role="alert">
            {why}
          </p>
        )}
        <label class="field">
          <span>Token</span>
          <input type="password" autocomplete="off" autofocus value={secret} onInput={(event) => setSecret(event.currentTarget.value)} />
        </label>
        <p class="hint">It is kept until this tab is closed. Whoever started the server with --tokens has it.</p>
        <div class="form-end">
          <button class="button is-main" type="submit" disabled={!secret.trim()}>
            Continue
          </button>
        </div>
      </form>
    </Dialog>
  );
}

export function SignOut() {
  if (!token()) return null;
  return (
    <button class="button is-quiet" onClick={() => setToken(null)}>
      Forget token
    </button>
  );
}
