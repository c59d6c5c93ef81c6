// Two people chat in a browser while pages are loaded again and the server of their streams ends and starts: nothing is lost, and
// nothing is there twice. RETOLD names the program; Chromium is found as web/test.sh finds it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { browse, opened } from '../../../web/tests/harness.mjs';

/** Starts a program, and answers with it and the first URL that it says. */
async function started(command, args) {
  const child = spawn(command, args);
  let said = '';
  const url = await new Promise((found, failed) => {
    for (const out of [child.stdout, child.stderr]) {
      out.on('data', (piece) => {
        said += piece;
        const match = /https?:\/\/127\.0\.0\.1:\d+/.exec(said);
        if (match) found(match[0]);
      });
    }
    child.on('exit', (code) => failed(new Error(`${command} ended with ${code}: ${said}`)));
  });
  return { child, url };
}

async function ended({ child }, signal = 'SIGTERM') {
  const exit = once(child, 'exit');
  child.kill(signal);
  await exit;
}

test('a chat survives reloads and restarts', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'retold-chat-'));
  const pages = await started(process.execPath, [fileURLToPath(new URL('chat.mjs', import.meta.url)), '0']);
  const serve = (listen) =>
    started(process.env.RETOLD, ['--store', join(folder, 'chat.redb'), 'serve', '--listen', listen, '--allow-origin', pages.url]);
  let streams = await serve('127.0.0.1:0');
  const listen = streams.url.replace('http://', '');
  const browser = await browse();
  try {
    const at = (me) => `${pages.url}/?server=${encodeURIComponent(streams.url)}&room=r%26d&me=${me}`;
    // Requests fail while the server is away, which the browser says in the console.
    const expected = /Failed to load resource|ERR_CONNECTION|ERR_INCOMPLETE/;
    const people = [await opened(browser, at('ada'), { expected }), await opened(browser, at('bob'), { expected })];
    const [ada, bob] = people.map((person) => person.page);
    const say = async (page, text) => {
      await page.getByLabel('Message').fill(text);
      await page.getByRole('button', { name: 'Send' }).click();
    };
    const sees = async (page, lines) => {
      await page.waitForFunction(
        (count) => document.querySelectorAll('#log li:not(.is-waiting)').length >= count && !document.querySelector('.is-waiting'),
        lines.length,
      );
      assert.deepEqual(await page.locator('#log li').allInnerTexts(), lines);
    };
    await say(ada, 'hello');
    await sees(bob, ['adahello']);
    await say(bob, 'hi <b>there</b>');
    await sees(ada, ['adahello', 'bobhi <b>there</b>']);
    await ada.reload();
    await sees(ada, ['adahello', 'bobhi <b>there</b>']);
    // Said while the server is away, and the page is loaded again before it comes back.
    await ended(streams, 'SIGKILL');
    await say(ada, 'are you there?');
    await say(ada, 'well …');
    await ada.reload();
    assert.equal(await ada.locator('#log li.is-waiting').count(), 2);
    streams = await serve(listen);
    const all = ['adahello', 'bobhi <b>there</b>', 'adaare you there?', 'adawell …'];
    await sees(ada, all);
    await sees(bob, all);
    await say(bob, 'yes');
    for (const page of [ada, bob]) await sees(page, [...all, 'bobyes']);
    await bob.reload();
    await sees(bob, [...all, 'bobyes']);
    for (const person of people) await person.close();
  } finally {
    await browser.close();
    await ended(streams);
    await ended(pages);
    await rm(folder, { recursive: true, force: true });
  }
});
