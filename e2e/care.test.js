// What a person does to sessions on purpose, in a real browser: erasing, and giving a session another folder.

import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { browser, enter, openWindow, picture, prompt } from './lib/browser.js';
import { Gander } from './lib/gander.js';
import { projectIn, temporaryHome } from './lib/places.js';
import { until } from './lib/until.js';

/** A served journal, a project folder, and a page at a window with one finished chat. */
async function chat(t, text) {
  const home = temporaryHome();
  const project = projectIn(home, 'project');
  const gander = new Gander(t, home, { GANDER_SCRATCH_PACE_MS: '0' });
  await gander.start();
  await gander.api('PATCH', 'config', { default_cwd: project, default_agent: 'scratch' });
  const { context, problems } = await browser(t);
  const page = await enter(context, gander);
  await prompt(page, text);
  await page.locator('[data-testid=entry][data-kind=turn_ended][data-state=ended]').waitFor({ state: 'attached' });
  const id = await page.getByTestId('window').getAttribute('data-session-id');
  return { home, project, gander, context, problems, page, id };
}

/** Every file below a folder whose bytes hold `text`. */
function holding(folder, text) {
  return readdirSync(folder, { recursive: true })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile() && readFileSync(path).includes(text));
}

test('one entry is erased for good, and leaves its hash (G2)', async (t) => {
  const secret = 'swordfish-7731';
  const { gander, context, problems, page, id } = await chat(t, `/echo the word is ${secret}`);
  const other = await openWindow(context, gander, (await gander.post('windows', { session_id: id })).id);
  await other.locator('[data-kind=message]', { hasText: secret }).waitFor();
  const before = await gander.entries(id);
  const kinds = ['prompt', 'message'];

  for (const kind of kinds) {
    const entry = page.locator(`[data-testid=entry][data-kind=${kind}]`);
    await entry.hover();
    await entry.getByTestId('entry-menu').click();
    await page.getByTestId('erase').filter({ visible: true }).click();
    const dialog = page.getByTestId('erase-dialog');
    for (const said of [/search index/, /backups/, /hash/, /store of its own/]) await dialog.getByText(said).first().waitFor();
    if (kind === 'prompt') await picture(page, 'erase-dialog');
    await dialog.getByTestId('erase-for-good').click();
    await dialog.waitFor({ state: 'detached' });
    await page.locator(`[data-kind=${kind}] [data-testid=erased]`).waitFor();
  }
  await picture(page, 'erased');

  // Both windows show what is left: the place, and the hash that it had.
  for (const shown of [page, other]) {
    for (const kind of kinds) {
      const hash = before.find((entry) => entry.kind === kind).body_hash;
      await shown.locator(`[data-testid=erased][data-body-hash="${hash}"]`).waitFor();
    }
    await until('the word to leave the page', async () => {
      const line = (await shown.locator('body').innerText()).split('\n').find((text) => text.includes(secret));
      if (line !== undefined) throw new Error(`it says: ${line}`);
      return true;
    });
  }
  const after = await gander.entries(id);
  assert.deepEqual(after.filter((entry) => entry.erased).map((entry) => entry.kind).sort(), ['message', 'named', 'named', 'prompt'], 'the names that repeated the prompt went with it');
  assert.deepEqual(after.slice(0, before.length).map((entry) => entry.hash), before.map((entry) => entry.hash));

  assert.equal((await gander.cli('verify', '--json')).code, 0);
  await until('the word to leave the journal', async () => holding(gander.home, secret).filter((path) => /journal|index|vault|witness/.test(path)).length === 0);
  assert.deepEqual(problems, []);
});

test('a session whose folder was moved goes on in its new place', async (t) => {
  const { home, project, gander, context, problems, page, id } = await chat(t, '/echo first');
  const moved = join(home, 'elsewhere');
  renameSync(project, moved);
  writeFileSync(join(moved, 'only-here.txt'), 'found it\n');

  // Opened again, the conversation is complete, and says what its agent lacks.
  await page.close();
  const windows = (await gander.get('windows')).windows;
  const again = await openWindow(context, gander, windows[0].id);
  await again.locator('[data-kind=message]', { hasText: 'first' }).waitFor();
  await again.getByTestId('folder-gone').waitFor();
  await picture(again, 'folder-gone');
  await again.getByTestId('choose-another-folder').click();
  await again.getByTestId('folder-picker').getByRole('button', { name: 'elsewhere' }).click();
  const path = again.getByTestId('folder-picker').getByLabel('Folder', { exact: true });
  await until('that folder in the dialog', async () => (await path.inputValue()) === moved);
  await again.getByTestId('folder-choose').click();
  await again.getByTestId('folder-gone').waitFor({ state: 'detached' });

  const session = await gander.session(id);
  assert.equal(session.cwd, moved);
  const entries = await gander.entries(id);
  assert.equal(entries.at(-1).kind, 'moved');
  await prompt(again, '/read only-here.txt');
  await again.locator('[data-testid=entry][data-kind=turn_ended][data-state=ended]').nth(1).waitFor({ state: 'attached' });
  assert.match(JSON.stringify(await gander.entries(id)), /found it/);

  // A folder that is there can be changed too, and changed back.
  const third = join(home, 'third');
  mkdirSync(join(third, 'of another name'), { recursive: true });
  await again.getByTestId('session-menu').click();
  await again.getByTestId('relink').click();
  // It begins with where the session is, whatever was typed before it has read that.
  await until('the folder in the dialog', async () => (await path.inputValue()) === moved);
  await path.fill(third);
  await again.keyboard.press('Enter');
  await again.getByTestId('folder-picker').getByRole('button', { name: 'of another name' }).waitFor();
  await again.getByTestId('folder-choose').click();
  await until('the folder', async () => (await gander.session(id)).cwd === third);
  await again.getByTestId('toast').getByRole('button', { name: 'Undo' }).click();
  await until('the folder', async () => (await gander.session(id)).cwd === moved);
  assert.deepEqual(problems, []);
});

test('several sessions are archived, trashed and exported at once, and one undo takes it back', async (t) => {
  const { gander, problems, page, id } = await chat(t, '/echo number 0');
  const ids = [id];
  for (let n = 1; n < 5; n += 1) {
    await page.getByTestId('new-chat').click();
    await page.locator(`[data-testid=window]:not([data-session-id="${ids.at(-1)}"])`).waitFor();
    await prompt(page, `/echo number ${n}`);
    await page.locator('[data-testid=entry][data-kind=turn_ended]').waitFor({ state: 'attached' });
    ids.push(await page.getByTestId('window').getAttribute('data-session-id'));
  }
  const row = (n) => page.locator(`[data-testid=session-row][data-session-id="${ids[n]}"]`);
  // Its list is told of changes in their order: with a new name it has all that happened before.
  const told = async (name) => {
    await gander.api('PATCH', `sessions/${ids[0]}`, { name });
    await row(0).filter({ hasText: name }).waitFor();
  };
  const statuses = async () => (await Promise.all(ids.map((one) => gander.session(one)))).map((session) => session.status);
  await told('All are there');

  // Newest first: 4 is what the window shows. Ctrl takes single ones, Shift all between; neither opens anything.
  await row(3).click({ modifiers: ['Control'] });
  await row(1).click({ modifiers: ['Shift'] });
  await page.locator('[data-testid=bulk][data-count="3"]').waitFor();
  assert.equal(await page.getByTestId('window').getAttribute('data-session-id'), ids[4]);
  await picture(page, 'bulk');
  const download = page.waitForEvent('download');
  await page.getByTestId('bulk-export').click();
  await page.getByTestId('bulk-json').click();
  const file = JSON.parse(readFileSync(await (await download).path(), 'utf8'));
  assert.deepEqual(file.sessions.map((one) => one.session.id).sort(), [ids[1], ids[2], ids[3]].sort());
  assert.deepEqual(file.sessions.find((one) => one.session.id === ids[2]).entries.map((entry) => entry.hash), (await gander.entries(ids[2])).map((entry) => entry.hash));

  await page.getByTestId('bulk-archive').click();
  await until('three archived', async () => (await statuses()).join() === 'active,archived,archived,archived,active');
  await page.getByTestId('toast').filter({ hasText: '3 sessions' }).getByRole('button', { name: 'Undo' }).click();
  await until('all back', async () => (await statuses()).every((status) => status === 'active'));
  await told('All are back');

  // By the keyboard: from the row that the window shows, two more downward, and Delete.
  await row(4).focus();
  await page.keyboard.press('Shift+ArrowDown');
  await page.keyboard.press('Shift+ArrowDown');
  await page.locator('[data-testid=bulk][data-count="3"]').waitFor();
  await page.keyboard.press('Escape');
  await page.getByTestId('bulk').waitFor({ state: 'detached' });
  await row(1).focus();
  await page.keyboard.press('Space');
  await page.keyboard.press('Shift+ArrowDown');
  await page.locator('[data-testid=bulk][data-count="2"]').waitFor();
  await page.keyboard.press('Delete');
  await until('two in the trash', async () => (await statuses()).join() === 'trashed,trashed,active,active,active');
  await page.getByTestId('toast').filter({ hasText: '2 sessions' }).getByRole('button', { name: 'Undo' }).click();
  await until('all back', async () => (await statuses()).every((status) => status === 'active'));
  assert.deepEqual(problems, []);
});

test('a slash offers what the agent can do, by the keyboard', async (t) => {
  const { gander, problems, page, id } = await chat(t, '/echo first');
  const field = page.getByTestId('composer-text');
  await field.pressSequentially('/');
  await page.getByTestId('command').first().waitFor();
  const all = await page.getByTestId('command').count();
  assert.ok(all > 3, `${all} commands`);
  await picture(page, 'commands');
  await field.pressSequentially('ech');
  const echo = page.locator('[data-testid=command][data-name=echo]');
  await echo.waitFor();
  assert.equal(await echo.getAttribute('aria-selected'), 'true');
  assert.equal(await field.getAttribute('aria-activedescendant'), await echo.getAttribute('id'));

  // Escape sends it away and leaves the text; Tab takes it, and what follows is a prompt like any other.
  await page.keyboard.press('Escape');
  await page.getByTestId('commands').waitFor({ state: 'detached' });
  assert.equal(await field.inputValue(), '/ech');
  await field.fill('');
  await field.pressSequentially('/ech');
  await echo.waitFor();
  await page.keyboard.press('Tab');
  assert.equal(await field.inputValue(), '/echo ');
  await page.getByTestId('commands').waitFor({ state: 'detached' });
  await field.pressSequentially('by its command');
  await page.keyboard.press('Enter');
  await page.locator('[data-kind=message]', { hasText: 'by its command' }).waitFor();
  await until('the prompt', async () => (await gander.entries(id)).filter((entry) => entry.kind === 'prompt').length === 2);
  assert.deepEqual(problems, []);
});

test('a purge says what the agents of the session still keep', async (t) => {
  const { gander, problems, page, id } = await chat(t, '/echo gone for good');
  await gander.api('PATCH', `sessions/${id}`, { status: 'trashed' });
  await page.evaluate(() => (location.hash = '#/trashed'));
  await page.getByTestId('purge').click();
  const dialog = page.getByTestId('purge-dialog');
  await dialog.getByRole('textbox').fill('purge');
  await dialog.getByRole('button', { name: 'Purge for good' }).click();
  await page.getByTestId('purged').waitFor();
  await picture(page, 'purged');
  await until('the words to go', async () => (await gander.entries(id)).filter((entry) => entry.kind === 'prompt' || entry.kind === 'message').every((entry) => entry.erased));
  assert.equal((await gander.cli('verify', '--json')).code, 0);
  assert.deepEqual(problems, []);
});

test('an image shows while its answer is still being written, and afterwards', async (t) => {
  const { gander, problems, page, id } = await chat(t, '/echo first');
  // Each command answers in a message of its own: one more of them that speaks would complete the picture's message.
  await prompt(page, '/image\n/hang');
  const open = page.locator('[data-testid=entry][data-kind=message][data-open]');
  await open.locator('img').waitFor();
  assert.ok(await open.locator('img').evaluate((image) => image.decode().then(() => image.naturalWidth > 0)));
  assert.ok((await gander.session(id)).running, 'it is still being written');
  await picture(page, 'image-streaming');
  await gander.kill();
  await gander.start();
  await page.getByTestId('continue').waitFor();
  await page.locator('[data-testid=entry][data-kind=message]:not([data-open]) img').waitFor();
  assert.deepEqual(problems, []);
});
