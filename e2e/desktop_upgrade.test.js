// Native windows that no package manager installed: a signed package carries them too, and so does the way back.

import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { alive } from './lib/desktop.js';
import { Display } from './lib/display.js';
import { DRAFT, Five } from './lib/five.js';
import { temporaryHome } from './lib/places.js';
import { until } from './lib/until.js';
import { Upgradable, WHOLE, wholePackage } from './lib/upgrade.js';

const [OLD, NEW] = ['0.1.0', '0.2.0'];

test('a signed package takes five native windows to its version, and the way back brings theirs back (G5, G7, G10)', async (t) => {
  const home = temporaryHome();
  const display = await new Display(home).start(t);
  const bin = join(home, 'bin');
  mkdirSync(bin);
  for (const name of ['gander', 'gander-desktop']) copyFileSync(join(WHOLE, name), join(bin, name));
  const gander = new Upgradable(t, home, display.environment);
  gander.program = join(bin, 'gander');
  const installed = join(bin, 'gander-desktop');
  const five = await Five.begin(display, gander, home, installed);
  const kept = (version) => join(gander.home, 'versions', version, 'gander-desktop');
  const before = await five.rest();
  assert.deepEqual(before.kept.map(({ draft }) => draft), ['', '', DRAFT, '', '']);
  assert.deepEqual(before.kept.slice(3).map(({ name }) => name), ['The busy one', 'The finished one']);
  display.picture('desktop-upgrade-before');

  /** The same windows, shown by the program of the version that serves, in the same process. */
  const same = async (version, program) => {
    await five.serves(version);
    await until(`windows of ${version}`, () => five.shows() === program).catch((error) => {
      throw new Error(`not yet, or ended with ${five.shell.exitCode ?? five.shell.signalCode}:\n${five.said}`, { cause: error });
    });
    await five.rest(before);
    assert.ok(alive(five.shell.pid));
    await until('the windows to say who they are', async () => {
      const grants = (await gander.get('auth/grants')).grants.map(({ label }) => label);
      assert.ok(grants.includes(`GanderDesktop/${version}`), `${grants}`);
      return true;
    });
    const verified = await gander.cli('verify', '--json');
    assert.deepEqual([verified.code, verified.json.findings], [0, []]);
  };

  await t.test('upgrade, in the middle of an answer', async () => {
    const { busy } = five;
    const { turn_id } = await gander.send(busy.session_id, '/stream 60 chunks 20 ms', { window_id: busy.id });
    const { last } = await gander.upgrade('apply', wholePackage());
    assert.equal((await gander.ended_turn(busy.session_id, turn_id)).state, 'ended');
    assert.deepEqual([last.result, last.warnings, last.checks.windows], ['committed', [], { before: 5, after: 5 }]);
    await same(NEW, kept(NEW));
    display.picture('desktop-upgrade-after');
    assert.deepEqual(readdirSync(join(gander.home, 'versions')).sort(), [OLD, NEW, 'current']);
    assert.deepEqual(readdirSync(join(gander.home, 'versions', OLD)).sort(), ['gander', 'gander-desktop', 'manifest.json']);
    assert.deepEqual(readdirSync(join(gander.home, 'versions', NEW)).sort(), ['gander', 'gander-desktop', 'licences.txt', 'manifest.json']);
  });

  await t.test('killed, and started as from the menu: the newest one shows them', async () => {
    for (const pid of [five.shell.pid, gander.runtime.pid]) process.kill(pid, 'SIGKILL');
    await until('their end', () => !alive(five.shell.pid) && !alive(gander.runtime.pid));
    five.start(installed);
    await same(NEW, kept(NEW));
  });

  await t.test('a server that is killed is started again through the installed program', async () => {
    const { pid } = gander.runtime;
    process.kill(pid, 'SIGKILL');
    await until('another server', () => JSON.parse(readFileSync(join(gander.home, 'runtime.json'), 'utf8')).pid !== pid);
    await same(NEW, kept(NEW));
    const environment = readFileSync(`/proc/${gander.runtime.pid}/environ`, 'utf8').split('\0');
    assert.ok(environment.includes(`GANDER_INSTALLED_PROGRAM=${join(bin, 'gander')}`), 'it knows which program a package manager would replace');
  });

  await t.test('the way back', async () => {
    const { last } = await gander.upgrade('rollback');
    assert.deepEqual([last.result, last.checks.windows], ['committed', { before: 5, after: 5 }]);
    await same(OLD, kept(OLD));
    display.picture('desktop-upgrade-back');
  });

  await t.test('and once more, where windows of that version are kept already', async () => {
    await gander.upgrade('apply', wholePackage());
    await same(NEW, kept(NEW));
  });
  await gander.end();
});

test('who has no native windows gets none by an upgrade: a browser stays what opens (G10)', async (t) => {
  const home = temporaryHome();
  const gander = new Upgradable(t, home);
  await gander.start();
  await gander.upgrade('apply', wholePackage());
  assert.equal((await gander.get('health')).version, NEW);
  assert.deepEqual(readdirSync(join(gander.home, 'versions', NEW)).sort(), ['gander', 'licences.txt', 'manifest.json']);
  assert.deepEqual(await gander.get('upgrade/windows'), { version: NEW, program: null });
  assert.ok(!existsSync(join(gander.home, 'versions', OLD, 'gander-desktop')));
});
