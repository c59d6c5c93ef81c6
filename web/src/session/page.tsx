// A session: what happened, what was known after each event, and how it goes on.
import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { lazy } from '../ui/lazy';
import { get, path } from '../api/client';
import { useLoad, useNow, useSettled } from '../api/hooks';
import type { Branch, Card, Described } from '../api/types';
import { go, set, to } from '../router';
import { Empty, Failed, Loading, Tabs, type Tab } from '../ui/bits';
import { BranchGraph } from './branches';
import { Detail } from './detail';
import { isMessage } from './entry';
import { Fork } from './fork';
import { Head } from './head';
import { Log } from './log';
import { Scrubber } from './scrubber';
import { StatePanel } from './state';
import { Tail } from './tail';
import { Transcript } from './transcript';
import { Waterfall } from './waterfall';

const Charts = lazy(() => import('./charts'));

const views: Tab[] = [
  { id: 'transcript', name: 'Transcript' },
  { id: 'waterfall', name: 'Waterfall' },
  { id: 'charts', name: 'Charts' },
];
const panels: Tab[] = [
  { id: 'event', name: 'Event' },
  { id: 'state', name: 'State' },
  { id: 'branches', name: 'Branches' },
];

async function allBranches(session: string, signal: AbortSignal): Promise<Branch[]> {
  const found: Branch[] = [];
  let after: string | null = null;
  do {
    const page: { branches: Branch[]; next: string | null } = await get(`${path.session(session)}/branches`, { after, limit: 1000 }, signal);
    found.push(...page.branches);
    after = page.next;
  } while (after);
  return found;
}

export function SessionPage({ session, branch, query }: { session: string; branch: string | null; query: URLSearchParams }) {
  const [again, setAgain] = useState(0);
  const known = useLoad(
    `${session} ${again}`,
    async (signal) => {
      const [card, branches] = await Promise.all([get<Card>(path.session(session), {}, signal), allBranches(session, signal)]);
      return { card, branches };
    },
    { keep: session },
  );
  const card = known.data?.card;
  useEffect(() => {
    if (card && branch === null) go(to.branch(session, card.current), { replace: true });
  }, [card, branch]);
  if (known.error && !known.data) return <Failed error={known.error} again={known.reload} />;
  if (!known.data || branch === null) return <Loading what="the session" />;
  const info = known.data.branches.find((one) => one.branch === branch);
  if (!info) {
    return (
      <Empty title={`${session} has no branch ${branch}`} icon="fork">
        <a href={to.branch(session, known.data.card.current)}>Go to {known.data.card.current}</a>
      </Empty>
    );
  }
  return <BranchPage card={known.data.card} branches={known.data.branches} info={info} query={query} refresh={() => setAgain((n) => n + 1)} />;
}

function BranchPage({ card, branches, info, query, refresh }: { card: Card; branches: Branch[]; info: Branch; query: URLSearchParams; refresh: () => void }) {
  const { session, branch } = info;
  const log = useMemo(() => new Log(session, branch, info.head, info.first ?? 1), [session, branch]);
  const [version, setVersion] = useState(0);
  const asked = Number(query.get('at')) || null;
  const isLive = !info.closed && card.status === 'running';
  const [following, setFollowing] = useState(asked === null && isLive);
  // The head that is shown: while paused, it stays.
  const [shown, setShown] = useState(info.head);
  const [play, setPlay] = useState(false);
  const [forking, setForking] = useState(false);
  const isNarrow = useNarrow();
  const clockNow = useNow(10_000);

  useEffect(() => {
    const changed = () => setVersion((n) => n + 1);
    log.addEventListener('changed', changed);
    log.prefetch();
    if (!info.closed) log.follow();
    return () => {
      log.removeEventListener('changed', changed);
      log.close();
    };
  }, [log]);
  const head = following ? log.head : Math.min(shown, log.head);
  useEffect(() => {
    if (following) setShown(log.head);
  }, [following, log.head]);
  const settledHead = useSettled(log.head, 1_500);
  useEffect(() => {
    if (settledHead > info.head) refresh();
  }, [settledHead]);

  // The stream says that the branch was closed.
  const hasEnded = log.live === 'ended' && log.error === null;
  useEffect(() => {
    if (hasEnded && !info.closed) refresh();
  }, [hasEnded]);

  const at = asked === null ? head : Math.min(Math.max(asked, log.first), log.head);
  const select = useCallback((sequence: number) => {
    setFollowing(false);
    set({ at: String(sequence) });
  }, []);
  const live = useCallback(() => {
    setPlay(false);
    set({ at: null });
    setShown(log.head);
    setFollowing(true);
  }, [log]);
  const pause = useCallback(() => setFollowing(false), []);
  const reachedEnd = useCallback(() => setShown(log.head), [log]);

  const settled = useSettled(at, 40);
  const described = useLoad(
    settled > 0 ? `${session}/${branch}@${settled}` : null,
    (signal) => get<Described>(`${path.branch(session, branch)}/describe`, { sequence: settled, events: 0 }, signal),
    { keep: `${session}/${branch}` },
  );

  const keys = useRef({ at, head, following });
  keys.current = { at, head: log.head, following };
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      if (/^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) && (target as HTMLInputElement).type !== 'range') return;
      if (event.metaKey || event.ctrlKey || event.altKey || document.querySelector('dialog[open]')) return;
      const now = keys.current;
      const moves: Record<string, number> = { '[': now.at - 1, ']': now.at + 1, '{': log.first, '}': now.head };
      const move = moves[event.key];
      if (move !== undefined) select(Math.min(now.head, Math.max(log.first, move)));
      else if (event.key === 'l') now.following ? pause() : live();
      else if (event.key === 'f') setForking(true);
      else return;
      event.preventDefault();
    };
    addEventListener('keydown', pressed);
    return () => removeEventListener('keydown', pressed);
  }, [log]);

  const tabs = isNarrow ? [...views, ...panels] : views;
  const wanted = query.get('view') ?? 'transcript';
  const view = tabs.some((tab) => tab.id === wanted) ? wanted : 'transcript';
  const panel = panels.some((tab) => tab.id === query.get('panel')) ? query.get('panel')! : 'event';
  // Where there are few messages, all events are shown until the reader wants otherwise.
  const conversation = useRef<boolean | null>(null);
  conversation.current ??= log.isConversation(isMessage);
  const chosen = query.get('events');
  const onlyMessages = chosen === null ? conversation.current !== false : chosen !== 'all';
  const inside = { session, branch };
  const panelOf = (id: string) => {
    if (id === 'event') return <Detail {...inside} at={settled} />;
    if (id === 'state') return <StatePanel state={described.data} error={described.error} at={settled} select={select} />;
    return <BranchGraph session={session} branches={branches} now={branch} at={at} clockNow={clockNow} />;
  };
  return (
    <section class="session" aria-labelledby="title">
      <Head card={card} branches={branches} info={info} state={described.data} head={log.head} at={at} fork={() => setForking(true)} clockNow={clockNow} />
      <div class="session-bar">
        <Tabs label="Views of the branch" controls="view" tabs={tabs} now={view} choose={(id) => set({ view: id === 'transcript' ? null : id })} />
        {view === 'transcript' && (
          <label class="check">
            <input type="checkbox" checked={!onlyMessages} onChange={(event) => set({ events: event.currentTarget.checked ? 'all' : 'messages' })} />
            All events
          </label>
        )}
        {!info.closed && <Tail log={log} version={version} following={following} unseen={log.head - head} live={live} pause={pause} />}
      </div>
      {log.error !== null && <Failed error={log.error} again={() => log.retry()} />}
      <div class="session-main">
        <div class="session-view" id="view" role="tabpanel" aria-labelledby={`view-${view}`}>
          {view === 'transcript' &&
            (log.head < log.first ? (
              <Empty title="No events yet">They are shown here as they are appended.</Empty>
            ) : (
              <Transcript log={log} head={head} version={version} at={following ? head : asked === null ? null : at} onlyMessages={onlyMessages} following={following} select={select} leftEnd={pause} reachedEnd={reachedEnd} />
            ))}
          {view === 'waterfall' && <Waterfall {...inside} head={settledHead} time={log.get(at)?.time ?? null} select={select} />}
          {view === 'charts' && <Charts {...inside} first={log.first} head={settledHead} at={at} select={select} />}
          {isNarrow && panels.some((tab) => tab.id === view) && <div class="panel-inner">{panelOf(view)}</div>}
        </div>
        {!isNarrow && (
          <section class="panel" aria-label="Beside the view">
            <Tabs label="Details" controls="panel" tabs={panels} now={panel} choose={(id) => set({ panel: id === 'event' ? null : id })} />
            <div class="panel-inner" id="panel" role="tabpanel" aria-labelledby={`panel-${panel}`}>
              {panelOf(panel)}
            </div>
          </section>
        )}
      </div>
      <Scrubber log={log} head={log.head} version={version} at={at} select={select} play={play} setPlay={setPlay} />
      {forking && at > 0 && <Fork session={session} branch={branch} at={at} close={() => setForking(false)} />}
    </section>
  );
}

function useNarrow(): boolean {
  const rule = useMemo(() => matchMedia('(max-width: 900px)'), []);
  const [is, setIs] = useState(rule.matches);
  useEffect(() => {
    const changed = () => setIs(rule.matches);
    rule.addEventListener('change', changed);
    return () => rule.removeEventListener('change', changed);
  }, [rule]);
  return is;
}
