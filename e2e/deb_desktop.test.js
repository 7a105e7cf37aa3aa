// Native windows, and a package manager that replaces them and the server beneath them: the same windows at the same places.

import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import test from 'node:test';
import { Installation, packages } from './lib/deb.js';
import { alive } from './lib/desktop.js';
import { Display } from './lib/display.js';
import { DRAFT, Five } from './lib/five.js';
import { temporaryHome } from './lib/places.js';
import { until } from './lib/until.js';
import { Upgradable } from './lib/upgrade.js';

const NEW = '0.2.0';
const ROUNDS = 10;

async function round(t) {
  const home = temporaryHome();
  const display = await new Display(home).start(t);
  const installation = new Installation(home);
  installation.install(packages().old);
  const gander = new Upgradable(t, home, display.environment);
  gander.program = installation.program;
  const five = await Five.begin(display, gander, home, installation.desktop);
  const before = await five.rest();
  display.picture('deb-desktop-before');

  // In the middle of an answer, which ends first.
  const { busy } = five;
  const { turn_id } = await gander.send(busy.session_id, '/stream 60 chunks 20 ms', { window_id: busy.id });
  installation.install(packages().next);
  assert.equal((await gander.ended_turn(busy.session_id, turn_id)).state, 'ended');
  await five.serves(NEW);
  await until('the new windows', () => five.shows() === installation.desktop);
  const after = await five.rest(before);
  display.picture('deb-desktop-after');
  assert.deepEqual(after.kept.map(({ draft }) => draft), ['', '', DRAFT, '', '']);
  assert.ok(alive(five.shell.pid), 'the same process shows the windows');
  const { last } = (await gander.cli('upgrade', 'status', '--json')).json;
  assert.deepEqual([last.result, last.checks.windows], ['committed', { before: 5, after: 5 }]);
  const verified = await gander.cli('verify', '--json');
  assert.deepEqual([verified.code, verified.json.findings], [0, []]);
  await gander.end();
  // Ten of them would fill a small disk.
  rmSync(installation.root, { recursive: true, force: true });
}

test('five native windows stay where they are while the next package is installed over them, ten times (G5, G10)', async (t) => {
  for (let nth = 1; nth <= ROUNDS; nth += 1) await t.test(`in a fresh home, ${nth}`, round);
});
