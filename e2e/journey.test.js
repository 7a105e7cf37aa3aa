// The main job, in a real browser: five windows, a chat in each, SIGKILL in the middle of an answer, and everything back.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { browser, enter, openWindow, picture, prompt, ready, texts } from './lib/browser.js';
import { Gander } from './lib/gander.js';
import { projectIn, temporaryHome } from './lib/places.js';
import { until } from './lib/until.js';

test('five windows come back after SIGKILL, with content, names, drafts and order (G5)', async (t) => {
  const home = temporaryHome();
  const project = projectIn(home, 'project');
  writeFileSync(join(project, 'notes.md'), '# Notes\n\nThe geese fly south.\n');
  const gander = new Gander(t, home, { GANDER_SCRATCH_PACE_MS: '1' });
  await gander.start();
  await gander.api('PATCH', 'config', { default_cwd: project, default_agent: 'scratch' });
  const { context, problems } = await browser(t);

  const first = await enter(context, gander);
  const pages = [first];
  const ids = [new URL(first.url()).pathname.split('/').at(-1)];
  await picture(first, '01-first-window');
  for (let index = 1; index < 5; index += 1) {
    const window = await gander.post('windows');
    ids.push(window.id);
    pages.push(await openWindow(context, gander, window.id));
  }
  assert.equal(new Set(ids).size, 5);
  const shownBy = async () => Promise.all(pages.map((page) => page.getByTestId('window').getAttribute('data-session-id')));
  const sessions = await shownBy();
  assert.equal(new Set(sessions).size, 5, 'each window has a session of its own (G6)');

  await t.test('each window chats, and shows what was saved', async () => {
    for (const [index, page] of pages.entries()) {
      await prompt(page, `/echo Window ${index + 1} speaks`);
      await page.locator('[data-kind=message]', { hasText: `Window ${index + 1} speaks` }).waitFor();
      await page.locator('[data-testid=saved-mark][data-state=saved]').waitFor();
    }
    for (const [index, page] of pages.entries()) {
      const said = (await texts(page, 'message')).join('\n');
      for (const other of [1, 2, 3, 4, 5]) assert.equal(said.includes(`Window ${other} speaks`), other === index + 1);
    }
  });

  await t.test('a file is edited only when the person allows it', async () => {
    const page = pages[3];
    await prompt(page, '/edit notes.md: south => north');
    const asked = page.getByTestId('permission');
    await asked.waitFor();
    assert.match(readFileSync(join(project, 'notes.md'), 'utf8'), /fly south/);
    await picture(page, '02-permission');
    await asked.locator('[data-kind=allow_once]').click();
    await page.locator('[data-testid=entry][data-kind=tool_call][data-status=completed]').first().waitFor();
    await page.getByTestId('stop').waitFor({ state: 'detached' });
    await asked.waitFor({ state: 'detached' });
    assert.match(readFileSync(join(project, 'notes.md'), 'utf8'), /fly north/);
    await picture(page, '03-edited');
  });

  await t.test('a session is renamed, and another window sees it', async () => {
    await pages[2].getByTestId('title').click();
    await pages[2].getByTestId('title-input').fill('The third way');
    await pages[2].getByTestId('title-input').press('Enter');
    await pages[0].locator('[data-testid=session-row]', { hasText: 'The third way' }).waitFor();
    const session = await until('the name', async () => {
      const now = await gander.session(sessions[2]);
      return now.named_by === 'user' && now;
    });
    assert.equal(session.name, 'The third way');
    assert.equal(await pages[2].getByTestId('composer-text').inputValue(), '', 'the key that ended the renaming was typed into the prompt');
  });

  const half = 'half a thought,\nand its second line';
  await t.test('a half-typed draft is saved without being sent (G5)', async () => {
    await pages[1].getByTestId('composer-text').pressSequentially(half.split('\n')[0]);
    await pages[1].getByTestId('composer-text').press('Shift+Enter');
    await pages[1].getByTestId('composer-text').pressSequentially(half.split('\n')[1]);
    await pages[1].locator('[data-testid=draft-state][data-state=saved]').waitFor({ state: 'attached' });
    await until('the draft in the journal', async () => (await gander.get(`windows/${ids[1]}`)).draft?.text === half);
  });

  let seen;
  await t.test('SIGKILL in the middle of an answer', async () => {
    // It streams, and then says nothing for ever: the middle of an answer, however slow the machine is.
    await prompt(pages[4], '/stream 40 chunks 5 ms\n/hang');
    await pages[4].locator('[data-kind=message][data-open]').waitFor({ state: 'attached' });
    seen = await until('a long part of an answer', async () => {
      const text = (await pages[4].locator('[data-kind=message][data-open]').allInnerTexts()).join('\n');
      return text.length > 150 && text;
    });
    await picture(pages[4], '04-streaming');
    const names = await Promise.all(pages.map((page) => page.getByTestId('title').innerText()));
    const before = await Promise.all(pages.map((page) => texts(page, 'message')));
    await gander.kill();
    await pages[0].locator('[data-testid=window][data-connection=reconnecting]').waitFor();
    await picture(pages[0], '05-server-gone');
    await gander.start();

    // The pages that stayed open find their own way back.
    for (const page of pages) await ready(page);
    assert.deepEqual(await shownBy(), sessions);
    assert.deepEqual(await Promise.all(pages.map((page) => page.getByTestId('title').innerText())), names);

    // And so do pages that are opened anew, as after a restart of the machine.
    for (const page of pages) await page.close();
    const windows = (await gander.get('windows')).windows.filter((window) => window.open);
    assert.deepEqual(windows.map((window) => window.id), ids);
    for (const [index, id] of ids.entries()) pages[index] = await openWindow(context, gander, id);
    assert.deepEqual(await shownBy(), sessions);
    assert.deepEqual(await Promise.all(pages.map((page) => page.getByTestId('title').innerText())), names);
    for (const index of [0, 1, 2, 3]) {
      await until(`the messages of window ${index + 1}`, async () => (await texts(pages[index], 'message')).length === before[index].length);
      assert.deepEqual(await texts(pages[index], 'message'), before[index]);
    }
    assert.equal(await pages[1].getByTestId('composer-text').inputValue(), half);
  });

  await t.test('what was shown of the answer is there, marked, and Continue works', async () => {
    const page = pages[4];
    await page.locator('[data-testid=entry][data-kind=turn_ended][data-state=interrupted]').waitFor();
    const kept = (await texts(page, 'message')).at(-1);
    const start = seen.replace(/\s+/g, ' ').trim().slice(0, 140);
    assert.ok(kept.replace(/\s+/g, ' ').includes(start), `shown: ${start}\nkept: ${kept}`);
    await picture(page, '06-interrupted');
    await page.getByTestId('continue').click();
    await page.getByTestId('stop').waitFor({ state: 'detached' });
    await page.locator('[data-testid=entry][data-kind=turn_ended][data-state=ended]').last().waitFor({ state: 'attached' });
    await page.getByTestId('continue').waitFor({ state: 'detached' });
    await page.locator('[data-testid=saved-mark][data-state=saved]').waitFor();
    await picture(page, '07-continued');
  });

  await t.test('every session verifies', async () => {
    const verified = await gander.cli('verify', '--json');
    assert.equal(verified.code, 0, verified.out + verified.err);
    assert.deepEqual(verified.json.findings, []);
    assert.ok(verified.json.sessions >= 5);
  });

  await t.test('it is one tool in the dark, too', async () => {
    await pages[3].emulateMedia({ colorScheme: 'dark' });
    await picture(pages[3], '08-dark');
    await pages[0].setViewportSize({ width: 1920, height: 1080 });
    await picture(pages[0], '09-wide');
  });
  assert.deepEqual(problems, [], 'pages complained');
});

test('32 tabs of one browser stay live at once', async (t) => {
  const home = temporaryHome();
  const gander = new Gander(t, home, { GANDER_SCRATCH_PACE_MS: '0' });
  await gander.start();
  await gander.api('PATCH', 'config', { default_cwd: projectIn(home, 'project') });
  const { context, problems } = await browser(t, { viewport: { width: 900, height: 600 } });
  const first = await enter(context, gander);
  const pages = [first];
  for (let count = 1; count < 32; count += 1) pages.push(await openWindow(context, gander, (await gander.post('windows')).id));

  // One session changes; all 32 lists show it, without a reload.
  await prompt(first, '/echo heard by all');
  await first.locator('[data-kind=message]', { hasText: 'heard by all' }).waitFor();
  const session = await first.getByTestId('window').getAttribute('data-session-id');
  await gander.api('PATCH', `sessions/${session}`, { name: 'Seen from everywhere' });
  for (const page of pages) await page.locator('[data-testid=session-row]', { hasText: 'Seen from everywhere' }).waitFor({ state: 'attached' });

  // And each still sends and hears for itself.
  for (const index of [7, 31]) {
    await prompt(pages[index], `/echo tab ${index} is live`);
    await pages[index].locator('[data-kind=message]', { hasText: `tab ${index} is live` }).waitFor();
  }
  for (const page of pages) await ready(page);
  assert.deepEqual(problems, []);
});
