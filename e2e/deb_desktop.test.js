// Native windows, and a package manager that replaces them and the server beneath them: the same windows at the same places.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import test from 'node:test';
import { Installation, packages } from './lib/deb.js';
import { alive } from './lib/desktop.js';
import { Display } from './lib/display.js';
import { projectIn, temporaryHome } from './lib/places.js';
import { until } from './lib/until.js';
import { Upgradable } from './lib/upgrade.js';

const OLD = '0.1.0';
const NEW = '0.2.0';
const DRAFT = 'half a thought,\nand its second line';

test('five native windows stay where they are while the next package is installed over them (G5, G10)', async (t) => {
  const home = temporaryHome();
  const display = await new Display(home).start(t);
  const installation = new Installation(home);
  installation.install(packages().old);
  const gander = new Upgradable(t, home, display.environment);
  gander.program = installation.program;
  const shell = spawn(installation.desktop, [], { env: { ...gander.environment, GANDER_LOG: 'warn,gander_desktop=info' }, stdio: ['ignore', 'ignore', 'pipe'] });
  let shellSaid = '';
  shell.stderr.on('data', (data) => (shellSaid += data));
  await until('a server', async () => {
    gander.attach();
    return (await gander.get('health')).version === OLD;
  });
  await gander.api('PATCH', 'config', { default_cwd: projectIn(home, 'project'), default_agent: 'scratch' });
  await until('the first window', async () => (await gander.get('windows')).windows.length === 1);
  for (let count = 1; count < 5; count += 1) await gander.post('windows');
  const windows = (await gander.get('windows')).windows;
  const [, , drafting, busy, finished] = windows;
  for (const [window, name] of [[busy, 'The busy one'], [finished, 'The finished one']]) {
    const { turn_id } = await gander.send(window.session_id, '/echo All is said', { window_id: window.id });
    await gander.ended_turn(window.session_id, turn_id);
    await gander.api('PATCH', `sessions/${window.session_id}`, { name });
  }
  await gander.api('PUT', `windows/${drafting.id}/draft`, { session_id: drafting.session_id, rev: 1, text: DRAFT, attachments: [] });

  /** What a person sees, and what the journal says of it. */
  const all = async () => {
    const native = (await display.windows()).map(({ id, ...where }) => where).sort((a, b) => a.title.localeCompare(b.title) || a.x - b.x || a.y - b.y);
    const kept = (await gander.get('windows')).windows.map(({ id, ordinal, session_id, open, draft, geometry }) => ({ id, ordinal, session_id, open, draft: draft?.text ?? '', geometry }));
    return { native, kept };
  };
  /** The same again, once it has been the same for a while: places are written down as windows come to rest. */
  const rest = () => {
    let last;
    return until('five windows at rest', async () => {
      const now = await all();
      const rests = JSON.stringify(now) === last && now.native.length === 5 && now.native.some(({ title }) => title.startsWith('The finished one'));
      last = JSON.stringify(now);
      if (!rests) await new Promise((later) => setTimeout(later, 1_200));
      return rests && now;
    }).catch((error) => {
      display.picture('deb-desktop-restless');
      throw new Error(`no rest: ${last}\n${shellSaid}`, { cause: error });
    });
  };
  const one = (await rest()).native.find(({ title }) => title.startsWith('The finished one'));
  const { id } = (await display.windows()).find(({ title }) => title === one.title);
  await display.xdotool('windowsize', '--sync', id, 700, 500, 'windowmove', '--sync', id, 820, 610);
  const before = await rest();
  display.picture('deb-desktop-before');

  // In the middle of an answer, which ends first.
  const { turn_id } = await gander.send(busy.session_id, '/stream 60 chunks 20 ms', { window_id: busy.id });
  installation.install(packages().next);
  assert.equal((await gander.ended_turn(busy.session_id, turn_id)).state, 'ended');
  await until('the new version', async () => {
    gander.attach();
    return (await gander.get('health')).version === NEW;
  });
  await until('the new windows', () => readlinkSync(`/proc/${shell.pid}/exe`) === installation.desktop);
  const after = await rest();
  display.picture('deb-desktop-after');
  assert.deepEqual(after, before);
  assert.deepEqual(after.kept.map(({ draft }) => draft), ['', '', DRAFT, '', '']);
  assert.ok(alive(shell.pid), 'the same process shows the windows');
  const { last } = (await gander.cli('upgrade', 'status', '--json')).json;
  assert.deepEqual([last.result, last.checks.windows], ['committed', { before: 5, after: 5 }]);
  const verified = await gander.cli('verify', '--json');
  assert.deepEqual([verified.code, verified.json.findings], [0, []]);
  await gander.end();
});
