// Native windows: the real shell on the real WebKitGTK, under a window manager, on a screen in memory.

import assert from 'node:assert/strict';
import test from 'node:test';
import { alive, begin, native, places, prompt, put, write } from './lib/desktop.js';
import { until } from './lib/until.js';

const HALF = 'half a thought,\nand its second line';

test('five native windows come back after quitting, and after SIGKILL, at their places (G5)', async (t) => {
  const { display, desktop, gander } = await begin(t);
  const [first] = await desktop.open();
  for (let count = 1; count < 5; count += 1) await gander.post('windows');
  await desktop.shown();
  const ids = (await desktop.open()).map((window) => window.id);
  assert.equal(ids.length, 5);
  assert.equal(ids[0], first.id);
  await until('a native window for each of the journal', async () => (await display.windows()).length === 5);
  const [, , drafting, streaming, finished] = ids;

  await t.test('two stay untouched, one is half typed, one streams, one is finished', async () => {
    await prompt(desktop, finished, '/echo All is said');
    await until('the answer', async () => (await desktop.page(finished)).entries.includes('message'));
    await gander.api('PATCH', `sessions/${(await gander.get(`windows/${finished}`)).session_id}`, { name: 'The finished one' });
    await write(desktop, drafting, HALF);
    await until('the draft in the journal', async () => (await gander.get(`windows/${drafting}`)).draft?.text === HALF);
    await prompt(desktop, streaming, '/stream 40 chunks 5 ms');
    const { session_id } = await gander.get(`windows/${streaming}`);
    await until('the whole stream', async () => (await gander.entries(session_id)).some((entry) => entry.kind === 'turn_ended'));
    await gander.api('PATCH', `sessions/${session_id}`, { name: 'The streaming one' });
    await prompt(desktop, streaming, '/stream 40 chunks 5 ms\n/hang');
    await until('a turn that runs', async () => (await gander.session(session_id)).running);
  });

  await t.test('they are moved and resized, and the journal knows', async () => {
    await put(desktop, (await native(display, 'The finished one')).id, finished, { x: 820, y: 610, width: 700, height: 500 });
    await put(desktop, (await native(display, 'The streaming one')).id, streaming, { x: 60, y: 500, width: 640, height: 480 });
    display.picture('desktop-01-five');
  });

  /** What has to be the same, whatever happened between. */
  const everything = async () => ({ state: await desktop.state(), places: [...(await places(desktop))], native: (await display.windows()).map(({ id, ...where }) => where).sort((a, b) => a.title.localeCompare(b.title) || a.x - b.x) });
  const compare = (after, before) => {
    assert.deepEqual(after.state.map(({ page, ...rest }) => rest), before.state.map(({ page, ...rest }) => rest));
    for (const [index, { page }] of after.state.entries()) {
      assert.equal(page.window, before.state[index].page.window);
      assert.equal(page.session, before.state[index].page.session);
      assert.equal(page.title, before.state[index].page.title);
      assert.equal(page.draft, before.state[index].page.draft);
    }
    assert.deepEqual(after.places, before.places);
    assert.deepEqual(after.native, before.native);
    assert.equal(after.state[2].page.draft, HALF);
  };
  // Windows that come back are put to their places by the window manager, which takes its time.
  const same = (before) =>
    until('everything as before', async () => {
      compare(await everything(), before);
      return true;
    });
  const verified = async () => {
    const verify = await gander.cli('verify', '--json');
    assert.equal(verify.code, 0, verify.out + verify.err);
    assert.deepEqual(verify.json.findings, []);
  };

  const before = await everything();
  await t.test('quitting asks about the running turn; cancelled, nothing happens', async () => {
    await quitByKey(display);
    const asked = await native(display, 'Gander');
    display.picture('desktop-02-quit-asks');
    await display.key(asked.id, 'Escape');
    await until('the end of the question', async () => (await display.windows()).length === 5);
    assert.ok((await gander.session(before.state[3].session)).running);
    await same(before);
  });

  await t.test('quit and start', async () => {
    await quitByKey(display);
    const asked = await native(display, 'Gander');
    await display.key(asked.id, 'alt+i');
    await desktop.over();
    await desktop.start();
    await same(before);
    assert.ok((await gander.session(before.state[3].session)).interrupted, 'the turn that ran can be continued');
    display.picture('desktop-03-after-quit');
    await verified();
  });

  await t.test('SIGKILL of shell and server, and start', async () => {
    await prompt(desktop, streaming, '/stream 40 chunks 5 ms\n/hang');
    await until('a turn that runs', async () => (await gander.session(before.state[3].session)).running);
    const then = await everything();
    await desktop.kill();
    await desktop.start();
    await same(then);
    display.picture('desktop-04-after-sigkill');
    await verified();
  });

  await t.test('SIGKILL of the shell alone cuts no answer off', async () => {
    await prompt(desktop, streaming, '/stream 40 chunks 5 ms\n/hang');
    await until('a turn that runs', async () => (await gander.session(before.state[3].session)).running);
    const then = await everything();
    const server = desktop.serverPid();
    const shell = desktop.pid();
    process.kill(shell, 'SIGKILL');
    await until('its end', () => !alive(shell));
    await desktop.driver.stop();
    await desktop.start();
    assert.equal(desktop.serverPid(), server);
    assert.ok((await gander.session(before.state[3].session)).running, 'the turn goes on');
    await same(then);
  });

  await t.test('SIGKILL of the server alone: it is started again, and the windows stay', async () => {
    const then = await everything();
    const [server, shell] = [desktop.serverPid(), desktop.pid()];
    process.kill(server, 'SIGKILL');
    await until('another server', async () => desktop.serverPid() !== server && alive(desktop.serverPid()));
    await desktop.attach();
    await desktop.shown();
    assert.equal(desktop.pid(), shell);
    await same(then);
    await verified();
  });
});

/** Quits by the menu's key, in whatever window of ours has the keyboard. */
async function quitByKey(display) {
  const [one] = await display.windows();
  await display.key(one.id, 'ctrl+q');
}
