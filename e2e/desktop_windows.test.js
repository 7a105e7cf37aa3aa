// What people and machines do to native windows: close, kill, unplug, click a link, start twice.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { alive, begin, COMPOSER, Desktop, lookAt, native, places, prompt, put, send, write } from './lib/desktop.js';
import { Display } from './lib/display.js';
import { DESKTOP, projectIn, temporaryHome } from './lib/places.js';
import { until } from './lib/until.js';

/** The descendants of a process that run this program. */
function children(pid, program) {
  const found = [];
  for (const child of readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number)) {
    try {
      const parent = Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${child}/status`, 'utf8'))?.[1]);
      if (parent !== pid) continue;
      if (readlinkSync(`/proc/${child}/exe`).includes(program)) found.push(child);
      found.push(...children(child, program));
    } catch {
      // It ended while we looked.
    }
  }
  return found;
}

const named = (gander, session, name) => gander.api('PATCH', `sessions/${session}`, { name });

test('a window is closed in the middle of a turn and comes back with its draft; the turn goes on', async (t) => {
  const { desktop, display, gander } = await begin(t);
  const other = await gander.post('windows');
  await desktop.shown();
  const [closing] = await desktop.open();
  await named(gander, closing.session_id, 'Works on');
  await named(gander, other.session_id, 'Stays');
  await prompt(desktop, closing, '/stream 20 chunks 5 ms\n/hang');
  await until('a turn that runs', async () => (await gander.session(closing.session_id)).running);
  await write(desktop, closing, 'typed just before');
  await display.key((await native(display, 'Works on')).id, 'ctrl+w');
  await until('the closing', async () => !(await gander.get(`windows/${closing.id}`)).open);
  await until('one native window', async () => (await display.windows()).length === 1);
  assert.ok((await gander.session(closing.session_id)).running, 'the turn goes on');
  assert.equal((await gander.get(`windows/${closing.id}`)).draft.text, 'typed just before', 'what was typed was saved before the window went');

  await display.key((await native(display, 'Stays')).id, 'ctrl+shift+t');
  await until('the window again', async () => (await display.windows()).length === 2);
  await desktop.shown();
  const page = await desktop.page(closing);
  assert.equal(page.session, closing.session_id);
  assert.equal(page.draft, 'typed just before');
  assert.ok((await gander.session(closing.session_id)).running);
  display.picture('desktop-closed-and-reopened');
});

test('two native windows on one session type at once; each keeps its own draft, both see what is said', async (t) => {
  const { desktop, display, gander } = await begin(t);
  const [one] = await desktop.open();
  const two = await gander.post('windows', { session_id: one.session_id });
  await desktop.shown();
  const [first, second] = ['the first window writes this', 'and the second writes that'];
  for (let at = 0; at < Math.max(first.length, second.length); at += 4) {
    for (const [window, text] of [[one, first], [two, second]]) {
      const piece = text.slice(at, at + 4);
      if (piece) await (await desktop.at(window)).type(COMPOSER, piece);
    }
  }
  for (const [window, text] of [[one, first], [two, second]]) {
    await until('the draft', async () => (await gander.get(`windows/${window.id}`)).draft?.text === text);
    assert.equal((await desktop.page(window)).draft, text);
  }
  await send(desktop, one);
  for (const window of [one, two]) await until('the prompt in both', async () => (await desktop.page(window)).entries.includes('message'));
  assert.equal((await desktop.page(one)).draft, '');
  assert.equal((await desktop.page(two)).draft, second, "the other window's draft is its own");
  display.picture('desktop-two-on-one-session');
});

test('a session moves to another native window, and by the menu to a new one, with what is typed', async (t) => {
  const { desktop, display, gander } = await begin(t);
  const other = await gander.post('windows');
  await desktop.shown();
  const [one] = await desktop.open();
  const session = one.session_id;
  await named(gander, session, 'Wanders');
  await named(gander, other.session_id, 'Stays');
  await prompt(desktop, one, '/echo said');
  await until('the answer', async () => (await desktop.page(one)).entries.includes('message'));
  await write(desktop, one, 'half a thought');
  const driver = await desktop.at(one);
  await display.key((await native(display, 'Wanders')).id, 'alt+m');
  await until('the dialog', () => driver.execute(`return !!document.querySelector('[data-testid=move-to][data-window-id="${other.id}"]')`));
  await desktop.picture('desktop-move');
  await driver.click(`[data-testid=move-to][data-window-id="${other.id}"]`);
  await until('it there', async () => (await gander.get(`windows/${other.id}`)).session_id === session);
  await until('what was typed, there', async () => (await desktop.page(other)).draft === 'half a thought');
  await until('a new chat here', async () => (await desktop.page(one)).session !== session);
  assert.equal((await desktop.page(one)).draft, '');
  await native(display, 'New chat');
  const there = await native(display, 'Wanders');
  await until('that window in front', async () => (await display.xdotool('getactivewindow')).trim() === there.id);

  await display.key(there.id, 'ctrl+shift+m');
  await until('a window more', async () => (await display.windows()).length === 3);
  await desktop.shown();
  const added = (await desktop.open()).find((window) => ![one.id, other.id].includes(window.id));
  const page = await desktop.page(added);
  assert.deepEqual([page.session, page.draft], [session, 'half a thought']);
  await until('what was said, there', async () => (await desktop.page(added)).entries.includes('message'));
  await until('a new chat where it was', async () => (await desktop.page(other)).session !== session);
  display.picture('desktop-moved');
  assert.equal((await gander.cli('verify', '--json')).code, 0);
});

test('full screen, zoom and minimised come back, and the place below them', async (t) => {
  const { desktop, display, gander } = await begin(t);
  const other = await gander.post('windows');
  await desktop.shown();
  const [one] = await desktop.open();
  await named(gander, one.session_id, 'Full');
  await named(gander, other.session_id, 'Small');
  const full = await native(display, 'Full');
  await put(desktop, full.id, one, { x: 300, y: 200, width: 800, height: 600 });
  const kept = (await places(desktop)).get(one.id);
  await display.key(full.id, 'ctrl+equal');
  const driver = await desktop.at(one);
  await until('the zoom', () => driver.execute('return innerWidth < 760'));
  await until('the zoom alone in the journal', async () => (await gander.get(`windows/${one.id}`)).geometry?.zoom === 1.1);
  await display.key(full.id, 'F11');
  await until('full screen and zoom in the journal', async () => {
    const { geometry } = await gander.get(`windows/${one.id}`);
    return geometry?.fullscreen && geometry.zoom === 1.1;
  });
  await display.xdotool('windowminimize', '--sync', (await native(display, 'Small')).id);
  await until('minimised in the journal', async () => (await gander.get(`windows/${other.id}`)).geometry?.minimized);
  display.picture('desktop-full-screen');

  process.kill(desktop.pid(), 'SIGTERM');
  await desktop.over();
  await desktop.start();
  await until('the whole screen', async () => {
    const { x, y, width, height } = await native(display, 'Full');
    return x === 0 && y === 0 && width === display.width && height === display.height;
  });
  await until('the other one minimised', async () => (await display.windows()).length === 1 && (await gander.get(`windows/${other.id}`)).geometry.minimized);
  await display.key((await native(display, 'Full')).id, 'F11');
  const where = ({ x, y, width, height, zoom, fullscreen }) => JSON.stringify({ x, y, width, height, zoom, fullscreen });
  const wanted = where({ ...kept, zoom: 1.1, fullscreen: false });
  await until(`its place again, ${wanted}`, async () => {
    const { geometry } = await gander.get(`windows/${one.id}`);
    if (where(geometry) !== wanted) throw new Error(where(geometry));
    return true;
  });
  await until('its size again', async () => {
    const shown = await native(display, 'Full');
    assert.deepEqual([shown.width, shown.height], [800, 600]);
    return true;
  });
});

test('quitting can wait for the agent to finish', async (t) => {
  const { desktop, display, gander } = await begin(t);
  const [window] = await desktop.open();
  await named(gander, window.session_id, 'Finishes');
  // Before the question: from then on its title says that it waits.
  const shown = await native(display, 'Finishes');
  await prompt(desktop, window, '/stream 40 chunks 5 ms\n/permission\n/stream 20 chunks 5 ms');
  const { id: asks, options } = await until('a question in the middle', async () => (await gander.session(window.session_id)).turn?.permissions[0]);
  await display.key(shown.id, 'ctrl+q');
  const asked = await native(display, 'Gander');
  await display.key(asked.id, 'alt+f');
  // It has taken the answer, and waits: as long as the agent does.
  await until('the end of the question', async () => (await display.windows()).length === 1);
  await gander.post(`sessions/${window.session_id}/permissions/${asks}`, { option_id: options.find((option) => option.kind === 'allow_once').optionId });
  await desktop.over();
  await desktop.start();
  const session = await gander.session(window.session_id);
  assert.ok(!session.running && !session.interrupted);
  const said = await gander.entries(window.session_id);
  assert.ok(JSON.stringify(said).includes('chunk 20 of 20'));
});

test('what happens in a window that nobody looks at is told', async (t) => {
  const { desktop, display, gander } = await begin(t);
  const other = await gander.post('windows');
  await desktop.shown();
  const [one] = await desktop.open();
  await named(gander, one.session_id, 'Looked at');
  await named(gander, other.session_id, 'Elsewhere');
  const told = await display.notifications();
  await lookAt(desktop, one, (await native(display, 'Looked at')).id);
  for (const window of [one, other]) await gander.send(window.session_id, '/echo said');
  await until('the notification', () => told.text.includes('Elsewhere') && told.text.includes('The agent is done.'));
  assert.ok(!told.text.includes('Looked at'), told.text);
});

test('the web process is killed: all pages come back by themselves, with what was typed', async (t) => {
  const { desktop, display, gander } = await begin(t);
  for (let count = 1; count < 3; count += 1) await gander.post('windows');
  await desktop.shown();
  const windows = await desktop.open();
  for (const [index, window] of windows.entries()) await write(desktop, window, `draft ${index}`);
  for (const [index, window] of windows.entries()) await until('the draft', async () => (await gander.get(`windows/${window.id}`)).draft?.text === `draft ${index}`);
  const engines = children(desktop.pid(), 'WebKitWebProcess');
  assert.equal(engines.length, 1, 'a few windows share one web process');
  process.kill(engines[0], 'SIGKILL');
  await until('the pages to be gone', async () => (await desktop.open()).every((window) => !window.attached) || children(desktop.pid(), 'WebKitWebProcess').some((pid) => pid !== engines[0]));
  await until('the pages to be back', async () => {
    const now = await desktop.open();
    return now.length === 3 && now.every((window) => window.attached) && !children(desktop.pid(), 'WebKitWebProcess').includes(engines[0]);
  });
  await until('one web process that they share again', () => children(desktop.pid(), 'WebKitWebProcess').length === 1);
  // The driver's session went with the process, so a person's keyboard says whether the text is in the page.
  const [last] = (await display.windows()).slice(-1);
  await display.key(last.id, 'End');
  const typed = await until('what is typed to go on from what was', async () => {
    await display.xdotool('key', 'alt+c', 'ctrl+End', 'x');
    const drafts = await Promise.all(windows.map(async (window) => (await gander.get(`windows/${window.id}`)).draft?.text));
    return drafts.find((text, index) => new RegExp(`^draft ${index}x+$`).test(text)) && drafts;
  });
  assert.equal(typed.filter((text, index) => text === `draft ${index}`).length, 2);
  display.picture('desktop-web-process-killed');
});

test('of two web processes one is killed: its pages come back, the others stay', async (t) => {
  const { desktop, display, gander } = await begin(t);
  for (let count = 1; count < 17; count += 1) await gander.post('windows');
  await desktop.followed();
  await desktop.kill();
  const before = await desktop.returned();
  const shell = desktop.pid();
  const engines = children(shell, 'WebKitWebProcess');
  assert.equal(engines.length, 2);
  const gone = new Set();
  const changes = await gander.follow(({ type, data }) => type === 'window' && data.attached === false && gone.add(data.id));
  process.kill(engines[1], 'SIGKILL');
  await until('its pages to be gone', () => gone.size > 0);
  await until('another process', () => children(shell, 'WebKitWebProcess').length === 2 && !children(shell, 'WebKitWebProcess').includes(engines[1]));
  const after = await desktop.followed();
  await changes.close();
  assert.equal(gone.size, 8);
  assert.ok(children(shell, 'WebKitWebProcess').includes(engines[0]));
  assert.deepEqual(after.map(({ id, session_id }) => [id, session_id]), before.map(({ id, session_id }) => [id, session_id]));
  assert.equal((await display.windows()).length, 17);
});

test('a second start shows what it was given in the windows of the first, and ends', async (t) => {
  const { home, desktop, display, gander } = await begin(t);
  const [window] = await desktop.open();
  await named(gander, window.session_id, 'The first');
  const { id } = await native(display, 'The first');
  const shell = desktop.pid();

  await display.xdotool('windowminimize', '--sync', id);
  await until('the journal to know', async () => (await gander.get(`windows/${window.id}`)).geometry?.minimized);
  assert.deepEqual(await desktop.launch().ended, { code: 0, signal: null });
  await until('the window in front', async () => (await display.xdotool('getactivewindow')).trim() === id);
  await until('the journal to know', async () => (await gander.get(`windows/${window.id}`)).geometry?.minimized === false);

  const folder = projectIn(home, 'another');
  assert.equal((await desktop.launch(folder).ended).code, 0);
  await until('a window more', async () => (await display.windows()).length === 2);
  const added = (await desktop.open()).find((one) => one.id !== window.id);
  assert.equal((await gander.session(added.session_id)).cwd, folder);

  assert.equal((await desktop.launch(`gander://session/${window.session_id}`).ended).code, 0);
  await until('the first in front', async () => (await display.xdotool('getactivewindow')).trim() === id);
  assert.equal((await desktop.launch('The first').ended).code, 0);
  assert.equal((await desktop.launch('No such session').ended).code, 2);
  assert.equal((await desktop.open()).length, 2, 'nothing else was opened');
  assert.equal(desktop.pid(), shell);
});

test('pages have no way into the shell; a link leads to the browser only after a yes', async (t) => {
  const { home, desktop, display, gander } = await begin(t);
  const [window] = await desktop.open();
  const driver = await desktop.at(window);
  const invoke = (command, args) =>
    driver.executeAsync(
      `const done = arguments[arguments.length - 1]; const tauri = window.__TAURI_INTERNALS__;
       if (!tauri?.invoke) done('no way'); else tauri.invoke(arguments[0], arguments[1]).then((value) => done('ALLOWED ' + JSON.stringify(value)), (error) => done('refused: ' + error))`,
      command,
      args,
    );
  for (const [command, args] of [['plugin:app|version', {}], ['plugin:window|close', { label: 'w' }], ['plugin:event|emit', { event: 'e' }], ['plugin:webview|create_webview_window', { options: {} }], ['anything', {}]]) {
    const answer = await invoke(command, args);
    assert.match(answer, /^(refused: .*not (allowed|found)|no way)/i, `${command}: ${answer}`);
  }
  // Neither may it go anywhere else by itself.
  const before = await driver.get('url');
  await driver.execute("location.href = 'https://example.com/'");
  await driver.execute("globalThis.open('file:///etc/passwd')");
  assert.equal(await driver.get('url'), before);
  assert.equal((await driver.handles()).length, 1);

  const log = join(home, 'browsed');
  await prompt(desktop, window, '/echo See [the page](https://example.com/a?b=c)');
  await until('the link', async () => driver.execute(`return !!document.querySelector('[data-kind=message] a, [data-kind=message] [data-href]')`));
  await driver.execute(`document.querySelector('[data-kind=message] a, [data-kind=message] [data-href]').click()`);
  await until('the question', async () => driver.execute(`return !!document.querySelector('[data-testid=link-dialog]')`));
  display.picture('desktop-link');
  assert.ok(!existsSync(log), 'nothing was opened before somebody said so');
  // A real click: a page may open nothing without one.
  await driver.click('[data-testid=link-dialog] .actions button:last-child');
  assert.equal(await until('the browser', () => existsSync(log) && readFileSync(log, 'utf8').trim()), 'https://example.com/a?b=c');
  assert.equal(await driver.get('url'), before);
});

test('the last window closes Gander and comes back at the next start; SIGTERM ends in order', async (t) => {
  const { desktop, display, gander } = await begin(t);
  const [window] = await desktop.open();
  await named(gander, window.session_id, 'The only one');
  await write(desktop, window, '/stream 20 chunks 5 ms');
  await display.key((await native(display, 'The only one')).id, 'ctrl+w');
  await desktop.over();
  await desktop.start();
  const [back] = await desktop.open();
  assert.equal(back.id, window.id, 'no other untouched chat was made');
  assert.equal((await desktop.page(back)).draft, '/stream 20 chunks 5 ms');

  await prompt(desktop, back, '\n/hang');
  await until('a turn that runs', async () => (await gander.session(back.session_id)).running);
  const { pid } = gander.runtime;
  process.kill(desktop.pid(), 'SIGTERM');
  await desktop.over();
  assert.ok(!alive(pid));
  await desktop.start();
  assert.deepEqual((await desktop.open()).map((one) => one.id), [window.id]);
  assert.ok((await gander.session(back.session_id)).interrupted, 'the turn was interrupted and recorded');
  assert.equal((await gander.cli('verify', '--json')).code, 0);
});

test('without the program that serves it says so, and ends when that was read', async (t) => {
  const home = temporaryHome();
  const display = await new Display(home).start(t);
  const desktop = new Desktop(t, home, display);
  // Nothing beside it, and nothing on the path.
  const alone = join(home, 'gander-desktop');
  copyFileSync(DESKTOP, alone);
  const child = spawn(alone, [], { env: { ...desktop.environment, PATH: '/usr/bin:/bin' }, stdio: 'ignore' });
  const ended = new Promise((end) => child.once('exit', end));
  const said = await native(display, 'Gander');
  display.picture('desktop-not-started');
  await display.key(said.id, 'alt+c');
  assert.equal(await ended, 2);
  assert.ok(!existsSync(join(desktop.home, 'journal.db')));
});

test('32 native windows are live in two web processes', async (t) => {
  const { desktop, display, gander } = await begin(t);
  for (let count = 1; count < 32; count += 1) await gander.post('windows');
  await desktop.followed();
  await desktop.shown();
  await until('32 native windows', async () => (await display.windows()).length === 32);
  const shell = desktop.pid();
  const engines = children(shell, 'WebKitWebProcess');
  assert.equal(engines.length, 2);
  const kib = (pid) => Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))[1]);
  const all = [shell, ...children(shell, 'WebKit'), desktop.serverPid()].reduce((sum, pid) => sum + kib(pid), 0);
  t.diagnostic(`32 windows: ${Math.round(kib(shell) / 1024)} MiB in the shell, ${Math.round(all / 1024)} MiB in all`);
  // Pages in a process each would take three times as much. (The driver and a debug build take their share; what a release takes
  // stands in docs/BENCHMARKS.md.)
  assert.ok(all < 1.6 * 1024 * 1024, `${all} KiB`);
  const others = [0, 15, 30].map((index) => [...desktop.handles.keys()][index]);
  const says = async (window, text) => {
    await desktop.at(window);
    await until(`${text} in the list of another window`, () => desktop.driver.execute(`return document.body.innerText.includes('${text}')`));
  };
  // Each has read its list before it changes.
  for (const window of others) await says(window, 'Your sessions will be here.');
  await prompt(desktop, (await desktop.open())[31], '/echo heard by all');
  const session = (await desktop.open())[31].session_id;
  await named(gander, session, 'Seen from everywhere');
  for (const window of others) await says(window, 'Seen from everywhere');
  display.picture('desktop-32-windows');
  // They come back without a driver: 32 pages that load at once have been seen to bring the web process down (an error of the engine),
  // which costs a driver its session, but nobody a window.
  const ids = async (windows) => (await windows).map((window) => window.id);
  const before = await ids(desktop.open());
  await desktop.kill();
  assert.deepEqual(await ids(desktop.returned()), before);
  await until('32 native windows', async () => (await display.windows()).length === 32);
  assert.equal(children(desktop.pid(), 'WebKitWebProcess').length, 2);
});
