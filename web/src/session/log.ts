// The events of a branch as people read them. Only parts that were asked for are loaded: a branch may have millions.
import { get, path } from '../api/client';
import { follow, type LiveState } from '../api/live';
import type { Entry, RecordedEvent } from '../api/types';
import { sequenceOf } from '../ui/format';

const PAGE = 500;
const AT_ONCE = 2;
/** Beyond this, only what is looked at is loaded. */
const PREFETCH = 20_000;
/** New events are loaded together, so often. */
const GATHER_MS = 60;

export class Log extends EventTarget {
  head: number;
  live: LiveState = 'connecting';
  /** Why a part could not be loaded. */
  error: unknown = null;
  private readonly entries = new Map<number, Entry>();
  /** The last sequence that was loaded of each page. */
  private readonly until = new Map<number, number>();
  private readonly waiting: number[] = [];
  private readonly running = new Set<number>();
  private readonly stopped = new AbortController();
  private unfollow: () => void = () => undefined;
  private telling = false;
  private gathering = 0;

  constructor(
    readonly session: string,
    readonly branch: string,
    head: number,
    readonly first: number,
  ) {
    super();
    this.head = head;
  }

  get(sequence: number): Entry | undefined {
    return this.entries.get(sequence);
  }

  /** Whether most of what is loaded are messages; `null` while nothing is. */
  isConversation(isMessage: (entry: Entry) => boolean): boolean | null {
    let messages = 0;
    for (const entry of this.entries.values()) if (isMessage(entry)) messages++;
    return this.entries.size === 0 ? null : messages * 3 >= this.entries.size;
  }

  close(): void {
    this.stopped.abort();
    this.unfollow();
    document.removeEventListener('visibilitychange', this.turned);
    clearTimeout(this.gathering);
  }

  /** Loads what is missing between two sequences, before anything else. */
  want(from: number, to: number): void {
    for (let page = pageOf(Math.max(from, this.first)); page <= pageOf(Math.min(to, this.head)); page++) this.queue(page, true);
    this.pump();
  }

  /** Loads all of it in the background, unless it is very long. */
  prefetch(): void {
    if (this.head - this.first >= PREFETCH) return;
    for (let page = pageOf(this.first); page <= pageOf(this.head); page++) this.queue(page, false);
    this.pump();
  }

  retry(): void {
    this.error = null;
    this.prefetch();
  }

  /** Hears of new events from here on, while the page is seen: browsers have few connections for all their tabs. */
  follow(): void {
    document.addEventListener('visibilitychange', this.turned);
    this.listen();
  }

  private readonly turned = (): void => {
    this.unfollow();
    if (!document.hidden) this.listen();
  };

  /** A sequence that is known is never counted again. */
  private listen(): void {
    this.unfollow = follow(`${path.branch(this.session, this.branch)}/events`, { from: this.head + 1 }, {
      state: (state, why) => {
        this.live = state;
        if (why) this.error = new Error(why);
        this.tell();
      },
      frame: (frame) => {
        if (frame.event !== 'event') return;
        const sequence = sequenceIn(frame.data);
        if (sequence > this.head) this.grow(sequence);
      },
    });
  }

  private grow(head: number): void {
    this.head = head;
    this.tell();
    this.gathering ||= window.setTimeout(() => {
      this.gathering = 0;
      this.want(this.head, this.head);
    }, GATHER_MS);
  }

  private missing(page: number): boolean {
    return (this.until.get(page) ?? 0) < this.end(page);
  }

  private end(page: number): number {
    return Math.min(this.head, (page + 1) * PAGE);
  }

  private queue(page: number, isUrgent: boolean): void {
    if (!this.missing(page) || this.running.has(page)) return;
    const at = this.waiting.indexOf(page);
    if (at >= 0) {
      if (!isUrgent) return;
      this.waiting.splice(at, 1);
    }
    if (isUrgent) this.waiting.unshift(page);
    else this.waiting.push(page);
  }

  private pump(): void {
    while (this.running.size < AT_ONCE && !this.stopped.signal.aborted) {
      const page = this.waiting.shift();
      if (page === undefined) return;
      this.running.add(page);
      void this.load(page).finally(() => {
        this.running.delete(page);
        // It may have grown meanwhile.
        if (!this.error && this.missing(page)) this.queue(page, true);
        this.pump();
      });
    }
  }

  private async load(page: number): Promise<void> {
    let from = Math.max(page * PAGE + 1, (this.until.get(page) ?? 0) + 1, this.first);
    const to = this.end(page);
    const of = `${path.branch(this.session, this.branch)}/show`;
    try {
      while (from <= to) {
        const query = { events: true, from, sequence: to, limit: PAGE };
        const got = await get<{ entries: Entry[]; next: number | null }>(of, query, this.stopped.signal);
        for (const entry of got.entries) this.entries.set(sequenceOf(entry.event), entry);
        from = got.next !== null && got.next > from ? got.next : to + 1;
        this.until.set(page, from - 1);
        this.dispatchEvent(new CustomEvent('loaded', { detail: page * PAGE + 1 }));
        this.tell();
      }
    } catch (error) {
      if (this.stopped.signal.aborted) return;
      this.error = error;
      this.tell();
    }
  }

  /** Says that something has changed, once in a frame. */
  private tell(): void {
    if (this.telling) return;
    this.telling = true;
    requestAnimationFrame(() => {
      this.telling = false;
      if (!this.stopped.signal.aborted) this.dispatchEvent(new Event('changed'));
    });
  }
}

const HEAD = /^\{"session":"(?:[^"\\]|\\.)*","branch":"(?:[^"\\]|\\.)*","sequence":(\d+)[,}]/;

/** It stands before the payload, which may be long and is not needed here. */
function sequenceIn(event: string): number {
  const head = HEAD.exec(event.slice(0, 4096));
  return head ? Number(head[1]) : (JSON.parse(event) as RecordedEvent).sequence;
}

function pageOf(sequence: number): number {
  return Math.floor((sequence - 1) / PAGE);
}
