// Calls of the server. What it refuses becomes a sentence for the reader.

const TOKEN = 'retold-token';

/** Fires when the server asks for a token, and when one was given. */
export const tokens = new EventTarget();

export function token(): string | null {
  return sessionStorage.getItem(TOKEN);
}

export function setToken(secret: string | null): void {
  if (secret) sessionStorage.setItem(TOKEN, secret);
  else sessionStorage.removeItem(TOKEN);
  tokens.dispatchEvent(new Event('changed'));
}

export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly name: string,
    detail: string,
  ) {
    super(sentence(detail));
  }
}

function sentence(text: string): string {
  const trimmed = text.trim();
  const first = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}

export function told(error: unknown): string {
  return error instanceof Error ? sentence(error.message) : 'Something went wrong.';
}

export type Query = Record<string, string | number | boolean | string[] | null | undefined>;

export function url(path: string, query: Query = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined && one !== '' && one !== false) search.append(name, String(one));
    }
  }
  const text = search.toString();
  return text ? `${path}?${text}` : path;
}

export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  const secret = token();
  if (secret) headers.set('authorization', `Bearer ${secret}`);
  let response: Response;
  try {
    response = await fetch(path, { ...init, headers, cache: 'no-store', credentials: 'same-origin' });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new Problem(0, 'unreachable', 'the server does not answer; is `retold serve` still running?');
  }
  if (response.ok) return response;
  const problem = await problemOf(response);
  if (problem.status === 401) tokens.dispatchEvent(new CustomEvent('needed', { detail: secret ? problem.message : null }));
  throw problem;
}

async function problemOf(response: Response): Promise<Problem> {
  const document = await response.json().catch(() => ({}));
  const name = String(document.type ?? '').split(':').pop() || 'http';
  return new Problem(response.status, name, String(document.detail ?? `the server answered ${response.status}`));
}

export async function get<T>(path: string, query: Query = {}, signal?: AbortSignal): Promise<T> {
  const response = await request(url(path, query), { headers: { accept: 'application/json' }, signal: signal ?? null });
  return response.json() as Promise<T>;
}

export async function send<T>(method: 'POST' | 'DELETE', path: string, body?: unknown): Promise<T | null> {
  const init: RequestInit = { method };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { 'content-type': 'application/json' };
  }
  const response = await request(path, init);
  const text = await response.text();
  return text ? (JSON.parse(text) as T) : null;
}

const part = encodeURIComponent;
export const path = {
  session: (session: string) => `/v1/sessions/${part(session)}`,
  branch: (session: string, branch: string) => `/v1/sessions/${part(session)}/branches/${part(branch)}`,
};
