// How a window behaves under a reader's hands, in a real browser: where it stands, how it is divided, what opens.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import test from 'node:test';
import { browser, enter, fromEnd, leaveEnd, openWindow, picture, prompt } from './lib/browser.js';
import { Gander } from './lib/gander.js';
import { projectIn, temporaryHome } from './lib/places.js';
import { until } from './lib/until.js';

async function served(t) {
  const home = temporaryHome(t);
  const gander = new Gander(t, home, { GANDER_SCRATCH_PACE_MS: '0' });
  await gander.start();
  await gander.api('PATCH', 'config', { default_cwd: projectIn(home, 'project'), default_agent: 'scratch' });
  const { context, problems } = await browser(t);
  const page = await enter(context, gander);
  const log = page.getByTestId('conversation');
  const session = () => page.getByTestId('window').getAttribute('data-session-id');
  // In the journal, and in the page, which hears of it later.
  const ended = async (n) => {
    const id = await session();
    await until(`${n} ended turns`, async () => (await gander.entries(id)).filter((entry) => entry.kind === 'turn_ended').length === n);
    await until('the page to have them', async () => (await page.getByTestId('saved-mark').getAttribute('data-seq')) === String((await gander.session(id)).head.seq));
    await page.getByTestId('stop').waitFor({ state: 'detached' });
  };
  return { gander, context, problems, page, log, ended, session };
}

test('a conversation opens at its end, and only the reader leaves it', async (t) => {
  const { gander, problems, page, log, ended } = await served(t);
  for (let n = 1; n <= 4; n++) {
    await prompt(page, '/markdown');
    await ended(n);
  }
  // Code is coloured and rows come into their height after they are shown: the end stays the end.
  for (let n = 0; n < 3; n++) {
    await page.reload();
    await page.locator('[data-kind=message] .hljs-keyword').first().waitFor();
    await until('the end', async () => (await fromEnd(page)) < 2);
  }

  await leaveEnd(page, 900);
  await prompt(page, '/echo down here');
  // Sending goes to the end. Up again: what comes now is announced, and nothing moves.
  await until('the end', async () => (await fromEnd(page)) < 2);
  await ended(5);
  await leaveEnd(page, 900);
  const there = await log.evaluate((node) => node.scrollTop);
  // By the interface that a script uses, so that nothing in this window asks for the end. It goes on until it is stopped.
  const id = await page.getByTestId('window').getAttribute('data-session-id');
  const sent = await page.evaluate(async (session) => {
    const { session: now } = await (await fetch(`/api/v1/sessions/${session}`)).json();
    const body = { turn_id: crypto.randomUUID(), expected_head: now.head, content: [{ type: 'text', text: '/stream 400 chunks 5 ms\n/delay 900000' }] };
    return (await fetch(`/api/v1/sessions/${session}/turns`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })).status;
  }, id);
  assert.equal(sent, 202);
  await page.getByTestId('new-below').waitFor();
  await picture(page, 'new-below');
  assert.equal(await log.evaluate((node) => node.scrollTop), there);
  await page.getByTestId('new-below').click();
  await until('the end', async () => (await fromEnd(page)) < 2);
  await page.getByTestId('new-below').waitFor({ state: 'detached' });
  await page.getByTestId('stop').click();

  // A question that waits out of sight says so, also after the place was restored.
  await ended(6);
  await prompt(page, '/permission');
  await page.getByTestId('permission').waitFor();
  await leaveEnd(page, 2000);
  await page.getByTestId('new-below').getByText('Waits for your answer').waitFor();
  await until('the place to be kept', async () => ((await gander.get('windows')).windows[0].scroll?.seq ?? 0) > 0);
  await page.reload();
  await page.getByTestId('new-below').getByText('Waits for your answer').click();
  await page.getByTestId('permission-option').first().click();
  await ended(7);
  assert.deepEqual(problems, []);
});

test('a conversation that grows long moves under nobody, and opens with its end', async (t) => {
  const { gander, problems, page, log, ended, session } = await served(t);
  const id = await session();
  const say = async (from, to) => {
    for (let n = from; n <= to; n++) await gander.ended_turn(id, (await gander.send(id, `/echo number ${n}.`)).turn_id);
    await ended(to);
  };
  const row = (n) => log.locator('.row', { hasText: `/echo number ${n}.` });
  const atEnd = async (n) => {
    await row(n).waitFor();
    await until('the end', async () => (await fromEnd(page)) < 2);
  };
  // As many as are laid out whole.
  await say(1, 15);
  await atEnd(15);
  assert.equal(await row(1).count(), 1, 'a short conversation is drawn whole');
  // It becomes long under a reader's eyes, who is somewhere in it.
  await leaveEnd(page, 700);
  const before = await row(9).boundingBox();
  await say(16, 40);
  assert.deepEqual(await row(9).boundingBox(), before);
  await page.getByTestId('new-below').click();
  await atEnd(40);
  await until('only what is near to be drawn', async () => (await row(1).count()) === 0);
  await atEnd(40);
  // And it grows on at the end.
  await say(41, 42);
  await atEnd(42);

  // Opened again it has its last rows at once, and all of them for who goes up, in whatever haste.
  await until('the place to be kept', async () => (await gander.get('windows')).windows[0].scroll?.seq === 0);
  await page.reload();
  await atEnd(42);
  await log.hover();
  const seen = new Set();
  await until('the first', async () => {
    await page.mouse.wheel(0, -250);
    for (const text of await log.locator('.row').allInnerTexts()) for (const [, n] of text.matchAll(/\/echo number (\d+)\./g)) seen.add(Number(n));
    return (await log.evaluate((node) => node.scrollTop)) === 0 && (await row(1).isVisible());
  });
  assert.deepEqual([...seen].sort((a, b) => a - b), Array.from({ length: 42 }, (_, n) => n + 1));
  await picture(page, 'conversation-start');
  assert.deepEqual(problems, []);
});

test('a page that goes away in the middle of scrolling leaves its place behind', async (t) => {
  const { gander, problems, page, ended } = await served(t);
  await prompt(page, '/markdown');
  await ended(1);
  const place = async () => (await gander.get('windows')).windows[0].scroll;
  await until('the end to be kept', async () => (await place())?.seq === 0);
  await leaveEnd(page, 300);
  await page.goto('about:blank');
  await until('the place to be kept', async () => (await place()).seq > 0);
  assert.deepEqual(problems, []);
});

test('a page is named after what it shows, and by that when it shows none', async (t) => {
  const { gander, page, session } = await served(t);
  await gander.api('PATCH', `sessions/${await session()}`, { name: 'Named' });
  await until('its name', async () => (await page.title()) === 'Named · Gander');
  await page.goto(`${gander.url}/w/${randomUUID()}`);
  await until('that there is none', async () => (await page.title()) === 'No such window · Gander');
});

test('each window keeps how it is divided', async (t) => {
  const { gander, context, problems, page } = await served(t);
  const width = () => page.locator('nav.side').evaluate((node) => Math.round(node.getBoundingClientRect().width));
  const before = await width();
  const divider = page.getByRole('separator', { name: 'Width of the session list' });
  await divider.focus();
  for (let n = 0; n < 3; n++) await page.keyboard.press('ArrowRight');
  assert.equal(await width(), before + 48);
  await page.keyboard.press('Alt+b');
  await page.getByTestId('sidebar').waitFor({ state: 'detached' });

  const kept = () => page.evaluate(() => localStorage.getItem('gander.layout') ?? '');
  await until('the layout to be kept', async () => (await kept()).includes('"list":false'));
  await page.reload();
  await page.getByTestId('composer-text').waitFor();
  assert.equal(await page.getByTestId('sidebar').count(), 0, 'this window hides its list still');
  const other = await openWindow(context, gander, (await gander.post('windows')).id);
  await other.getByTestId('sidebar').waitFor();
  assert.equal(await other.locator('nav.side').evaluate((node) => Math.round(node.getBoundingClientRect().width)), before + 48, 'a new one begins with the width that was chosen last');
  assert.deepEqual(problems, []);
});

test('pictures open larger, and a turn that was continued is one line', async (t) => {
  const { gander, problems, page, log, ended } = await served(t);
  await prompt(page, '/image');
  await ended(1);
  const small = page.locator('[data-kind=message]').getByTestId('picture');
  await small.click();
  await page.getByTestId('lightbox').locator('img').waitFor();
  await picture(page, 'lightbox');
  await page.keyboard.press('Escape');
  await page.getByTestId('lightbox').waitFor({ state: 'detached' });
  assert.ok(await small.evaluate((node) => node === document.activeElement), 'the focus is where it was');

  await prompt(page, '/echo quoted words that were cut off\n/hang');
  await page.locator('[data-kind=message][data-open]', { hasText: 'cut off' }).waitFor();
  await page.getByTestId('working').waitFor();
  await gander.kill();
  await gander.start();
  await page.getByTestId('continue').click();
  await log.getByText('Continued from where it was cut off').first().waitFor();
  await page.getByTestId('working').waitFor({ state: 'detached' });
  await page.keyboard.press('Alt+o');
  const outline = page.getByTestId('panel');
  await outline.getByText('Continued from where it was cut off').waitFor();
  assert.equal(await outline.getByText('quoted words').count(), 1, 'the prompt itself, and no quote of it');
  assert.deepEqual(problems, []);
});

test('what is typed or dropped beside the field is for the prompt', async (t) => {
  const { problems, page, log, ended } = await served(t);
  await prompt(page, '/echo read me');
  await ended(1);
  const field = page.getByTestId('composer-text');
  await log.focus();
  await page.keyboard.type('What about this');
  assert.equal(await field.inputValue(), 'What about this');

  const drop = () =>
    log.evaluate((node) => {
      const data = new DataTransfer();
      data.items.add(new File(['seen from here'], 'note.txt', { type: 'text/plain' }));
      for (const type of ['dragover', 'drop']) {
        const event = new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true });
        node.dispatchEvent(event);
        if (!event.defaultPrevented) return false;
      }
      return true;
    });
  assert.ok(await drop(), 'the page keeps the file from the browser');
  await page.getByRole('list', { name: 'Attachments' }).getByText('note.txt').waitFor();

  await page.getByTestId('settings').click();
  await page.getByTestId('page').waitFor();
  assert.ok(
    await page.getByTestId('page').evaluate((node) => {
      const data = new DataTransfer();
      data.items.add(new File(['x'], 'lost.txt'));
      return ['dragover', 'drop'].every((type) => !node.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true })));
    }),
    'where no prompt is written, a file that is dropped does not take the page away',
  );
  await page.getByTestId('page-back').click();
  assert.equal(await page.getByRole('list', { name: 'Attachments' }).locator('li').count(), 1);

  await page.getByTestId('send').click();
  await ended(2);
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.keyboard.press('Alt+Shift+C');
  await until('the answer in the clipboard', async () => (await page.evaluate(() => navigator.clipboard.readText())).length > 0);
  assert.deepEqual(problems, []);
});

test('in a narrow window the list lies over the conversation, and goes when something was chosen', async (t) => {
  const { gander, problems, page, ended, session } = await served(t);
  await prompt(page, '/echo the heron stands still');
  await ended(1);
  const first = await session();
  await gander.api('PATCH', `sessions/${first}`, { name: 'Herons' });
  await page.getByTestId('new-chat').click();
  await until('a new chat', async () => (await session()) !== first);
  await page.getByTestId('title').waitFor();
  await page.setViewportSize({ width: 480, height: 800 });
  await page.getByTestId('sidebar').waitFor({ state: 'detached' });
  await page.keyboard.press('Alt+b');
  await page.getByTestId('sidebar').waitFor();
  await page.keyboard.press('Escape');
  await page.getByTestId('sidebar').waitFor({ state: 'detached' });

  // The list knows names; what was said is one step further, and in the index a moment after it was said.
  await until('the index', async () => (await gander.get(`search?q=${encodeURIComponent('heron stands')}`)).results.length > 0);
  await page.keyboard.press('Alt+s');
  await page.getByTestId('session-search').fill('heron stands');
  await page.getByTestId('search-inside').click();
  const hit = page.getByTestId('palette').getByRole('option', { name: /heron stands still/ });
  await hit.first().click();
  await until('the session that was found', async () => (await session()) === first);
  await page.getByTestId('sidebar').waitFor({ state: 'detached' });
  await page.setViewportSize({ width: 1280, height: 860 });
  await page.getByTestId('sidebar').waitFor();
  assert.deepEqual(problems, []);
});

test('a session moves to another window with what is typed, to a new one, and back', async (t) => {
  const { gander, context, problems, page, ended, session } = await served(t);
  await prompt(page, '/echo the heron stands still');
  await ended(1);
  const moved = await session();
  await gander.api('PATCH', `sessions/${moved}`, { name: 'Herons' });
  const [first] = (await gander.get('windows')).windows;
  const other = await openWindow(context, gander, (await gander.post('windows')).id);
  const second = await other.getByTestId('window').getAttribute('data-window-id');
  const shows = (where, id) => until(`window ${where} on ${id}`, async () => (await gander.get(`windows/${where}`)).session_id === id);
  const field = (of) => of.getByTestId('composer-text');

  // What a page lists as not shown gets a tab of its own, so it has to have heard of the other one's.
  const shown = (id) => page.getByTestId('move-dialog').locator(`[data-window-id="${id}"]`).filter({ hasNotText: 'not shown' });
  // A notice goes after ten seconds, which a slow machine needs for what is looked at meanwhile: here it stays.
  await page.evaluate(() => {
    const { setTimeout } = globalThis;
    globalThis.setTimeout = (run, ms, ...more) => setTimeout(run, ms === 10_000 ? 600_000 : ms, ...more);
  });

  // From the menu of its row in the list.
  await field(page).fill('half a thought');
  await page.locator(`[data-testid=session-row][data-session-id="${moved}"]`).click({ button: 'right' });
  await page.getByTestId('move').filter({ visible: true }).click();
  await shown(second).waitFor();
  await picture(page, 'move-dialog');
  await shown(second).click();
  await shows(second, moved);
  await other.getByTestId('title').getByText('Herons').waitFor();
  await until('what was typed, in the other window', async () => (await field(other).inputValue()) === 'half a thought');
  await until('a new chat in the first', async () => (await session()) !== moved && (await field(page).inputValue()) === '');
  const left = await session();
  assert.ok((await gander.session(left)).empty);
  assert.equal((await gander.session(left)).owner_window, first.id);
  await picture(page, 'moved-away');
  await page.getByTestId('toast').getByRole('button', { name: 'Move back' }).click();
  await shows(first.id, moved);
  await until('what was typed, back', async () => (await field(page).inputValue()) === 'half a thought');

  // By the keyboard, into a window of its own. The key is for the session that the title names.
  await page.getByTestId('title').getByText('Herons').waitFor();
  await page.keyboard.press('Alt+m');
  await page.getByTestId('move-dialog').waitFor();
  const [popup] = await Promise.all([context.waitForEvent('page'), page.keyboard.press('Enter')]);
  await popup.getByTestId('title').getByText('Herons').waitFor();
  assert.equal(await field(popup).inputValue(), 'half a thought');
  assert.equal((await gander.get('windows')).windows.filter((window) => window.open).length, 3);
  await until('the new chat again', async () => (await session()) === left);

  // And from there to here, by the question that a session shown elsewhere asks: once this page has heard that it is shown.
  await page.getByTestId('title').getByText('New chat').waitFor();
  await page.keyboard.press('Alt+m');
  await shown(new URL(popup.url()).pathname.split('/').at(-1)).waitFor();
  await page.keyboard.press('Escape');
  await page.getByTestId('move-dialog').waitFor({ state: 'detached' });
  await page.locator(`[data-testid=session-row][data-session-id="${moved}"]`).click();
  await page.getByTestId('move-here').waitFor();
  await picture(page, 'elsewhere');
  await page.getByTestId('move-here').click();
  await shows(first.id, moved);
  await until('what was typed, here', async () => (await field(page).inputValue()) === 'half a thought');
  await until('a new chat there', async () => (await popup.getByTestId('window').getAttribute('data-session-id')) !== moved);
  assert.deepEqual(problems, []);
});

test('a tab says how many chats wait for an answer, whichever shows them', async (t) => {
  const { gander, context, problems, page, session } = await served(t);
  const other = await openWindow(context, gander, (await gander.post('windows')).id);
  const asks = await other.getByTestId('window').getAttribute('data-session-id');
  await gander.api('PATCH', `sessions/${await session()}`, { name: 'Quiet' });
  const icon = () => page.locator('link[rel=icon]').getAttribute('href');
  await until('the name', async () => (await page.title()) === 'Quiet · Gander');
  assert.equal(await icon(), '/favicon.svg');
  await gander.send(asks, '/permission');
  await until('the number', async () => (await page.title()) === '(1) Quiet · Gander');
  assert.equal(await icon(), '/favicon-waits.svg');
  assert.equal(await page.evaluate(async () => (await fetch('/favicon-waits.svg')).headers.get('content-type')), 'image/svg+xml');
  // A page that comes later counts the same.
  await page.reload();
  await until('the number again', async () => (await page.title()) === '(1) Quiet · Gander');
  await other.getByTestId('permission-option').first().click();
  await until('no number', async () => (await page.title()) === 'Quiet · Gander');
  assert.equal(await icon(), '/favicon.svg');
  assert.deepEqual(problems, []);
});

test('a name that is being typed stays, whatever happens in the session meanwhile', async (t) => {
  const { gander, problems, page, session, ended } = await served(t);
  const name = page.getByTestId('title-input');
  await page.getByTestId('title').click();
  await name.fill('Half a na');
  await gander.send(await session(), '/echo meanwhile');
  await ended(1);
  assert.equal(await name.inputValue(), 'Half a na');
  await name.press('End');
  await name.pressSequentially('me');
  await name.press('Enter');
  await until('the name', async () => (await gander.session(await session())).name === 'Half a name');
  assert.deepEqual(problems, []);
});
