// A server for developing the page: sessions that are made up, in memory, and a run that goes on. Not part of `retold`.
// node dev/mock.mjs [PORT] serves server/page as `retold serve` does; with `vite`, the page is built anew as it is edited.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';

const port = Number(process.argv[2] ?? 7878);
const start = Date.now() - 3_600_000;
const sessions = new Map();
const begun = new Map();
const followers = new Set();
let position = 0;

function branchOf(session, branch) {
  return sessions.get(session)?.get(branch);
}

function events(session, branch) {
  const of = branchOf(session, branch);
  const before = of.parent ? events(session, of.parent).slice(0, of.forked_at) : [];
  return [...before, ...of.own];
}

function append(session, type, data, more = {}, branch = 'main') {
  if (!sessions.has(session)) sessions.set(session, new Map());
  const all = sessions.get(session);
  if (!all.has(branch)) all.set(branch, { parent: null, forked_at: null, own: [], created: new Date().toISOString() });
  const sequence = events(session, branch).length + 1;
  if (!begun.has(session)) begun.set(session, Date.now() - 240_000 - begun.size * 17 * 60_000);
  const time = new Date(more.time ?? Math.min(Date.now(), begun.get(session) + sequence * (session === 'long-run' ? 20 : 3_000))).toISOString();
  const id = `019${String(position).padStart(5, '0')}-7a1b-7c3d-8e4f-${String(sequence).padStart(12, '0')}`;
  const { speaker, text, tool, error, usage, phase, actor } = more;
  const event = { id, session, branch, sequence, position: ++position, type, version: 1, time, recorded: time, source: 'mock', ...(actor && { actor }), data };
  const entry = { event: `${session}/${branch}@${sequence}`, id, time, type, summary: text ?? JSON.stringify(data), ...(speaker && { speaker, parts: [{ speaker, text: text ?? '', ...(tool && { tool }), ...(error && { error }) }] }), ...usage };
  const made = { event, entry, phase, usage, resource: more.resource, entity: more.entity, progress: more.progress };
  all.get(branch).own.push(made);
  for (const follower of followers) follower(made);
  return made;
}

const files = ['src/login.rs', 'src/session.rs', 'tests/login.rs', 'src/normalize.rs'];
function step(session, n, branch) {
  const call = `t-${n}`;
  const file = files[n % files.length];
  const kind = n % 5;
  if (kind === 0) append(session, 'message.assistant', { text: '' }, { speaker: 'assistant', text: `I look at \`${file}\` next: the name is normalized twice, and the second call drops the umlaut.\n\n- once in \`parse()\`\n- and again in \`lookup()\``, usage: { model: 'large-2', input_tokens: 1200 + n, output_tokens: 180, cost_usd: 0.0123 } }, branch);
  else if (kind === 1) append(session, 'tool.invoked', { tool: 'grep', tool_call_id: call, args: { pattern: 'normalize', path: file } }, { speaker: 'tool_call', tool: 'grep', text: `{"pattern": "normalize", "path": "${file}"}`, entity: ['tool', call, 'running', 'grep'] }, branch);
  else if (kind === 2) append(session, 'tool.completed', { tool: 'grep', tool_call_id: `t-${n - 1}`, result: { hits: 3 } }, { speaker: 'tool_result', tool: 'grep', text: `${file}:7: let name = normalize(&name);\n${file}:19: normalize(name)`, entity: ['tool', `t-${n - 1}`, 'completed', 'grep'] }, branch);
  else if (kind === 3) append(session, 'resource.measured', { cpu: 0.4, memory_bytes: 5e8 }, { resource: { cpu: 0.3 + 0.3 * Math.sin(n / 5), memory_bytes: 4e8 + 3e6 * (n % 70) } }, branch);
  else if (n % 35 === 4) append(session, 'tool.errored', { tool: 'cargo', error: '4 tests failed' }, { speaker: 'tool_result', tool: 'cargo', text: 'error: 4 tests failed', error: true }, branch);
  else append(session, 'task.progress', { task_id: 'k-1', done: n, total: 200 }, { progress: Math.min(1, n / 200) }, branch);
}

function run(session, title, steps, end, branch = 'main') {
  append(session, 'run.started', { run_id: 'r-1', goal: title }, { phase: 'running', entity: ['run', 'r-1', 'running', title], text: title });
  append(session, 'message.user', { text: title }, { speaker: 'user', actor: 'mara', text: title });
  append(session, 'message.thinking', {}, { speaker: 'thinking', text: 'It may be normalize(): it is called twice, and nobody noticed because no test has a name with an umlaut. I had better write the test first, then look where the second call comes from, and only then change anything.' });
  for (let n = 0; n < steps; n++) step(session, n, branch);
  if (end === 'failed') append(session, 'run.failed', { error: '4 tests failed' }, { phase: 'failed', entity: ['run', 'r-1', 'failed', title], text: '4 tests failed' });
  if (end === 'completed') append(session, 'run.completed', { run_id: 'r-1' }, { phase: 'completed', entity: ['run', 'r-1', 'completed', title], text: 'all tests pass' });
}

if (!process.env.MOCK_QUIET) {
  run('live-run', 'Port the importer to the new schema', 12, null);
  run('fix-login', 'Login fails for names with an umlaut', 40, 'failed');
  run('ship-login', 'Ship the login to all regions', 60, 'completed');
  run('long-run', 'Ten thousand events, to scroll through', Number(process.env.MOCK_EVENTS ?? 10_000) - 3, null);
  const subjects = ['Index the documentation', 'Summarize the incident of Tuesday', 'Migrate the billing tests', 'Find the flaky test in search', 'Draft release notes', 'Answer the support queue', 'Profile the importer'];
  for (let n = 0; n < 60; n++) run(`run-${String(n).padStart(3, '0')}`, subjects[n % subjects.length], 5 + ((n * 7) % 31), ['completed', 'failed', 'completed', null][n % 4]);
  sessions.get('fix-login').set('test-first', { parent: 'main', forked_at: 5, own: [], created: new Date().toISOString() });
  for (let n = 5; n < 30; n++) step('fix-login', n + 1, 'test-first');
  append('fix-login', 'run.completed', { run_id: 'r-1' }, { phase: 'completed', entity: ['run', 'r-1', 'completed', 'Login'], text: 'all tests pass' }, 'test-first');

  let n = 12;
  setInterval(() => step('live-run', n++, 'main'), 1_500);
}

function described(session, branch, sequence) {
  const all = events(session, branch).slice(0, sequence ?? Infinity);
  const life = { since: new Date(start).toISOString(), sequence: 0, restarts: 0, failures: 0, transitions: [] };
  const entities = {};
  const measures = {};
  const conversation = { prompts: 0, answers: 0, calls: 0, open: [] };
  const add = (name, value, time) => {
    const of = (measures[name] ??= { last: 0, peak: 0, mean: 0, sum: 0, count: 0, time });
    Object.assign(of, { last: value, peak: Math.max(of.peak, value), sum: of.sum + value, count: of.count + 1, time });
  };
  const progress = { entities: {} };
  for (const { event, entry, phase, usage, resource, entity, progress: fraction } of all) {
    if (phase) Object.assign(life, { phase, sequence: event.sequence, since: event.time, ...(phase === 'failed' && { error: entry.summary }) });
    if (entity) (entities[entity[0]] ??= {})[entity[1]] = { ...life, phase: entity[2], name: entity[3], sequence: event.sequence };
    if (entry.speaker === 'user') conversation.prompts++;
    if (entry.speaker === 'assistant') conversation.answers++;
    if (entry.speaker === 'tool_call') conversation.calls++;
    for (const [name, value] of Object.entries(resource ?? {})) add(name, value, event.time);
    for (const name of ['input_tokens', 'output_tokens', 'cost_usd']) if (usage?.[name]) add(name, usage[name], event.time);
    if (fraction !== undefined) progress.entities = { task: { 'k-1': { name: 'fix', fraction, done: Math.round(fraction * 200), total: 200, milestones: [] } } };
  }
  const tools = Object.entries(entities.tool ?? {}).slice(-40);
  if (entities.tool) entities.tool = Object.fromEntries(tools);
  return { session, branch, current: 'main', sequence: all.length, lifecycle: { session: life, entities, odd: 0 }, conversation, progress, resource: { measures, models: {} } };
}

function card(session) {
  const branches = sessions.get(session);
  const all = events(session, 'main');
  const state = described(session, 'main');
  const m = state.resource.measures;
  const last = all.at(-1).event.time;
  return {
    session, created: all[0].event.time, last, head: all.length, current: 'main', events: [...branches.values()].reduce((sum, of) => sum + of.own.length, 0), branches: branches.size,
    title: all[0].event.data.goal ?? all.find((one) => one.entry.speaker === 'user')?.entry.parts[0].text, status: state.lifecycle.session.phase ?? null, first_occurred: all[0].event.time, last_occurred: last, since: last,
    why: state.lifecycle.session.error ?? null, progress: state.progress.entities.task?.['k-1'].fraction ?? null, left_us: null,
    tokens: (m.input_tokens?.sum ?? 0) + (m.output_tokens?.sum ?? 0), cost_usd: m.cost_usd?.sum ?? 0, errors: all.filter((one) => one.entry.parts?.[0]?.error).length,
    labels: session.startsWith('run-') ? (Number(session.slice(4)) % 3 ? {} : { team: ['search', 'billing', 'docs'][Number(session.slice(4)) % 9 / 3] }) : { prio: '1' },
  };
}

function branchView(session, branch) {
  const of = branchOf(session, branch);
  const all = events(session, branch);
  return { session, branch, parent: of.parent, forked_at: of.forked_at, created: of.created, last: all.at(-1)?.event.time ?? null, head: all.length, events: of.own.length, current: branch === 'main' };
}

function timeline(session, branch) {
  const all = events(session, branch);
  const found = new Map();
  for (const { event, entity } of all) {
    if (!entity) continue;
    const [kind, id, phase, name] = entity;
    const of = found.get(kind + id) ?? { kind, id, name, parent: kind === 'run' ? undefined : { kind: 'run', id: 'r-1' }, spans: [] };
    of.spans.at(-1) && (of.spans.at(-1).to = event.time);
    if (phase === 'running') of.spans.push({ phase, from: event.time, to: all.at(-1).event.time });
    else of.end = phase;
    found.set(kind + id, of);
  }
  return { of: `${session}/${branch}`, events: all.length, from: all[0]?.event.time, to: all.at(-1)?.event.time, entities: [...found.values()].filter((of) => of.spans.length).map((of) => ({ ...of, micros: 0 })), warnings: [] };
}

async function bodyOf(request) {
  let text = '';
  for await (const piece of request) text += piece;
  return text;
}

/** An event that was sent: what it says follows from its type. */
function recorded(session, branch, type, data, time) {
  const speaker = { 'message.user': 'user', 'message.assistant': 'assistant', 'tool.invoked': 'tool_call', 'tool.completed': 'tool_result' }[type];
  const phase = { 'run.started': 'running', 'run.completed': 'completed', 'run.failed': 'failed' }[type];
  const more = { time: time ?? Date.now(), ...(phase && { phase, entity: ['run', data.run_id, phase, data.run_id] }) };
  if (speaker) Object.assign(more, { speaker, text: data.text ?? JSON.stringify(data.args ?? data.result ?? data), ...(data.tool && { tool: data.tool }) });
  return append(session, type, data, more, branch);
}

const problem = (status, detail) => ({ status, body: { type: 'urn:retold:problem:not-found', title: 'Problem', status, detail } });
const ok = (body, status = 200) => ({ status, body });

async function api(method, parts, query, request, response) {
  const [noun, session, sub, branch, verb, sequence] = parts;
  const number = (name) => (query.has(name) ? Number(query.get(name)) : undefined);
  const limit = number('limit') ?? 100;
  if (noun === 'sessions' && !session) {
    const title = (query.get('title') ?? '').replaceAll('*', '').toLowerCase();
    let cards = [...sessions.keys()].map(card).sort((a, b) => b.last.localeCompare(a.last));
    cards = cards.filter((one) => (!title || one.title.toLowerCase().includes(title)) && (!query.has('status') || query.getAll('status').includes(one.status ?? 'none')));
    const from = query.has('after') ? cards.findIndex((one) => one.session === query.get('after')) + 1 : 0;
    return ok({ sessions: cards.slice(from, from + limit), next: cards.length > from + limit ? cards[from + limit - 1].session : null });
  }
  if (noun === 'sessions') {
    if (!sessions.has(session) && verb !== 'events') return problem(404, `there is no session "${session}"`);
    if (!sub) return ok(card(session));
    if (sub === 'branches' && !branch) {
      if (method === 'GET') return ok({ branches: [...sessions.get(session).keys()].map((name) => branchView(session, name)), next: null });
      const { name, from } = JSON.parse(await bodyOf(request));
      if (branchOf(session, name)) return problem(409, `the branch "${session}/${name}" already exists`);
      sessions.get(session).set(name, { parent: from.branch, forked_at: from.sequence, own: [], created: new Date().toISOString() });
      return ok(branchView(session, name), 201);
    }
    if (!branchOf(session, branch) && method !== 'POST') return problem(404, `there is no branch "${session}/${branch}"`);
    if (verb === 'events' && method === 'POST') {
      const sent = JSON.parse(await bodyOf(request));
      const made = [sent].flat().map(({ type, data, time }) => recorded(session, branch, type, data, time));
      return ok({ session, branch, first: made[0].event.sequence, last: made.at(-1).event.sequence, position, duplicate: false }, 201);
    }
    if (verb === 'describe') return ok(described(session, branch, number('sequence')));
    if (verb === 'timeline') return ok(timeline(session, branch));
    const all = events(session, branch);
    const from = number('from') ?? 1;
    if (verb === 'show') {
      const page = all.slice(from - 1, Math.min(number('sequence') ?? all.length, from - 1 + limit));
      return ok({ entries: page.map((one) => one.entry), next: from - 1 + page.length < all.length ? from + page.length : null });
    }
    if (verb === 'events' && sequence) return all[sequence - 1] ? ok(all[sequence - 1].event) : problem(404, `there is no event ${sequence}`);
    if (verb === 'events' && request.headers.accept === 'text/event-stream') {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
      response.flushHeaders();
      const after = Number(request.headers['last-event-id'] ?? from - 1);
      const write = ({ event }) => response.write(`id: ${event.sequence}\nevent: event\ndata: ${JSON.stringify(event)}\n\n`);
      all.slice(after).forEach(write);
      const hear = (made) => made.event.session === session && made.event.branch === branch && write(made);
      followers.add(hear);
      const beat = setInterval(() => response.write(': still here\n\n'), 10_000);
      request.on('close', () => (followers.delete(hear), clearInterval(beat)));
      return null;
    }
    if (verb === 'events') return ok({ events: all.filter(({ event }) => !query.has('since') || event.time >= query.get('since')).slice(0, limit).map((one) => one.event), next: null });
  }
  if (noun === 'diff') {
    const [[s, l], [, r]] = [query.get('left').split('/'), query.get('right').split('/')];
    const [a, b] = [events(s, l), events(s, r)];
    let common = 0;
    while (a[common] && a[common] === b[common]) common++;
    const pairs = [];
    for (let n = common; n < Math.max(a.length, b.length); n++) pairs.push({ sequence: n + 1, alike: a[n]?.entry.summary === b[n]?.entry.summary && a[n]?.event.type === b[n]?.event.type, left: a[n]?.event ?? null, right: b[n]?.event ?? null });
    return ok({ session: s, left: { branch: l, head: a.length }, right: { branch: r, head: b.length }, common, pairs, next: null });
  }
  if (noun === 'search') {
    const word = query.get('q').toLowerCase();
    const hits = [...sessions.keys()].flatMap((s) => events(s, 'main').slice(0, 60)).filter((one) => one.entry.parts?.[0]?.text.toLowerCase().includes(word));
    const bytes = (text) => Buffer.byteLength(text);
    return ok({ hits: hits.slice(0, limit).map(({ event, entry }) => {
      const text = entry.parts[0].text.slice(0, 200);
      const at = text.toLowerCase().indexOf(word);
      return { address: entry.event, score: 1, speaker: entry.speaker, snippet: text, marks: at < 0 ? [] : [[bytes(text.slice(0, at)), bytes(text.slice(0, at + word.length))]], event };
    }), next: hits.length > limit ? limit : null });
  }
  const at = new Date(start).toISOString();
  if (noun === 'projections' && sub) return ok({ projection: session, rebuild: null });
  if (noun === 'projections') return ok({ projections: ['conversation', 'counts', 'coverage', 'lifecycle', 'progress', 'resource', 'stats'].map((name, n) => ({ name, version: 2, next_version: 2, scope: n % 2 ? 'branch' : 'session', position, lag: n === 3 ? 120 : 0, parked: n === 4 ? [{ of: 'fix-login/main', at: 'fix-login/main@12', position: 12, reason: 'the payload has no field "total"', since: at }] : [] })), next: null });
  if (noun === 'consumers') return ok({ consumers: [{ name: 'mailer', created: at, ack_floor: 900, lag: 12, acknowledged: 870, set_aside: 0, dead_letters: 2, settings: {}, outstanding: [{ event: 'fix-login/main@12', position: 901, deliveries: 2, first: at, due: new Date(Date.now() + 20_000).toISOString() }] }, { name: 'indexer', created: at, ack_floor: position, lag: 0, acknowledged: position, set_aside: 0, dead_letters: 0, settings: {}, outstanding: [] }], next: null });
  if (noun === 'dead-letters') return ok({ dead_letters: [4, 9].map((n) => ({ owner: 'consumer:mailer', position: n, at: `fix-login/main@${n}`, id: 'x', type: 'tool.completed', error: 'the mail server refused the recipient', deliveries: 5, first: at, last: at, again: false })), next: null });
  if (noun === 'timers') return ok({ timers: [{ id: 'x', session: 'ship-login', branch: 'main', type: 'step.timeout', due: new Date(Date.now() + 95_000).toISOString(), clock: 'after', made: at }], next: null });
  if (noun === 'types') return ok({ types: ['agent', 'approval', 'coder', 'message', 'plan', 'resource', 'run', 'task', 'tool'].flatMap((domain, d) => Array.from({ length: 6 + d }, (_, n) => ({ name: `${domain}.${['started', 'completed', 'failed', 'progress', 'created', 'measured', 'paused', 'resumed'][n % 8]}${n > 7 ? n : ''}`, known: true, domain, events: (n + d) % 3 ? 0 : 12 * n + 3, ...((n + d) % 3 ? {} : { first: at, last: at }) }))), next: null });
  return problem(404, 'there is nothing here');
}

const kinds = { '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.html': 'text/html' };
createServer(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url, 'http://localhost');
  if (pathname.startsWith('/v1/')) {
    const answer = await api(request.method, pathname.slice(4).split('/').map(decodeURIComponent), searchParams, request, response).catch((error) => problem(500, String(error)));
    if (!answer) return;
    response.writeHead(answer.status, { 'content-type': answer.status < 400 ? 'application/json' : 'application/problem+json' });
    response.end(JSON.stringify(answer.body));
    return;
  }
  const file = pathname.startsWith('/assets/') ? pathname : '/index.html';
  const body = await readFile(new URL(`../../server/page${file}`, import.meta.url)).catch(() => null);
  const policy = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
  response.writeHead(body ? 200 : 404, { 'content-type': kinds[extname(file)] ?? 'text/plain', 'content-security-policy': policy });
  response.end(body ?? '');
}).listen(port, '127.0.0.1', function () {
  console.log(`http://127.0.0.1:${this.address().port}`);
});
