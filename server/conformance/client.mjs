// What the TypeScript client of Durable Streams does against `retold serve`: writes, follows, resumes, forks, closes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DurableStream, IdempotentProducer, stream } from '@durable-streams/client';

const root = `${process.env.URL}/v1/stream/typescript/${Date.now()}`;
const json = 'application/json';

/** The first `count` items of a live read, and the offset after them. */
async function followed(of, opts, count) {
  const res = await of.stream({ live: 'sse', ...opts });
  const items = [];
  return new Promise((resolve, reject) => {
    res.closed.catch(reject);
    const end = res.subscribeJson(async (batch) => {
      items.push(...batch.items);
      if (items.length >= count) {
        end();
        res.cancel();
        resolve({ items, offset: batch.offset });
      }
    });
  });
}

test('a stream is written, followed while it is, and resumed', async () => {
  const chat = await DurableStream.create({ url: `${root}/chat`, contentType: json });
  for (const live of ['sse', 'long-poll']) {
    const before = (await chat.head()).offset;
    const following = followed(chat, { live, offset: before }, 4);
    for (let n = 1; n <= 4; n += 1) await chat.append(JSON.stringify({ live, n }));
    const { items, offset } = await following;
    assert.deepEqual(items, [1, 2, 3, 4].map((n) => ({ live, n })));
    await chat.append(JSON.stringify({ live, n: 5 }));
    const rest = await (await stream({ url: chat.url, offset, live: false })).json();
    assert.deepEqual(rest, [{ live, n: 5 }]);
  }
  const all = await (await chat.stream({ live: false })).json();
  assert.equal(all.length, 10);
});

test('a producer that sends again is recorded once, and closes', async () => {
  const log = await DurableStream.create({ url: `${root}/log`, contentType: json });
  let requests = 0;
  // Every third answer is lost on the way, and the request sent again.
  const lossy = async (...args) => {
    requests += 1;
    if (requests % 3 === 0) await (await fetch(...args)).text();
    return fetch(...args);
  };
  const producer = new IdempotentProducer(log, 'writer-1', { fetch: lossy, lingerMs: 1, maxBatchBytes: 64, onError: (e) => assert.fail(e) });
  for (let n = 0; n < 40; n += 1) {
    producer.append(JSON.stringify({ n }));
    if (n % 4 === 0) await producer.flush();
  }
  await producer.flush();
  await producer.close(JSON.stringify({ n: 40 }));
  const all = await (await log.stream({ live: false })).json();
  assert.deepEqual(all.map((one) => one.n), Array.from({ length: 41 }, (_, n) => n));
  assert.equal((await log.head()).streamClosed, true);
  await assert.rejects(log.append(JSON.stringify({ n: 41 })));
  assert.ok(requests > 6, `${requests}`);
});

test('a fork goes its own way', async () => {
  const url = `${root}/source`;
  const source = await DurableStream.create({ url, contentType: 'text/plain' });
  await source.append('one ');
  const at = (await source.head()).offset;
  await source.append('two ');
  const headers = { 'Stream-Forked-From': new URL(url).pathname, 'Stream-Fork-Offset': at, 'Stream-Fork-Sub-Offset': '2' };
  const fork = await DurableStream.create({ url: `${root}/fork`, contentType: 'text/plain', headers });
  await fork.append('ist');
  await source.append('three');
  assert.equal(await (await fork.stream({ live: false })).text(), 'one twist');
  assert.equal(await (await source.stream({ live: false })).text(), 'one two three');
  await source.delete();
  assert.equal(await (await fork.stream({ live: false })).text(), 'one twist');
  await assert.rejects(source.stream({ live: false }));
});

test('bytes are bytes, live too, and the end is told', async () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, n) => n);
  const raw = await DurableStream.create({ url: `${root}/raw`, contentType: 'application/octet-stream' });
  const res = await raw.stream({ live: 'sse', offset: '-1' });
  const reading = (async () => {
    const chunks = [];
    for await (const chunk of res.bodyStream()) chunks.push(chunk);
    return Buffer.concat(chunks);
  })();
  await raw.append(bytes);
  await raw.close({ body: bytes });
  assert.deepEqual(await reading, Buffer.concat([bytes, bytes]));
});

test('a session is a stream to read', async () => {
  const session = `typescript-${Date.now()}`;
  const events = [{ type: 'run.started' }, { type: 'run.completed', data: { ok: true } }];
  const sent = await fetch(`${process.env.URL}/v1/sessions/${session}/branches/main/events`, {
    method: 'POST', headers: { 'content-type': json }, body: JSON.stringify(events),
  });
  assert.equal(sent.status, 201);
  const of = new DurableStream({ url: `${process.env.URL}/v1/stream/sessions/${session}/main`, contentType: json });
  const { items } = await followed(of, { offset: '-1' }, 2);
  assert.deepEqual(items.map((event) => [event.sequence, event.type]), [[1, 'run.started'], [2, 'run.completed']]);
  await assert.rejects(of.append('{}'));
});
