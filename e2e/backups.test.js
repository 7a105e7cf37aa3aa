// Backups as a person uses them: made by hand, looked at, and sessions brought back that the journal no longer has.

import assert from 'node:assert/strict';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { browser, enter, picture, prompt } from './lib/browser.js';
import { Gander } from './lib/gander.js';
import { projectIn, temporaryHome } from './lib/places.js';
import { until } from './lib/until.js';

test('sessions come back from a backup, with their window and its draft (G11)', async (t) => {
  const home = temporaryHome();
  const gander = new Gander(t, home, { GANDER_SCRATCH_PACE_MS: '0' });
  await gander.start();
  await gander.api('PATCH', 'config', { default_cwd: projectIn(home, 'project'), default_agent: 'scratch' });
  const { context, problems } = await browser(t);
  let page = await enter(context, gander);
  const ids = [];
  for (const word of ['heron', 'egret']) {
    if (ids.length > 0) {
      await page.getByTestId('new-chat').click();
      await page.locator(`[data-testid=window]:not([data-session-id="${ids.at(-1)}"])`).waitFor();
    }
    await prompt(page, `/echo ${word}`);
    await page.locator('[data-kind=message]', { hasText: word }).waitFor();
    await page.locator('[data-testid=entry][data-kind=turn_ended]').waitFor({ state: 'attached' });
    ids.push(await page.getByTestId('window').getAttribute('data-session-id'));
  }
  await page.getByTestId('composer-text').fill('half a thought');
  await until('the draft', async () => (await gander.get('windows')).windows[0].draft?.text === 'half a thought');
  const before = await Promise.all(ids.map((id) => gander.entries(id)));

  await page.getByTestId('backups').click();
  await page.getByTestId('back-up-now').click();
  await page.getByTestId('backup-result').getByText(/read back and compared/).waitFor();
  await page.getByTestId('verify-backups').click();
  await page.getByTestId('backup-result').getByText(/everything verifies/).waitFor();
  const snapshot = await page.locator('[data-testid=backup][data-reason=hand]').first().getAttribute('data-snapshot');
  await picture(page, 'backups');

  // What is here already stays as it is.
  await page.locator(`[data-snapshot="${snapshot}"]`).getByTestId('restore-backup').click();
  await page.getByTestId('restore-preview').getByText(/Everything in this snapshot is here already/).waitFor();
  await page.keyboard.press('Escape');

  // The journal is gone; the vault is not.
  await gander.kill();
  for (const name of readdirSync(gander.home)) if (/^(journal\.db|witness|index)/.test(name)) rmSync(join(gander.home, name), { recursive: true });
  await gander.start();
  await page.close();
  page = await enter(context, gander);
  await page.getByTestId('backups').click();
  await page.locator(`[data-snapshot="${snapshot}"]`).getByTestId('restore-backup').click();
  await page.locator('[data-testid=restore-step][data-action=added]').nth(1).waitFor();
  // One is left out at first.
  const second = page.locator(`[data-testid=restore-step][data-session-id="${ids[1]}"]`);
  await second.getByRole('checkbox').uncheck();
  await picture(page, 'restore-preview');
  await page.getByTestId('restore-now').click();
  await page.getByTestId('restored').waitFor();
  await page.keyboard.press('Escape');
  assert.deepEqual(await gander.entries(ids[0]), before[0], 'entry for entry');
  await assert.rejects(gander.session(ids[1]), /not_found/);

  // Then the rest, with the window that showed it.
  await page.locator(`[data-snapshot="${snapshot}"]`).getByTestId('restore-backup').click();
  await page.getByTestId('restore-windows').check();
  await page.getByTestId('restore-preview').getByText(/come back with their drafts/).waitFor();
  await page.getByTestId('restore-now').click();
  await page.getByTestId('restored').getByText(/1 window/).waitFor();
  await page.locator(`[data-testid=restore-step][data-session-id="${ids[1]}"]`).getByRole('button', { name: 'Open' }).click();
  await page.locator('[data-kind=message]', { hasText: 'egret' }).waitFor();
  assert.deepEqual(await gander.entries(ids[1]), before[1]);
  const { windows } = await gander.get('windows');
  assert.ok(windows.some((window) => window.session_id === ids[1] && window.draft?.text === 'half a thought'), 'the window and its draft are back');
  assert.equal((await gander.cli('verify', '--json')).code, 0);
  assert.deepEqual(problems, []);
});
