// What native windows and the desktop around them do for each other: notifications, tray, badge, dialogs, dropped files, paper,
// spelling, light and dark.

import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { begin, COMPOSER, lookAt, native, places, prompt, put, write } from './lib/desktop.js';
import { projectIn } from './lib/places.js';
import { fileManager } from './lib/services.js';
import { until } from './lib/until.js';

const named = (gander, session, name) => gander.api('PATCH', `sessions/${session}`, { name });

/** A window that has a name, and the keyboard. */
async function called(gander, display, window, name) {
  await named(gander, window.session_id, name);
  return native(display, name);
}

const front = (display, id) => until('that window in front', async () => (await display.xdotool('getactivewindow')).trim() === id);

test('the tray, the badge and clicked notifications say who waits, and lead there', async (t) => {
  const { desktop, display, gander, services } = await begin(t, { services: true });
  const other = await gander.post('windows');
  await desktop.shown();
  const [one] = await desktop.open();
  const { id } = await called(gander, display, one, 'Here');
  const away = await called(gander, display, other, 'Elsewhere');
  await lookAt(desktop, one, id);
  const idle = () =>
    until('the tray to say that nobody works', async () => {
      const menu = await services.menu();
      assert.deepEqual(menu.menu.map((item) => [item.label, item.enabled]), [['No agent is working', false], ['Show Gander', true], ['New Window', true], ['Quit Gander', true]]);
      assert.equal(menu.label, '');
      return true;
    });

  await t.test('nobody works: the tray says so', idle);

  await t.test('an agent asks in a window that nobody looks at: notification, badge and tray, and the click leads there', async () => {
    await gander.send(other.session_id, '/permission');
    const asked = await services.notification('Elsewhere');
    assert.match(asked.body, /asks for permission/);
    assert.deepEqual([asked.entry, asked.actions[0]], ['chat.gander.Gander', 'default']);
    const badge = await services.heard('the badge', (said) => said.badge?.count === 1);
    assert.deepEqual([badge.uri, badge.badge['count-visible']], ['application://chat.gander.Gander.desktop', true]);
    const menu = await until('the tray', async () => {
      const menu = await services.menu();
      return menu.label === '1 waits' && menu;
    });
    assert.equal(menu.menu[0].label, '1 agent is working, 1 waits for you');
    display.picture('desktop-waits');
    assert.equal((await display.xdotool('getactivewindow')).trim(), id);
    services.do({ click: asked.notification });
    await front(display, away.id);
    const driver = await desktop.at(other);
    await until('the question in the page', () => driver.execute(`return !!document.querySelector('[data-testid=permission-option]')`));
    await driver.click('[data-testid=permission-option]');
    await services.heard('no badge any more', (said) => said.badge?.count === 0 && said.badge['count-visible'] === false);
    await idle();
  });

  await t.test('a session that no window shows any more is shown again by its notification', async () => {
    await gander.api('PUT', `windows/${other.id}/session`, { session_id: one.session_id });
    await until('no window that is called so', async () => !(await display.windows()).some((window) => window.title.startsWith('Elsewhere')));
    await lookAt(desktop, one, id);
    await gander.send(other.session_id, '/echo done');
    const done = await services.heard('the end', (said) => said.title === 'Elsewhere' && said.body === 'The agent is done.');
    services.do({ click: done.notification });
    await until('a window on it', async () => (await desktop.open()).some((window) => window.session_id === other.session_id));
    await front(display, (await native(display, 'Elsewhere')).id);
    assert.equal((await desktop.open()).length, 3);
    // What the menu said before it was told anew cannot be chosen any more.
    await idle();
  });

  await t.test('what is chosen in the tray happens', async () => {
    for (const window of await display.windows()) await display.xdotool('windowminimize', window.id);
    await until('nothing to be seen', async () => (await display.windows()).length === 0);
    await services.choose('Show Gander');
    await until('a window again', async () => (await display.windows()).length === 1);
    await services.choose('New Window');
    await until('one more', async () => (await desktop.open()).length === 4);
    // With a new window the menu is told anew.
    await desktop.shown();
    await idle();
    await services.choose('Quit Gander');
    await desktop.over();
  });
});

test('a finding is told, and leads to its session', async (t) => {
  const { home, desktop, display, gander, services } = await begin(t, { services: true });
  // An agent that says something for a session that nobody has.
  const agent = join(home, 'stray.mjs');
  writeFileSync(
    agent,
    `import { createInterface } from 'node:readline';
     const say = (message) => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', ...message }) + '\\n');
     createInterface({ input: process.stdin }).on('line', (line) => {
       const { id, method, params } = JSON.parse(line);
       if (method === 'initialize') say({ id, result: { protocolVersion: 1, agentCapabilities: {} } });
       else if (method === 'session/new') say({ id, result: { sessionId: 'mine' } });
       else if (method === 'session/prompt') {
         for (const sessionId of ['a-stranger', params.sessionId]) say({ method: 'session/update', params: { sessionId, update: { sessionUpdate: 'agent_message_chunk', content: { type: 'text', text: 'hello' } } } });
         say({ id, result: { stopReason: 'end_turn' } });
       } else if (id !== undefined) say({ id, result: {} });
     });`,
  );
  await gander.post('agents', { id: 'stray', name: 'Stray', command: process.execPath, args: [agent] });
  const [one] = await desktop.open();
  const { id } = await called(gander, display, one, 'Looked at');
  const other = await gander.post('windows', { agent: 'stray' });
  await desktop.shown();
  const found = await called(gander, display, other, 'Strange');
  await lookAt(desktop, one, id);
  await gander.send(other.session_id, 'hello');
  const told = await services.notification('Something was found');
  assert.match(told.body, /session that is not bound here/);
  services.do({ click: told.notification });
  await front(display, found.id);
});

test('a folder is chosen, a file is dropped, a word is misspelt and a page is printed', async (t) => {
  const { home, desktop, display, gander } = await begin(t, { environment: { LANG: 'en_US.UTF-8' } });
  const [one] = await desktop.open();
  const { id } = await called(gander, display, one, 'Here');
  await put(desktop, id, one, { x: 300, y: 40, width: 1000, height: 700 });

  await t.test('the folder of a new chat is chosen in the desktop\'s own dialog', async () => {
    const folder = projectIn(home, 'chosen-here');
    await display.key(id, 'ctrl+o');
    const dialog = await until('the dialog', async () => (await display.windows()).find((window) => window.title === 'A new chat in this folder'));
    // A slash opens the field for a path.
    await display.key(dialog.id, 'slash');
    await display.xdotool('type', '--delay', '15', folder.slice(1));
    display.picture('desktop-folder-dialog');
    await display.xdotool('key', 'Return');
    const added = await until('a window on a new chat', async () => {
      // The first Return may only take the field's completion.
      if ((await display.windows()).some((window) => window.id === dialog.id)) await display.xdotool('key', '--window', dialog.id, 'Return');
      return (await desktop.open()).find((window) => window.id !== one.id);
    });
    assert.equal((await gander.session(added.session_id)).cwd, folder);
    await gander.api('DELETE', `windows/${added.id}`);
    await until('one window', async () => (await display.windows()).length === 1);
  });

  await t.test('a file that is dragged from another program lands in the prompt', async () => {
    const file = join(home, 'dropped note.txt');
    writeFileSync(file, 'seen from here');
    const manager = await fileManager(t, display, file);
    const { x, y, width, height } = await native(display, 'Here');
    const [toX, toY] = [x + Math.round(width * 0.65), y + Math.round(height / 2)];
    // As a hand moves: first a little, and through all that lies between.
    const way = ['mousemove', manager.x, manager.y, 'sleep', '0.1', 'mousedown', 1, 'sleep', '0.1', 'mousemove_relative', '--', 12, -12, 'sleep', '0.1'];
    for (let step = 1; step <= 20; step += 1) {
      const at = step / 20;
      way.push('mousemove', Math.round(manager.x + (toX - manager.x) * at), Math.round(manager.y + (toY - manager.y) * at), 'sleep', '0.02');
    }
    await display.xdotool(...way);
    // A hand lets go when it sees that what is below it takes the file.
    await until('the window to take the file', async () => {
      await display.xdotool('mousemove_relative', 2, 2, 'mousemove_relative', '--', -2, -2);
      return manager.taken();
    });
    await display.xdotool('mouseup', 1);
    await until("the drag's end", () => manager.over());
    const driver = await desktop.at(one);
    await until('the file in the draft', () => driver.execute(`return document.querySelector('[data-testid=composer]')?.innerText.includes('dropped note.txt')`));
    const { draft } = await until('the file in the journal', async () => {
      const window = await gander.get(`windows/${one.id}`);
      return window.draft?.attachments.length === 1 && window;
    });
    assert.equal(draft.attachments[0].name, 'dropped note.txt');
    assert.equal(draft.attachments[0].bytes, 14);
    display.picture('desktop-dropped');
  });

  await t.test('a misspelt word is underlined, a right one is not', async () => {
    const driver = await desktop.at(one);
    const box = await driver.execute(`const { x, y, width, height } = document.querySelector('${COMPOSER}').getBoundingClientRect(); return { x, y, width, height }`);
    const reds = async () => {
      const { pixels } = display.pixels();
      const { x, y, height } = await native(display, 'Here');
      // The page lies at the window's lower end, below the menu.
      const inner = await driver.execute('return [innerWidth, innerHeight]');
      const [left, top] = [x + box.x, y + height - inner[1] + box.y];
      let count = 0;
      for (let row = Math.round(top); row < top + box.height; row += 1) {
        for (let column = Math.round(left); column < left + box.width; column += 1) {
          const [r, g, b] = pixels(column, row);
          if (r - g > 60 && r - b > 60) count += 1;
        }
      }
      return count;
    };
    await write(desktop, one, 'The house stands there and ');
    await until('the words', async () => (await driver.execute(`return document.querySelector('${COMPOSER}').value`)).endsWith('and '));
    assert.equal(await reds(), 0, 'nothing is wrong in this');
    await display.key(id, 'alt+c');
    await display.xdotool('type', '--delay', '10', 'the huose stands ');
    await until('a red line below the word', async () => (await reds()) > 10);
    display.picture('desktop-misspelt');
  });

  await t.test('the conversation is printed on the paper that the dialog makes', async () => {
    await prompt(desktop, one, '/echo on paper');
    await until('the answer', async () => (await desktop.page(one)).entries.includes('message'));
    await display.key(id, 'ctrl+p');
    const dialog = await until('the dialog', async () => (await display.windows()).find((window) => /print/i.test(window.title)));
    // Into the list of printers, and to the first of them, which is a file. The list is read while the dialog is there already.
    await display.key(dialog.id, 'Tab');
    display.picture('desktop-print');
    const paper = join(home, 'output.pdf');
    await until('a whole PDF', async () => {
      if ((await display.windows()).some((window) => window.id === dialog.id)) await display.xdotool('key', 'Home', 'space', 'sleep', '0.3', 'key', 'alt+p');
      return existsSync(paper) && readFileSync(paper).subarray(0, 5).toString() === '%PDF-' && readFileSync(paper).includes('%%EOF');
    });
  });
});

test("pages follow the desktop's light and dark", async (t) => {
  const { desktop, display, gander, services } = await begin(t, { services: true });
  const [one] = await desktop.open();
  await called(gander, display, one, 'Follows');
  await prompt(desktop, one, '/markdown');
  await until('the answer', async () => (await desktop.page(one)).entries.includes('message'));
  const driver = await desktop.at(one);
  const ground = () => driver.execute(`return [matchMedia('(prefers-color-scheme: dark)').matches, getComputedStyle(document.body).backgroundColor]`);
  const light = await ground();
  assert.equal(light[0], false);
  display.picture('desktop-light');
  services.do({ dark: true });
  const dark = await until('the dark', async () => {
    const now = await ground();
    return now[0] && now;
  });
  assert.notEqual(dark[1], light[1]);
  // What the page computes is one thing, what a person sees another.
  const { x, y, width, height } = await native(display, 'Follows');
  await until('a dark page on the screen', () => display.pixels().pixels(x + (width >> 1), y + height - 12).every((part) => part < 64));
  display.picture('desktop-dark');
  const more = await gander.post('windows');
  await desktop.shown();
  assert.equal(await (await desktop.at(more)).execute(`return matchMedia('(prefers-color-scheme: dark)').matches`), true, 'a new window is dark from the start');
  services.do({ dark: false });
  await desktop.at(one);
  await until('the light', async () => (await ground())[1] === light[1]);
});

test('a maximised window comes back maximised, and has its place below that', async (t) => {
  const { desktop, display, gander } = await begin(t);
  const [one] = await desktop.open();
  const { id } = await called(gander, display, one, 'Large');
  await put(desktop, id, one, { x: 100, y: 100, width: 700, height: 500 });
  const kept = (await places(desktop)).get(one.id);
  const isWhole = ({ width, height }) => width > display.width - 20 && height > display.height - 60;
  // On its title, which is below the frame's upper edge. Two clicks that came too late after each other were none: then once more.
  const whole = await until('a maximised window', async () => {
    const large = await native(display, 'Large');
    if (!isWhole(large)) await display.doubleClick(400, 110);
    return isWhole(large) && large;
  });
  await until('maximised, in the journal', async () => (await gander.get(`windows/${one.id}`)).geometry.maximized);

  process.kill(desktop.pid(), 'SIGTERM');
  await desktop.over();
  await desktop.start();
  await until('maximised again', async () => (await native(display, 'Large')).width === whole.width && (await gander.get(`windows/${one.id}`)).geometry.maximized);
  display.picture('desktop-maximised');
  await until('its place', async () => {
    if (isWhole(await native(display, 'Large'))) await display.doubleClick(400, 10);
    const { x, y, width, height, maximized } = (await gander.get(`windows/${one.id}`)).geometry;
    return !maximized && x === kept.x && y === kept.y && width === 700 && height === 500;
  });
});

test('quitting with an agent that does not react takes seconds, and loses nothing', async (t) => {
  const { desktop, display, gander } = await begin(t);
  const [one] = await desktop.open();
  const { id } = await called(gander, display, one, 'Hangs');
  await prompt(desktop, one, '/stream 20 chunks 5 ms\n/hang');
  await until('all of it', async () => JSON.stringify(await gander.get(`sessions/${one.session_id}/entries`)).includes('chunk 20 of 20'));
  await display.key(id, 'ctrl+q');
  const asked = await native(display, 'Gander');
  const from = Date.now();
  await display.key(asked.id, 'alt+i');
  await desktop.over();
  t.diagnostic(`quit in ${Date.now() - from} ms`);
  await desktop.start();
  assert.ok((await gander.session(one.session_id)).interrupted);
  assert.ok(JSON.stringify(await gander.entries(one.session_id)).includes('chunk 20 of 20'));
});
