// A session of 10,000 events: it opens at once, scrolls without a stall, and draws only what is seen.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Server, browse, opened } from './harness.mjs';

const EVENTS = 10_000;
/** Generous, for machines that do something else too. */
const OPEN_MS = 10_000;
const FRAME_P95_MS = 70;
const FRAME_MS = 500;
const MOST_NODES = 2_500;

let server, browser;
before(async () => {
  server = await Server.start();
  browser = await browse();
  for (let from = 0; from < EVENTS; from += 500) {
    await server.append('long', Array.from({ length: 500 }, (_, n) => ({ type: 'message.assistant', data: { text: `Message ${from + n + 1}. ${'It says more than one line can hold. '.repeat((from + n) % 7)}` } })));
  }
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

test('it opens in time, at its beginning and at any event', async () => {
  const { page, close } = await opened(browser, 'about:blank');
  for (const [path, shown] of [['', 'Message 1.'], ['?at=7777', 'Message 7777.'], [`?at=${EVENTS}`, `Message ${EVENTS}.`]]) {
    const began = performance.now();
    await page.goto(`${server.url}/sessions/long/main${path}`);
    await page.locator('.transcript').getByText(shown).first().waitFor();
    const took = performance.now() - began;
    console.log(`      ${path || 'the beginning'}: interactive after ${took.toFixed(0)} ms`);
    assert.ok(took < OPEN_MS, `${path}: ${took} ms`);
  }
  await close();
});

test('it scrolls without a stall', async () => {
  const { page, close } = await opened(browser, `${server.url}/sessions/long/main`);
  await page.locator('.transcript').getByText('Message 1.').first().waitFor();
  // What a page that does nothing gets of this machine now is what there is to compare with.
  const idle = await page.evaluate(() => new Promise((done) => {
    const frames = [];
    let last = performance.now();
    const next = (now) => {
      frames.push(now - last);
      last = now;
      if (frames.length < 60) requestAnimationFrame(next);
      else done(frames.slice(2).sort((a, b) => a - b));
    };
    requestAnimationFrame(next);
  }));
  await page.evaluate(() => {
    window.frames_ = [];
    let last = performance.now();
    const next = (now) => {
      window.frames_.push(now - last);
      last = now;
      requestAnimationFrame(next);
    };
    requestAnimationFrame(next);
  });
  await page.locator('.transcript').hover();
  for (let n = 0; n < 60; n++) await page.mouse.wheel(0, n < 40 ? 900 : -700);
  // Before all of it is there, the end of it is another one.
  await page.locator('.transcript[aria-busy="false"]').waitFor();
  await page.evaluate(() => (document.querySelector('.transcript').scrollTop = 1e9));
  await page.locator('.transcript').getByText(`Message ${EVENTS}.`).waitFor();
  const { frames, nodes } = await page.evaluate(() => ({ frames: window.frames_.slice(2).sort((a, b) => a - b), nodes: document.querySelectorAll('*').length }));
  const p95 = frames[Math.floor(frames.length * 0.95)];
  console.log(`      ${frames.length} frames, 95 % within ${p95.toFixed(0)} ms, the longest ${frames.at(-1).toFixed(0)} ms, ${nodes} elements`);
  assert.ok(p95 < Math.max(FRAME_P95_MS, 4 * idle[Math.floor(idle.length * 0.95)]), `${p95} ms`);
  assert.ok(frames.at(-1) < Math.max(FRAME_MS, 4 * idle.at(-1)), `${frames.at(-1)} ms`);
  assert.ok(nodes < MOST_NODES, `${nodes} elements`);
  await close();
});

test('the reader stays at the event that was chosen while what is above it loads', async () => {
  const { page, close } = await opened(browser, `${server.url}/sessions/long/main?at=5000`);
  const row = page.locator('article[data-sequence="5000"]');
  await row.getByText('Message 5000.').waitFor();
  // Everything else is loaded meanwhile, which is when rows above get their real heights.
  await page.locator('.transcript[aria-busy="false"]').waitFor();
  const [box, view] = [await row.boundingBox(), await page.locator('.transcript').boundingBox()];
  assert.ok(box.y >= view.y && box.y + box.height <= view.y + view.height, JSON.stringify({ box, view }));
  await close();
});
