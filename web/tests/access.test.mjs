// Every view by axe, in light and dark, wide and on a phone; nothing is wider than the screen.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { Server, browse, opened, story } from './harness.mjs';

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const views = {
  sessions: ['/sessions', '.row'],
  transcript: ['/sessions/tale/main?at=3', '.entry.is-selected'],
  'all events': ['/sessions/tale/main?events=all&at=7', '.entry.is-selected'],
  state: ['/sessions/tale/main?panel=state&view=state&at=4', '.state'],
  branches: ['/sessions/tale/main?panel=branches&view=branches', '.branch-list'],
  waterfall: ['/sessions/tale/main?view=waterfall', '.waterfall .row'],
  charts: ['/sessions/tale/main?view=charts', '.chart, .empty'],
  compare: ['/compare?left=tale%2Fmain&right=tale%2Fretry', '.difference'],
  search: ['/search?q=umlaut', '.hit'],
  projections: ['/projections', '.listing, .empty'],
  consumers: ['/consumers', '.listing, .empty'],
  'dead letters': ['/dead-letters', '.listing, .empty'],
  timers: ['/timers', '.listing, .empty'],
  types: ['/types', '.listing'],
};

let server, browser;
before(async () => {
  server = await Server.start();
  browser = await browse();
  await server.append('tale', story());
  await fetch(`${server.url}/v1/sessions/tale/branches`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ name: 'retry', from: { branch: 'main', sequence: 5 } }) });
  await server.append('tale', [{ type: 'run.failed', data: { run_id: 'r-1', error: 'too slow' } }], { branch: 'retry' });
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

for (const colorScheme of ['light', 'dark']) {
  for (const width of [1280, 390]) {
    test(`every view, ${colorScheme}, ${width} wide`, async (t) => {
      const { page, close } = await opened(browser, `${server.url}/sessions`, { colorScheme, viewport: { width, height: 780 }, reducedMotion: 'reduce' });
      for (const [name, [path, ready]] of Object.entries(views)) {
        await t.test(name, async () => {
          await page.goto(server.url + path);
          await page.locator(ready).first().waitFor();
          await page.evaluate(axe);
          const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
          const told = found.violations.map((one) => `${one.id}: ${one.help}: ${one.nodes.map((node) => node.html.slice(0, 160)).slice(0, 3).join(' | ')}`);
          assert.deepEqual(told, []);
          const wide = await page.evaluate(() => document.documentElement.scrollWidth);
          assert.ok(wide <= width, `${wide} px wide`);
        });
      }
      await close();
    });
  }
}

test('the menu, the dialogs and the switch of colours are reached with the keyboard', async () => {
  const { page, close } = await opened(browser, `${server.url}/sessions`, { viewport: { width: 390, height: 780 } });
  await page.getByRole('heading', { level: 1, name: 'Sessions' }).waitFor();
  await page.keyboard.press('Tab');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Types' }).click();
  await page.getByRole('heading', { level: 1, name: 'Types' }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement?.id), 'main');
  await page.keyboard.press('?');
  await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.getByRole('button', { name: /^Colours: as the system/ }).click();
  await page.getByRole('button', { name: /^Colours: light/ }).click();
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark');
  await page.reload();
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark');
  await close();
});
