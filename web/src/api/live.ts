// Follows a stream of server-sent events by fetch, which can send a token. After a break it goes on from the last cursor.
import { Problem, request, url, type Query } from './client';

export type LiveState = 'connecting' | 'live' | 'waiting' | 'ended';

export interface Frame {
  id: string | null;
  event: string;
  data: string;
}

export interface Handlers {
  frame: (frame: Frame) => void;
  state: (state: LiveState, why?: string) => void;
}

/** The server sends something every 10 seconds at the least; after this silence the connection counts as lost. */
const SILENCE_MS = 25_000;
const LONGEST_WAIT_MS = 10_000;

export function follow(path: string, query: Query, handlers: Handlers): () => void {
  const stop = new AbortController();
  void run(path, query, handlers, stop.signal);
  return () => stop.abort();
}

async function run(path: string, query: Query, handlers: Handlers, stopped: AbortSignal): Promise<void> {
  let cursor: string | null = null;
  let wait = 1_000;
  while (!stopped.aborted) {
    handlers.state('connecting');
    const attempt = new AbortController();
    const end = () => attempt.abort();
    stopped.addEventListener('abort', end);
    let silence = 0;
    const began = performance.now();
    const heard = () => {
      clearTimeout(silence);
      silence = window.setTimeout(end, SILENCE_MS);
    };
    try {
      heard();
      const headers: Record<string, string> = { accept: 'text/event-stream' };
      if (cursor) headers['last-event-id'] = cursor;
      const response = await request(url(path, query), { headers, signal: attempt.signal });
      if (!response.body) return;
      handlers.state('live');
      for await (const frame of frames(response.body, heard)) {
        if (frame.id !== null) cursor = frame.id || null;
        if (frame.event === 'event') wait = 1_000;
        handlers.frame(frame);
        if (isLast(frame)) {
          handlers.state('ended');
          return;
        }
      }
    } catch (error) {
      if (stopped.aborted) return;
      if (error instanceof Problem && error.status >= 400 && error.status < 500 && error.status !== 429) {
        handlers.state('ended', error.message);
        return;
      }
    } finally {
      clearTimeout(silence);
      stopped.removeEventListener('abort', end);
    }
    if (stopped.aborted) return;
    if (performance.now() - began > LONGEST_WAIT_MS) wait = 1_000;
    handlers.state('waiting');
    await pause(wait + Math.random() * 300, stopped);
    wait = Math.min(wait * 2, LONGEST_WAIT_MS);
  }
}

/** The branch is closed: nothing will follow. */
function isLast(frame: Frame): boolean {
  return frame.event === 'end' && (JSON.parse(frame.data) as { reason?: string }).reason === 'closed';
}

function pause(ms: number, stopped: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(done, ms);
    stopped.addEventListener('abort', () => (clearTimeout(timer), done()), { once: true });
  });
}

async function* frames(body: ReadableStream<Uint8Array>, heard: () => void): AsyncGenerator<Frame> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  // The pieces of a line that has not ended: a long one comes in many, and each is looked at once.
  let pieces: string[] = [];
  let frame: Frame = { id: null, event: 'message', data: '' };
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard();
      let from = 0;
      for (let end = value.indexOf('\n'); end >= 0; end = value.indexOf('\n', from)) {
        pieces.push(value.slice(from, end));
        from = end + 1;
        const line = pieces.join('').replace(/\r$/, '');
        pieces = [];
        if (line === '') {
          if (frame.data !== '' || frame.id !== null) yield frame;
          frame = { id: null, event: 'message', data: '' };
          continue;
        }
        const cut = line.indexOf(':');
        const name = cut < 0 ? line : line.slice(0, cut);
        const text = cut < 0 ? '' : line.slice(line[cut + 1] === ' ' ? cut + 2 : cut + 1);
        if (name === 'data') frame.data += (frame.data && '\n') + text;
        else if (name === 'event') frame.event = text;
        else if (name === 'id') frame.id = text;
      }
      pieces.push(value.slice(from));
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
