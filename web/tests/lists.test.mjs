// Lists: filters in the address, search, and what the store keeps.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Server, browse, opened, program, story } from './harness.mjs';

let server, browser;
before(async () => {
  server = await Server.start();
  browser = await browse();
  await server.append('tale', story());
  await server.append('open-tale', story('r-2', 'Draft the release notes').slice(0, 4));
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

test('filters are in the address, and an address has its filters', async () => {
  const { page, close } = await opened(browser, `${server.url}/sessions`);
  await page.getByRole('option').filter({ hasText: 'open-tale' }).waitFor();
  await page.getByLabel('Title contains').fill('umlaut');
  await page.getByRole('option').filter({ hasText: 'open-tale' }).waitFor({ state: 'detached' });
  assert.equal(new URL(page.url()).searchParams.get('title'), 'umlaut');
  await page.goto(`${server.url}/sessions?status=running`);
  await page.getByRole('option').filter({ hasText: 'open-tale' }).waitFor();
  assert.equal(await page.getByLabel('Status', { exact: true }).inputValue(), 'running');
  await page.getByRole('button', { name: 'Save filter' }).click();
  await page.getByLabel('Name of the filter').fill('Going on');
  await page.keyboard.press('Enter');
  await page.goto(`${server.url}/sessions`);
  await page.getByRole('button', { name: 'Going on', exact: true }).click();
  await page.waitForURL('**/sessions?status=running');
  await page.goto(`${server.url}/sessions?title=nothing-has-this`);
  await page.getByRole('heading', { name: 'No session matches' }).waitFor();
  await close();
});

test('search finds what was said, and leads to the event', async () => {
  const { page, close } = await opened(browser, `${server.url}/sessions`);
  await page.getByRole('heading', { level: 1 }).waitFor();
  await page.keyboard.press('/');
  await page.keyboard.type('umlaut');
  await page.keyboard.press('Enter');
  await page.waitForURL('**/search?q=umlaut');
  const hit = page.getByRole('link').filter({ hasText: 'tale/main@' }).first();
  await hit.waitFor();
  assert.match((await page.locator('mark').first().innerText()).toLowerCase(), /umlaut/);
  await hit.click();
  await page.waitForURL('**/sessions/**at=**');
  await page.locator('article[aria-current="true"]').waitFor();
  await close();
});

test('what the store keeps is listed', async () => {
  const { page, close } = await opened(browser, `${server.url}/projections`);
  for (const [path, title] of Object.entries({ projections: 'Projections', consumers: 'Consumers', 'dead-letters': 'Dead letters', timers: 'Timers', types: 'Types' })) {
    await page.goto(`${server.url}/${path}`);
    await page.getByRole('heading', { level: 1, name: title }).waitFor();
    await page.locator('.listing, .empty').first().waitFor();
    assert.equal(await page.getByRole('alert').count(), 0, path);
  }
  await page.getByText('types of the catalogue were recorded').waitFor();
  await close();
});

test('a projection is rebuilt', async () => {
  const { page, close } = await opened(browser, `${server.url}/sessions/tale/main?panel=state`);
  await page.getByText('After event 7').waitFor();
  await page.goto(`${server.url}/projections`);
  await page.getByRole('button', { name: 'Rebuild lifecycle' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Rebuild' }).click();
  await page.getByRole('button', { name: 'Done' }).waitFor();
  await close();
});

test('what is not there is said in a sentence', async () => {
  const { page, close } = await opened(browser, `${server.url}/sessions/no-such-session`, { expected: /404/ });
  assert.match(await page.getByRole('alert').innerText(), /no-such-session.*\./);
  await page.goto(`${server.url}/sessions/tale/no-such-branch`);
  await page.getByRole('heading', { name: 'tale has no branch no-such-branch' }).waitFor();
  await close();
});

test('a token is asked for once, and a wrong one is refused', { skip: !program && 'the made-up server has no tokens' }, async () => {
  const closed = await Server.start({ tokens: '[[token]]\nname = "me"\nsecret = "a-secret-that-is-long-enough-1"\nscope = "admin"\n' });
  try {
    await closed.append('hidden', story(), { token: 'a-secret-that-is-long-enough-1' });
    const { page, close } = await opened(browser, `${closed.url}/sessions`, { expected: /401/ });
    const dialog = page.getByRole('dialog', { name: 'This server needs a token' });
    await dialog.getByLabel('Token').fill('wrong');
    await dialog.getByRole('button', { name: 'Continue' }).click();
    await dialog.getByRole('alert').waitFor();
    await dialog.getByLabel('Token').fill('a-secret-that-is-long-enough-1');
    await dialog.getByRole('button', { name: 'Continue' }).click();
    await page.getByRole('option').filter({ hasText: 'hidden' }).waitFor();
    await page.reload();
    await page.getByRole('option').filter({ hasText: 'hidden' }).click();
    await page.getByText('It is called twice.').waitFor();
    await page.getByRole('button', { name: 'Forget token' }).click();
    await dialog.waitFor();
    await close();
  } finally {
    await closed.stop();
  }
});
