// A server with a store of its own, a browser, and pages that complain of every error in their console.
// RETOLD names the program; without it, the made-up server of dev/mock.mjs stands in, and what it can't do is left out.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

export const program = process.env.RETOLD ?? null;

/** How long a test waits for what has to come. */
export const PATIENCE = 15_000;

export class Server {
  static async start({ tokens } = {}) {
    const server = new Server();
    server.folder = await mkdtemp(join(tmpdir(), 'retold-page-'));
    server.listen = '127.0.0.1:0';
    if (tokens) {
      server.tokens = join(server.folder, 'tokens.toml');
      await writeFile(server.tokens, tokens, { mode: 0o600 });
    }
    await server.run();
    return server;
  }

  async run() {
    const mock = fileURLToPath(new URL('../dev/mock.mjs', import.meta.url));
    const args = ['--store', join(this.folder, 'store.redb'), 'serve', '--listen', this.listen, ...(this.tokens ? ['--tokens', this.tokens] : [])];
    const env = { ...process.env, MOCK_QUIET: '1', MOCK_EVENTS: '10' };
    this.process = program ? spawn(program, args, { cwd: this.folder }) : spawn(process.execPath, [mock, '0'], { env });
    let said = '';
    this.url = await new Promise((found, failed) => {
      const read = (piece) => {
        said += piece;
        const url = /https?:\/\/[0-9.]+:\d+/.exec(said);
        if (url) found(url[0]);
      };
      this.process.stdout.on('data', read);
      this.process.stderr.on('data', read);
      this.process.on('exit', (code) => failed(new Error(`the server ended with ${code}: ${said}`)));
    });
    this.listen = this.url.replace(/^.*\/\//, '');
  }

  async end() {
    const ended = new Promise((done) => this.process.on('exit', done));
    this.process.kill('SIGTERM');
    await ended;
  }

  async stop() {
    await this.end();
    await rm(this.folder, { recursive: true, force: true });
  }

  async append(session, events, { branch = 'main', token } = {}) {
    const response = await fetch(`${this.url}/v1/sessions/${session}/branches/${branch}/events`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
      body: JSON.stringify(events),
    });
    const text = await response.text();
    assert.ok(response.ok, `${response.status}: ${text}`);
    return JSON.parse(text);
  }
}

export async function browse() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-dev-shm-usage'] });
}

/** A page that fails the test when its console has an error, unless it is one of those that are expected. */
export async function opened(browser, url, { expected = /^$/, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const errors = [];
  page.on('console', (message) => message.type() === 'error' && !expected.test(message.text()) && errors.push(message.text()));
  page.on('pageerror', (error) => errors.push(error.stack));
  await page.goto(url);
  const close = async () => {
    await context.close();
    assert.deepEqual(errors, []);
  };
  return { page, close };
}

export function story(run = 'r-1', title = 'Login fails for names with an umlaut') {
  return [
    { type: 'run.started', data: { run_id: run, goal: title } },
    { type: 'message.user', data: { text: title } },
    { type: 'message.assistant', data: { text: 'I look for `normalize` first.' } },
    { type: 'tool.invoked', data: { tool: 'grep', tool_call_id: 't-1', args: { pattern: 'normalize' } } },
    { type: 'tool.completed', data: { tool: 'grep', tool_call_id: 't-1', result: { hits: 3 } } },
    { type: 'message.assistant', data: { text: 'It is called twice.' } },
    { type: 'run.completed', data: { run_id: run } },
  ];
}
