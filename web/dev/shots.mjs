// Pictures of the views, to look at while developing: node dev/shots.mjs [URL] [FOLDER]
import { chromium } from 'playwright-core';
const base = process.argv[2] ?? 'http://127.0.0.1:7878';
const folder = process.argv[3] ?? 'out';
const only = process.argv[4];
const views = {
  sessions: '/sessions',
  session: '/sessions/fix-login/main?at=12',
  state: '/sessions/fix-login/main?at=30&events=all&panel=state',
  branches: '/sessions/fix-login/main?panel=branches',
  waterfall: '/sessions/ship-login/main?view=waterfall&at=20',
  charts: '/sessions/ship-login/main?view=charts',
  compare: '/compare?left=fix-login%2Fmain&right=fix-login%2Ftest-first',
  search: '/search?q=umlaut',
  projections: '/projections',
  consumers: '/consumers',
  types: '/types',
};
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
for (const [scheme, width, height] of [['light', 1280, 800], ['dark', 1280, 800], ['light', 390, 780]]) {
  const page = await browser.newPage({ viewport: { width, height }, colorScheme: scheme });
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && console.log(message.text()));
  page.on('pageerror', (error) => console.log(error.stack));
  for (const [name, path] of Object.entries(views)) {
    if (only && !only.split(',').includes(name)) continue;
    await page.goto(base + path);
    await page.waitForTimeout(700);
    await page.screenshot({ path: `${folder}/${name}-${scheme}-${width}.png` });
  }
  await page.close();
}
await browser.close();
