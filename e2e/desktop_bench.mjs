// How long native windows take to come back, and what they cost in memory: `make bench-desktop`. Never a test: a busy machine
// must not fail a build. A window counts as live when its page has read its session and follows the changes.

import { readFileSync, readdirSync } from 'node:fs';
import { Desktop } from './lib/desktop.js';
import { Display } from './lib/display.js';
import { projectIn, temporaryHome } from './lib/places.js';
import { until } from './lib/until.js';

const ROUNDS = 5;
const ends = [];
const scope = { after: (end) => ends.push(end) };

/** A process and all that it started. */
function family(root) {
  const parents = new Map();
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number)) {
    try {
      parents.set(pid, Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]));
    } catch {
      // It has ended meanwhile.
    }
  }
  const members = [root];
  for (const member of members) for (const [pid, parent] of parents) if (parent === member) members.push(pid);
  return members;
}

/** Memory in MiB, pages that several processes share counted once in all. */
const mib = (pids) => pids.reduce((sum, pid) => sum + Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))[1]), 0) / 1024;

const spread = (figures) => {
  const sorted = [...figures].sort((a, b) => a - b);
  return `${Math.round(sorted[0])} / ${Math.round(sorted[sorted.length >> 1])} / ${Math.round(sorted.at(-1))}`;
};

async function measure(count) {
  const home = temporaryHome();
  const display = await new Display(home).start(scope);
  const desktop = new Desktop(scope, home, display);
  const { gander } = desktop;
  const live = async () => {
    const open = await desktop.open();
    return open.length === count && open.every((window) => window.attached);
  };
  let shell = desktop.launch();
  await desktop.attach();
  await gander.api('PATCH', 'config', { default_cwd: projectIn(home, 'project'), default_agent: 'scratch' });
  await until('the first window', async () => (await desktop.open()).length === 1);
  for (let made = 1; made < count; made += 1) await gander.post('windows');
  for (const window of await desktop.open()) {
    const { turn_id } = await gander.send(window.session_id, '/markdown', { window_id: window.id });
    await gander.ended_turn(window.session_id, turn_id);
  }
  const times = [];
  const costs = [];
  const own = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    shell.kill('SIGTERM');
    await shell.ended;
    await until('the server to end', async () => !(await fetch(gander.url).catch(() => null)));
    const begun = performance.now();
    shell = desktop.launch();
    await desktop.attach();
    await until('all windows to be live', live);
    times.push(performance.now() - begun);
    // The server may have a session of its own; whatever this home's processes are, they are the shell's or the server's.
    const all = [...new Set([...family(shell.pid), ...family(gander.runtime.pid)])];
    costs.push(mib(all));
    own.push(mib([shell.pid]));
  }
  display.picture(`desktop-bench-${count}`);
  shell.kill('SIGTERM');
  await shell.ended;
  console.log(`${count} windows: live after ${spread(times)} ms; ${spread(costs)} MiB in all, ${spread(own)} MiB in the shell (least / median / most of ${ROUNDS})`);
}

try {
  for (const count of (process.argv[2] ?? "5,32").split(",").map(Number)) await measure(count);
} finally {
  for (const end of ends.reverse()) await end();
}
