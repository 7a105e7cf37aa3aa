// Who listens instead of looks, or has no mouse: axe-core on the main states, in light and dark, and the order of the focus.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import test from 'node:test';
import { browser, enter, prompt } from './lib/browser.js';
import { Gander } from './lib/gander.js';
import { projectIn, temporaryHome } from './lib/places.js';
import { until } from './lib/until.js';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe finds that keeps somebody out, or nearly. */
async function serious(page) {
  // Not as a script in the page, which its policy forbids.
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  return violations
    .filter((violation) => ['serious', 'critical'].includes(violation.impact))
    .flatMap((violation) => violation.nodes.map((node) => `${violation.id}: ${node.target.join(' ')}: ${node.failureSummary.replace(/\s+/g, ' ')}`));
}

test('no serious barrier in the main states, light and dark', async (t) => {
  const home = temporaryHome();
  const project = projectIn(home, 'project');
  writeFileSync(join(project, 'notes.md'), '# Notes\n\nThe geese fly south.\n');
  const gander = new Gander(t, home, { GANDER_SCRATCH_PACE_MS: '0' });
  await gander.start();
  await gander.api('PATCH', 'config', { default_cwd: project, default_agent: 'scratch' });
  const { context, problems } = await browser(t);
  const page = await enter(context, gander);
  const found = [];
  const look = async (state) => {
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      found.push(...(await serious(page)).map((line) => `${state}, ${colorScheme}: ${line}`));
    }
  };
  const ended = (n) => page.locator('[data-testid=entry][data-kind=turn_ended]').nth(n).waitFor({ state: 'attached' });

  await look('first run');
  await prompt(page, '/echo hello **there**, `code` and a [link](https://example.com)');
  await ended(0);
  await prompt(page, '/edit notes.md: south => north');
  await page.getByTestId('permission').waitFor();
  await look('a permission');
  await page.locator('[data-testid=permission-option][data-kind=allow_once]').click();
  await ended(1);
  await page.locator('[data-testid=entry][data-kind=tool_call] [aria-expanded]').first().click();
  await look('a conversation with an open tool call');
  await prompt(page, '/stream 20 chunks 5 ms\n/hang');
  await page.locator('[data-kind=message][data-open]').waitFor({ state: 'attached' });
  await look('an answer that streams');
  await gander.kill();
  await page.locator('[data-testid=window][data-connection=reconnecting]').waitFor();
  await look('the server gone');
  await gander.start();
  await page.getByTestId('continue').waitFor();
  await look('an interrupted turn');

  await page.getByTestId('session-menu').click();
  await look('the session menu');
  await page.keyboard.press('Escape');
  await page.locator('[data-testid=entry][data-kind=prompt]').first().hover();
  await page.locator('[data-testid=entry][data-kind=prompt]').first().getByTestId('entry-menu').click();
  await page.getByTestId('erase').filter({ visible: true }).click();
  await page.getByTestId('erase-dialog').waitFor();
  await look('the erase dialog');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Control+k');
  await page.getByTestId('palette').waitFor();
  await look('the palette');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Alt+o');
  await page.getByTestId('panel').waitFor();
  await look('the outline');
  await page.keyboard.press('Escape');
  await page.locator('[data-testid=session-row]').first().click({ modifiers: ['Control'] });
  await page.getByTestId('bulk').waitFor();
  await look('several chosen');
  await page.getByTestId('bulk-clear').click();
  await gander.post('backups');
  for (const name of ['backups', 'upgrade', 'findings', 'settings', 'windows', 'archived', 'trashed', 'all']) {
    await page.evaluate((to) => (location.hash = `#/${to}`), name);
    await page.locator(`[data-testid=page][data-page=${name}]`).waitFor();
    if (name === 'backups') await page.getByTestId('backup').first().waitFor();
    await look(`the page ${name}`);
  }
  assert.deepEqual(found, []);
  assert.deepEqual(problems, []);
});

test('a chat, a permission and the palette by the keyboard alone', async (t) => {
  const home = temporaryHome();
  const project = projectIn(home, 'project');
  writeFileSync(join(project, 'notes.md'), 'The geese fly south.\n');
  const gander = new Gander(t, home, { GANDER_SCRATCH_PACE_MS: '0' });
  await gander.start();
  await gander.api('PATCH', 'config', { default_cwd: project, default_agent: 'scratch' });
  const { context, problems } = await browser(t);
  const page = await enter(context, gander);
  const focused = () => page.evaluate(() => document.activeElement?.getAttribute('data-testid') ?? document.activeElement?.tagName ?? '');
  // The prompt has the focus at the start, and what belongs to it follows in its order.
  await until('the focus in the prompt', async () => (await focused()) === 'composer-text');
  await page.keyboard.type('/edit notes.md: south => north');
  await page.keyboard.press('Enter');
  await page.getByTestId('permission').waitFor();
  assert.equal(await focused(), 'composer-text', 'a question takes the focus from nobody');
  await page.keyboard.press('Alt+1');
  await page.locator('[data-testid=entry][data-kind=turn_ended]').waitFor({ state: 'attached' });
  assert.match(readFileSync(join(project, 'notes.md'), 'utf8'), /north/);
  // The way to stop it stands among the buttons until the page has heard that nothing runs.
  await page.getByTestId('stop').waitFor({ state: 'detached' });
  await page.locator('[data-testid=composer-text]:not([readonly])').waitFor();

  await page.keyboard.type('a draft');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Tab');
  assert.equal(await focused(), 'send');
  // A dialog takes the focus in, keeps it, and gives it back.
  await page.keyboard.press('Control+k');
  await page.getByTestId('palette').waitFor();
  for (let n = 0; n < 12; n += 1) await page.keyboard.press('Tab');
  assert.ok(await page.evaluate(() => document.activeElement === document.body || document.querySelector('dialog[open]').contains(document.activeElement)));
  await page.keyboard.press('Escape');
  await page.getByTestId('palette').waitFor({ state: 'detached' });
  assert.equal(await focused(), 'send');
  // Nothing moves for somebody who asked for less motion.
  assert.equal(await page.evaluate(() => document.getAnimations().filter((a) => a.playState === 'running').length), 0);
  assert.deepEqual(problems, []);
});
