// What a person sees of a handover to another version, in every window: what it waits for, that writing goes on, and how it ends.

import assert from 'node:assert/strict';
import test from 'node:test';
import { browser, enter, openWindow, picture, prompt, ready } from './lib/browser.js';
import { Gander } from './lib/gander.js';
import { projectIn, temporaryHome } from './lib/places.js';
import { until } from './lib/until.js';

test('every window says what an upgrade waits for; it is cancelled, and interrupts only when somebody says so (G10)', async (t) => {
  const home = temporaryHome();
  const gander = new Gander(t, home, { GANDER_SCRATCH_PACE_MS: '0' });
  await gander.start();
  await gander.api('PATCH', 'config', { default_cwd: projectIn(home, 'project'), default_agent: 'scratch' });
  const { context, problems } = await browser(t);
  const page = await enter(context, gander);
  const other = await openWindow(context, gander, (await gander.post('windows')).id);
  const windows = await Promise.all([page, other].map((one) => new URL(one.url()).pathname.split('/').at(-1)));
  await page.bringToFront();
  await prompt(page, '/stream 20 chunks 5 ms\n/hang');
  await page.locator('[data-kind=message][data-open]').waitFor({ state: 'attached' });

  await gander.post('handover', { to: '99.0.0' });
  for (const shown of [page, other]) {
    await shown.locator('[data-testid=handover][data-state=waiting]').waitFor();
    await shown.getByTestId('handover').getByText('stream 20 chunks').first().waitFor();
  }
  await picture(page, 'handover-waiting');

  // Writing goes on and is saved; sending waits.
  await other.getByTestId('composer-text').fill('written while it waits');
  await until('the draft', async () => (await gander.get(`windows/${windows[1]}`)).draft?.text === 'written while it waits');
  await other.getByTestId('send-waits').waitFor();
  assert.ok(await other.getByTestId('send').isDisabled());
  await other.getByTestId('handover-cancel').click();
  for (const shown of [page, other]) await shown.getByTestId('handover').waitFor({ state: 'detached' });
  assert.equal((await gander.get('handover')).state, 'none');
  assert.ok((await gander.session(await page.getByTestId('window').getAttribute('data-session-id'))).running, 'the turn goes on');
  assert.ok(await other.getByTestId('send').isEnabled());

  // Again, and this time the turn is interrupted by hand: it ends with a seal, and the next start has everything.
  await gander.post('handover', { to: '99.0.0' });
  await page.locator('[data-testid=handover][data-state=waiting]').waitFor();
  await other.getByTestId('composer-text').fill('written at the very last moment');
  await page.getByTestId('handover-interrupt').click();
  assert.equal((await gander.ended).code, 0);
  for (const shown of [page, other]) await shown.locator('[data-testid=window][data-connection=reconnecting]').waitFor();
  await picture(other, 'handover-gone');
  await other.getByTestId('composer-text').press('End');
  await other.getByTestId('composer-text').pressSequentially(', and while nobody answers');
  await gander.start();
  for (const shown of [page, other]) {
    await ready(shown);
    await shown.getByTestId('handover').waitFor({ state: 'detached' });
  }
  const text = 'written at the very last moment, and while nobody answers';
  assert.equal(await other.getByTestId('composer-text').inputValue(), text);
  await until('the draft', async () => (await gander.get(`windows/${windows[1]}`)).draft?.text === text);
  await page.getByTestId('continue').waitFor();
  assert.equal((await gander.cli('verify', '--json')).code, 0);
  assert.deepEqual(problems, []);
});
