// No room on the disk in an upgrade: in the backup, in unpacking, in the copy before a migration, and in the migration itself.
// The old version goes on, nothing is lost, and it says what to do. Real file systems that are too small, which takes the right to mount.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { projectIn, temporaryHome } from './lib/places.js';
import { until } from './lib/until.js';
import { Upgradable } from './lib/upgrade.js';

/** Mounts a file system of this size for the length of a test; false where that may not be. */
function mount(t, folder, size) {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=0700`, 'tmpfs', folder], { stdio: 'pipe' });
  } catch {
    return false;
  }
  t.after(() => execFileSync('umount', ['--lazy', folder]));
  return true;
}

const NOT_HERE = 'only who may mount a small file system can fill one: run it as root';

/** Writes until nothing more goes in, then makes this much room again. */
function fill(folder, room) {
  const path = join(folder, 'filler');
  rmSync(path, { force: true });
  const { bavail, bsize } = statfsSync(folder);
  writeFileSync(path, Buffer.alloc(Math.max(0, bavail * bsize - room)));
  return () => rmSync(path, { force: true });
}

/** A running Gander with a chat and a draft. */
async function chat(t, home, more = {}) {
  const gander = new Upgradable(t, home, more);
  await gander.start();
  await gander.api('PATCH', 'config', { default_cwd: projectIn(home, 'project'), default_agent: 'scratch' });
  const window = await gander.post('windows');
  const { turn_id } = await gander.send(window.session_id, '/echo said before');
  await gander.ended_turn(window.session_id, turn_id);
  await gander.api('PUT', `windows/${window.id}/draft`, { session_id: window.session_id, rev: 1, text: 'half a sen', attachments: [] });
  return { gander, window };
}

const apply = (gander) => gander.upgrade('apply').then(() => assert.fail('there was no room for it'), (error) => error.message);

/** The old version serves, takes new words, and has everything. */
async function goes_on({ gander, window }, version = '0.1.0') {
  assert.equal((await gander.get('health')).version, version);
  const { draft } = await gander.get(`windows/${window.id}`);
  assert.equal(draft.text, 'half a sen');
  const { turn_id } = await gander.send(window.session_id, '/echo said after');
  assert.equal((await gander.ended_turn(window.session_id, turn_id)).state, 'ended');
  const verified = await gander.cli('verify', '--json');
  assert.equal(verified.code, 0, verified.out + verified.err);
}

// Who looks for room first looks at the data folder; these have less than it.
for (const [what, folder, size] of [
  ['the backup', 'vault', '16k'],
  ['unpacking', 'versions', '8m'],
  ['the copy before the migration', 'upgrade/sealed', '16k'],
]) {
  test(`no room for ${what}: the old version goes on, and says why (G10)`, async (t) => {
    const home = temporaryHome();
    if (!mount(t, join(home, 'gander', folder), size)) return t.skip(NOT_HERE);
    execFileSync('chmod', ['-R', 'go-rwx', join(home, 'gander')]);
    const story = await chat(t, home);
    const { gander } = story;
    const said = await apply(gander);
    t.diagnostic(said.split('\n').findLast((line) => line.includes('error')) ?? said);
    assert.match(said, /no room|No space left|disk is full/i);
    assert.match(said, folder === 'versions' ? /"todo":"Make room there, and try again\."/ : /"todo":"See to the cause and try again/);
    await until('the old version', async () => {
      gander.attach();
      return (await gander.get('health')).version === '0.1.0';
    });
    await goes_on(story);
    const { last } = (await gander.cli('upgrade', 'status', '--json')).json;
    assert.ok(['abandoned', 'rolled_back'].includes(last.result), last.result);
    await gander.end();
  });
}

test('no room at all while the new version starts: nothing is lost, and it goes on when there is some (G10)', async (t) => {
  for (const room of [0, 40 << 10, 160 << 10, 400 << 10]) {
    await t.test(`${room >> 10} KiB are left`, async (t) => {
      const home = temporaryHome();
      if (!mount(t, join(home, 'gander'), '400m')) return t.skip(NOT_HERE);
      // Its driver dies when everything is ready to be started: at this moment the disk is full.
      const story = await chat(t, home, { GANDER_FAULT: 'start:after' });
      const { gander } = story;
      await assert.rejects(gander.upgrade('apply'));
      await until('the end', () => gander.processes().length === 0);
      delete gander.environment.GANDER_FAULT;
      const free = fill(gander.home, room);
      const started = await gander.start().then(() => 'it serves', (error) => error.message);
      t.diagnostic(started.split('\n').slice(-4).join(' '));
      if (started !== 'it serves') assert.match(started, /→ .+/, 'it says what to do');
      await gander.end();
      free();
      await gander.restart();
      gander.attach();
      const state = JSON.parse(readFileSync(join(gander.home, 'upgrade/state.json'), 'utf8'));
      assert.ok(['commit', 'rolled_back'].includes(state.phase), state.phase);
      await goes_on(story, state.phase === 'commit' ? '0.2.0' : '0.1.0');
      await gander.end();
    });
  }
});
