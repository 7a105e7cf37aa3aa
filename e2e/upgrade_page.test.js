// A page that hears of another version than its own. The server is one; what it says of its version is changed on the way.

import assert from 'node:assert/strict';
import test from 'node:test';
import { browser, enter, leaveEnd, openWindow, picture, prompt, ready } from './lib/browser.js';
import { Gander } from './lib/gander.js';
import { projectIn, temporaryHome } from './lib/places.js';
import { until } from './lib/until.js';

test('a page of another version saves its draft, loads itself again once, and is where it was (G5, G10)', async (t) => {
  const home = temporaryHome();
  const gander = new Gander(t, home, { GANDER_SCRATCH_PACE_MS: '0' });
  await gander.start();
  await gander.api('PATCH', 'config', { default_cwd: projectIn(home, 'project'), default_agent: 'scratch' });
  const { context, problems } = await browser(t);
  const page = await enter(context, gander);
  await prompt(page, '/stream 400 chunks 0 ms');
  await page.locator('[data-testid=entry][data-kind=turn_ended]').waitFor({ state: 'attached' });
  await prompt(page, '/stream 400 chunks 0 ms');
  await page.locator('[data-testid=entry][data-kind=turn_ended]').nth(1).waitFor({ state: 'attached' });
  const address = page.url();
  const window = new URL(address).pathname.split('/').at(-1);
  await page.close();

  let version = null;
  const sockets = [];
  const told = await context.newPage();
  await told.routeWebSocket(/\/api\/v1\/changes/, (socket) => {
    const server = socket.connectToServer();
    sockets.push({ socket, server });
    server.onMessage((message) => {
      const changes = [JSON.parse(message)].flat();
      for (const change of changes) if (change.type === 'hello' && version) change.data.version = version;
      socket.send(JSON.stringify(changes));
    });
  });
  await told.goto(address);
  await ready(told);
  let loads = 0;
  told.on('load', () => (loads += 1));

  // In the middle of the conversation, and in the middle of a word.
  const log = told.getByTestId('conversation');
  await leaveEnd(told, 600);
  await until('a place in the middle', async () => ((await gander.get(`windows/${window}`)).scroll?.seq ?? 0) > 0);
  const text = 'a thought\nthat goes on';
  await told.getByTestId('composer-text').fill(text);
  await told.getByTestId('composer-text').evaluate((field) => field.setSelectionRange(4, 9));
  const top = await log.evaluate((node) => node.scrollTop);

  version = '99.0.0';
  for (const { socket, server } of sockets.splice(0)) {
    await server.close();
    await socket.close();
  }
  await until('one load', () => loads === 1);
  await ready(told);
  const field = told.getByTestId('composer-text');
  await until('the draft', async () => (await field.inputValue()) === text);
  await until('the focus and what was selected', async () => field.evaluate((node) => document.activeElement === node && node.selectionStart === 4 && node.selectionEnd === 9));
  await until('the place', async () => Math.abs((await log.evaluate((node) => node.scrollTop)) - top) < 40);

  // The page that came is of the old version still: it says so instead of loading itself for ever.
  await told.getByTestId('stale-page').waitFor();
  await picture(told, 'stale-page');
  assert.equal(loads, 1);
  assert.equal((await gander.get(`windows/${window}`)).draft.text, text);

  // Another page of the same journal, to which nothing strange is said, stays as it is.
  const other = await openWindow(context, gander, (await gander.post('windows')).id);
  assert.equal(await other.getByTestId('stale-page').count(), 0);
  assert.deepEqual(problems, []);
});
