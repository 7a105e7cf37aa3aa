// How long native windows take to come back, and what they cost in memory: `make bench-desktop`. Never a test: a busy machine
// must not fail a build. A window counts as live when its page has drawn its conversation and follows the changes.

import { cpSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Desktop } from './lib/desktop.js';
import { Display } from './lib/display.js';
import { ROOT, projectIn, temporaryHome } from './lib/places.js';
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
  let shell = desktop.launch();
  await desktop.attach();
  await gander.api('PATCH', 'config', { default_cwd: projectIn(home, 'project'), default_agent: 'scratch' });
  await until('the first window', async () => (await desktop.open()).length === 1);
  for (let made = 1; made < count; made += 1) await gander.post('windows');
  for (const window of await desktop.open()) {
    const { turn_id } = await gander.send(window.session_id, '/markdown', { window_id: window.id });
    await gander.ended_turn(window.session_id, turn_id);
  }
  const firsts = [];
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
    // Heard, not asked again and again: that would take part in what is measured.
    const { windows, focused, cursor } = await gander.get('windows');
    const live = new Set();
    let follows;
    await new Promise((done) => {
      const attached = (window) => {
        if (!window.open || !window.attached || live.has(window.id)) return;
        live.add(window.id);
        if (window.id === focused) firsts.push(performance.now() - begun);
        if (live.size === count) done(times.push(performance.now() - begun));
      };
      windows.forEach(attached);
      follows = gander.follow((change) => change.type === 'window' && attached(change.data), cursor);
    });
    (await follows).close();
    // The server may have a session of its own; whatever this home's processes are, they are the shell's or the server's.
    const processes = [...new Set([...family(shell.pid), ...family(gander.runtime.pid)])];
    costs.push(mib(processes));
    own.push(mib([shell.pid]));
  }
  display.picture(`desktop-bench-${count}`);
  shell.kill('SIGTERM');
  await shell.ended;
  console.log(`${count} windows: the one at the front live after ${spread(firsts)} ms, all after ${spread(times)} ms; ${spread(costs)} MiB in all, ${spread(own)} MiB in the shell (least / median / most of ${ROUNDS})`);
}

/** In the page: from the click on a session's row until its last entry is drawn. The answer is in milliseconds. */
const OPEN = `const [session, seq, done] = arguments;
  const row = document.querySelector('[data-testid=session-row][data-session-id="' + session + '"]');
  const begun = performance.now();
  row.click();
  const look = () => {
    const view = document.querySelector('[data-testid=conversation]')?.getBoundingClientRect();
    const last = document.querySelector('[data-testid=conversation] [data-last="' + seq + '"]');
    const shown = document.querySelector('[data-testid=window]').dataset.sessionId === session && last && last.getBoundingClientRect().bottom <= view.bottom + 40 && last.checkVisibility({ visibilityProperty: true });
    // The frame that follows is the first that shows it.
    if (shown) requestAnimationFrame(() => setTimeout(() => done(performance.now() - begun)));
    else requestAnimationFrame(look);
  };
  look();`;

/** In the page: scrolls up, frame by frame, and looks in each for a part of the view that no row covers. Rows have up to 40 pixels between them, and 46 below the last. */
const SCROLL = `const [frames, step, done] = arguments;
  const gaps = [], times = [];
  let scroller, from, waited = 0, before;
  const first = () => Number(scroller.querySelector('[data-last]').dataset.last);
  const begin = () => {
    scroller = document.querySelector('[data-testid=conversation]');
    if (!scroller?.querySelector('[data-last]')) return requestAnimationFrame(begin);
    from = first();
    before = performance.now();
    requestAnimationFrame(frame);
  };
  const frame = () => {
    const now = performance.now();
    times.push(now - before);
    before = now;
    const view = scroller.getBoundingClientRect();
    let covered = view.top;
    let gap = 0;
    const rows = [...scroller.querySelectorAll('[data-row]')].filter((row) => row.checkVisibility({ visibilityProperty: true })).map((row) => row.getBoundingClientRect()).sort((a, b) => a.top - b.top);
    for (const { top, bottom } of [...rows, { top: view.bottom, bottom: view.bottom }]) {
      if (bottom < view.top) continue;
      gap = Math.max(gap, Math.min(top, view.bottom) - covered);
      covered = Math.max(covered, bottom);
    }
    gaps.push(gap);
    if (scroller.scrollTop < 1) waited += 1;
    if (gaps.length === frames) return done({ blank: gaps.filter((gap) => gap > 48).length, largest: Math.max(...gaps), waited, entries: from - first(), times: times.slice(1) });
    scroller.dispatchEvent(new WheelEvent('wheel', { deltaY: -step, bubbles: true }));
    scroller.scrollTop -= step;
    requestAnimationFrame(frame);
  };
  begin();`;

/** A session of 33,000 entries among 10,000 others: how soon its end is drawn, and whether scrolling shows holes. */
async function long() {
  const home = temporaryHome();
  const display = await new Display(home).start(scope);
  const desktop = new Desktop(scope, home, display);
  const { gander } = desktop;
  cpSync(join(ROOT, 'target/bench/seed'), desktop.home, { recursive: true });
  await desktop.start();
  await gander.api('PATCH', 'config', { default_cwd: projectIn(home, 'project'), default_agent: 'scratch' });
  // The long session is the first that was made. Pinned, it and another one are at the top of the list.
  let page = await gander.get('sessions?limit=500');
  const [other] = page.sessions;
  const oldest = () => page.sessions.find((session) => session.head.seq >= 33_000);
  while (!oldest()) page = await gander.get(`sessions?limit=500&after=${page.next}`);
  const { id } = oldest();
  const [window] = await desktop.open();
  for (const session of [id, other.id]) await gander.api('PATCH', `sessions/${session}`, { pinned: true });
  const { head } = await gander.session(id);
  const { head: end } = await gander.session(other.id);
  const driver = await desktop.at(window);
  await until('both in the list', () => driver.execute(`return [...arguments].every((id) => document.querySelector('[data-session-id="' + id + '"][data-testid=session-row]'))`, id, other.id));
  await driver.post('timeouts', { script: 300_000 });
  const opened = [];
  for (let round = 0; round < 9; round += 1) {
    await driver.executeAsync(OPEN, other.id, String(end.seq));
    opened.push(await driver.executeAsync(OPEN, id, String(head.seq)));
  }
  const scrolled = await driver.executeAsync(SCROLL, 400, 120);
  const times = scrolled.times.sort((a, b) => a - b);
  await desktop.picture('desktop-bench-long');
  await desktop.kill();
  console.log(`${head.seq} entries: drawn at the end ${spread(opened)} ms after a click; 400 frames of 120 pixels up, over ${scrolled.entries} entries: ${scrolled.blank} with a hole (largest ${Math.round(scrolled.largest)} px), ${scrolled.waited} at the top waiting, a frame in ${Math.round(times[times.length >> 1])} ms, the slowest ${Math.round(times.at(-1))} ms`);
}

try {
  for (const part of (process.argv[2] ?? 'long,5,32').split(',')) await (part === 'long' ? long() : measure(Number(part)));
} finally {
  for (const end of ends.reverse()) await end();
}
