// Kills in an upgrade between two real versions: at every boundary between two effects, and at random moments inside the
// phases; the driver, who serves, or everybody at once as in a power cut. Whatever it was, the next start runs the old or the new
// version, and every window, name, draft and entry is where it was.
//
// GANDER_KILLS=N of them at random (GANDER_KILLS_SEED=S repeats them). `make test` has all boundaries and few random ones,
// `make proof-upgrade` 200 in all.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { accessSync, constants, cpSync, existsSync, linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { projectIn } from './lib/places.js';
import { until } from './lib/until.js';
import { Upgradable } from './lib/upgrade.js';

const SEED = Number(process.env.GANDER_KILLS_SEED ?? Date.now() % 2 ** 31);
const RANDOM = Number(process.env.GANDER_KILLS ?? 12);
/** Several at once: most of a run is waiting for processes that start and end. */
const LANES = 3;

const VERSIONS = { '0.1.0': 1, '0.2.0': 2 };

/** Small and repeatable: mulberry32. */
function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Kills are no power cuts: what was written is there, on a disk or in memory, where copies of programs cost nothing. */
function scratch() {
  try {
    accessSync('/dev/shm', constants.W_OK);
    return '/dev/shm';
  } catch {
    return tmpdir();
  }
}

/** What windows show and sessions are called, what is typed, and the entries' hashes. */
async function looks(gander) {
  const { windows } = await gander.get('windows');
  const { sessions } = await gander.get('sessions?status=all&limit=500');
  const hashes = await Promise.all(sessions.map(async ({ id }) => [id, (await gander.entries(id)).map((entry) => entry.hash)]));
  return {
    windows: windows.map(({ id, ordinal, session_id, open, draft }) => ({ id, ordinal, session_id, open, text: draft?.text ?? null })),
    names: Object.fromEntries(sessions.map(({ id, name, named_by }) => [id, `${name} (${named_by})`])),
    hashes: Object.fromEntries(hashes),
  };
}

/** A folder with the five windows, nobody serving: what each run begins with a copy of. */
async function template(t, root) {
  const home = join(root, 'template');
  mkdirSync(home);
  const gander = new Upgradable(t, home);
  await gander.start();
  await gander.api('PATCH', 'config', { default_cwd: projectIn(root, 'project'), default_agent: 'scratch' });
  const windows = [];
  for (let index = 0; index < 5; index += 1) {
    const { id, session_id } = await gander.post('windows');
    windows.push({ id, session: session_id });
  }
  for (const [index, text] of [[2, 'finished'], [3, 'first'], [4, 'before']]) {
    const { turn_id } = await gander.send(windows[index].session, `/echo ${text}`);
    await gander.ended_turn(windows[index].session, turn_id);
  }
  await gander.api('PATCH', `sessions/${windows[4].session}`, { name: 'Its own name' });
  await gander.api('PUT', `windows/${windows[3].id}/draft`, { session_id: windows[3].session, rev: 1, text: 'half a sen', attachments: [] });
  await gander.cli('stop');
  await until('the end', () => gander.processes().length === 0);
  return { home, busy: windows[4].session };
}

/** A copy of its own; programs are never written in place, so they are only named anew. */
function copy(from, to) {
  const program = /\/versions\/[^/]+\/gander$/;
  cpSync(from, to, { recursive: true, filter: (path) => !program.test(path) });
  for (const version of Object.keys(VERSIONS)) {
    const path = join('gander/versions', version, 'gander');
    try {
      linkSync(join(from, path), join(to, path));
    } catch (error) {
      if (error.code !== 'ENOENT') throw error;
    }
  }
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** One run: begin, kill, start again, compare. Says how it ended. */
async function run(t, { root, number, from, what, fault, victim, after_ms, again }) {
  const home = mkdtempSync(join(root, `run-${number}-`));
  copy(from.home, home);
  const gander = new Upgradable(t, home, fault ? { GANDER_FAULT: fault } : {});
  const plan = JSON.stringify({ number, what, fault, victim, after_ms });
  try {
    // All are copies of one journal, which keeps its port.
    await gander.start('--port', String(await freePort()));
    // In the middle of an answer, which would go on for longer than any of this takes.
    const shown = [];
    const following = await gander.follow((change) => shown.push(change.type));
    const { turn_id } = await gander.send(from.busy, '/stream 100000 chunks 5 ms');
    await until('some text', () => shown.includes('open_item'));
    await following.close();
    const before = await looks(gander);

    const upgrading = gander.upgrade(what, '--interrupt').then(
      (status) => status.last.result,
      () => 'not done',
    );
    if (victim) {
      await Promise.race([upgrading, new Promise((go) => setTimeout(go, after_ms))]);
      const driver = () => gander.processes().filter((pid) => readName(pid).includes('upgrade'));
      const server = () => gander.processes().filter((pid) => readName(pid).includes('serve'));
      const pids = { driver, server, all: () => gander.processes() }[victim]();
      for (const pid of pids) kill(pid);
    }
    const ended = await upgrading;

    // The next start, by the installed program. Who still serves goes on; nothing else is in the way.
    delete gander.environment.GANDER_FAULT;
    await gander.restart();
    const health = await gander.get('health');
    const path = join(gander.home, 'upgrade/state.json');
    // It was quicker than the first phase: nothing had begun.
    const state = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : { phase: 'abandoned', from: { version: '0.1.0' } };
    assert.ok(['commit', 'rolled_back', 'abandoned'].includes(state.phase), `${plan}: ${state.phase}`);
    assert.equal(health.version, state.phase === 'commit' ? state.to.version : state.from.version, plan);
    assert.equal(health.format, VERSIONS[health.version], plan);
    if (state.phase === 'commit') {
      assert.ok(state.check.ok, plan);
      assert.equal(state.check.root_before, state.check.root_after, plan);
    }
    const now = await looks(gander);
    assert.deepEqual(now.windows, before.windows, plan);
    assert.deepEqual(now.names, before.names, plan);
    for (const [id, hashes] of Object.entries(before.hashes)) {
      const kept = now.hashes[id];
      assert.deepEqual(id === from.busy ? kept.slice(0, hashes.length) : kept, hashes, `${plan}: the entries of ${id}`);
    }
    const turn = (await gander.session(from.busy)).turn;
    if (turn?.id !== turn_id || turn.state !== 'running') {
      const end = (await gander.entries(from.busy)).find((entry) => entry.kind === 'turn_ended' && entry.body.turn === turn_id);
      assert.equal(end?.body.data.state, 'interrupted', plan);
    }
    const verified = await gander.cli('verify', '--json');
    assert.equal(verified.code, 0, `${plan}: ${verified.out}${verified.err}`);
    if (again && state.phase !== 'commit') {
      // Whoever serves may have the fault in its environment.
      await gander.end();
      await gander.restart();
      const status = await gander.upgrade(what, '--interrupt');
      assert.equal(status.last.result, 'committed', plan);
      assert.deepEqual((await looks(gander)).windows, before.windows, plan);
    }
    return `${ended}, then ${state.phase}`;
  } catch (error) {
    throw new Error(`${plan} (GANDER_KILLS_SEED=${SEED}): ${error.message}`, { cause: error });
  } finally {
    await gander.end();
    if (!process.env.GANDER_KEEP) rmSync(home, { recursive: true, force: true, maxRetries: 5 });
  }
}

function readName(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}

function kill(pid) {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It was quicker.
  }
}

/** All of them, a few at a time; how they ended, counted. */
async function runAll(t, plans) {
  const ends = new Map();
  const failed = [];
  const waiting = [...plans];
  const lane = async () => {
    for (let plan = waiting.shift(); plan; plan = waiting.shift()) {
      const end = await run(t, plan).catch((error) => failed.push(error) && 'failed');
      ends.set(end, (ends.get(end) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  for (const [end, count] of ends) t.diagnostic(`${count} × ${end}`);
  if (failed.length > 0) throw new Error(failed.map((error) => error.message).join('\n'), { cause: failed[0] });
  return ends;
}

const APPLY = [
  'stage:after', 'unpack', 'publish', 'drill:before', 'drill:after', 'drill:saved', 'prepare:before', 'prepare:after', 'prepare:asked',
  'seal:before', 'seal:after', 'seal:ended', 'switch:before', 'switch:after', 'switch:set', 'start:before', 'start:after', 'start:counted',
  'start:spawned', 'check:before', 'check:after', 'commit:before', 'commit:after',
  // The new version dies while it checks, and the driver dies while it goes back.
  ...['rollback:before', 'rollback:after', 'rollback:journal', 'rollback:pointer', 'rolled_back:before', 'rolled_back:after'].map((point) => `check:after,${point}`),
];
const ROLLBACK = ['seal:after', 'switch:before', 'switch:after', 'switch:back', 'switch:set', 'start:spawned', 'check:after', 'commit:after', 'check:after,rollback:after', 'check:after,rollback:journal'];

test('killed at every boundary, and at random inside the phases (G5, G7, G10)', async (t) => {
  const root = mkdtempSync(join(scratch(), 'gander-kills-'));
  t.after(() => process.env.GANDER_KEEP || rmSync(root, { recursive: true, force: true, maxRetries: 5 }));
  t.diagnostic(`GANDER_KILLS_SEED=${SEED} GANDER_KILLS=${RANDOM}`);
  const old = await template(t, root);
  mkdirSync(join(root, 'upgraded'));
  copy(old.home, join(root, 'upgraded/template'));
  const upgraded = { home: join(root, 'upgraded/template'), busy: old.busy };
  const gander = new Upgradable(t, upgraded.home);
  await gander.start();
  const began = Date.now();
  await gander.upgrade('apply');
  const length_ms = Date.now() - began;
  // Work in the new version, which the way back carries along.
  const { turn_id } = await gander.send(upgraded.busy, '/echo written in the new version');
  await gander.ended_turn(upgraded.busy, turn_id);
  await gander.cli('stop');
  await until('the end', () => gander.processes().length === 0);
  t.diagnostic(`an upgrade takes ${length_ms} ms here`);

  let number = 0;
  const plan = (more) => ({ root, number: (number += 1), ...more });
  await t.test('at every boundary', async (t) => {
    const plans = [
      ...APPLY.map((fault) => plan({ from: old, what: 'apply', fault, again: true })),
      ...ROLLBACK.map((fault) => plan({ from: upgraded, what: 'rollback', fault, again: true })),
    ];
    const ends = await runAll(t, plans);
    assert.ok([...ends.keys()].some((end) => end.endsWith('commit')) && [...ends.keys()].some((end) => end.endsWith('abandoned')) && [...ends.keys()].some((end) => end.endsWith('rolled_back')), 'all three ends were met');
  });
  await t.test('at random', async (t) => {
    const next = random(SEED);
    const plans = Array.from({ length: RANDOM }, () => {
      const back = next() < 0.3;
      const victim = ['all', 'driver', 'server'][Math.floor(next() * 3)];
      return plan({ from: back ? upgraded : old, what: back ? 'rollback' : 'apply', victim, after_ms: Math.floor(next() * length_ms * 1.3), again: next() < 0.2 });
    });
    await runAll(t, plans);
  });
});
