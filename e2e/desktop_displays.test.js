// Several displays: windows come back onto theirs, also when it was unplugged meanwhile.

import assert from 'node:assert/strict';
import test from 'node:test';
import { begin, native, places, put } from './lib/desktop.js';
import { until } from './lib/until.js';

const LEFT = { id: 0, x: 0, y: 0, width: 1280, height: 1000 };
const RIGHT = { id: 1, x: 1280, y: 0, width: 1400, height: 1000 };
/** Where windows are put, by the names of their sessions. */
const PUT = {
  Left: { x: 100, y: 100, width: 700, height: 500 },
  Right: { x: 1500, y: 200, width: 760, height: 500 },
  Full: { x: 1700, y: 150, width: 640, height: 500 },
  Small: { x: 1900, y: 300, width: 680, height: 520 },
};

/** Two displays: a window on the left one, three on the right: as it is, in full screen, and minimised. */
async function four(t) {
  const { desktop, display, gander } = await begin(t, { screens: [LEFT, RIGHT] });
  for (let count = 1; count < 4; count += 1) await gander.post('windows');
  await desktop.shown();
  const ids = {};
  for (const [index, window] of (await desktop.open()).entries()) {
    const name = Object.keys(PUT)[index];
    ids[name] = window.id;
    await gander.api('PATCH', `sessions/${window.session_id}`, { name });
    await put(desktop, (await native(display, name)).id, window, PUT[name]);
  }
  await display.key((await native(display, 'Full')).id, 'F11');
  await display.xdotool('windowminimize', '--sync', (await native(display, 'Small')).id);
  const geometry = async (name) => (await gander.get(`windows/${ids[name]}`)).geometry;
  await until('both in the journal', async () => (await geometry('Full')).fullscreen && (await geometry('Small')).minimized);
  return { desktop, display, gander, ids, geometry };
}

/** Waits until a window is somewhere, as the window manager says. */
const at = (display, name, wanted, fits) =>
  until(`${name} ${wanted}`, async () => {
    const shown = await native(display, name);
    if (!fits(shown)) throw new Error(JSON.stringify(shown));
    return true;
  });

const fills = (screen) => (shown) => ['x', 'y', 'width', 'height'].every((side) => shown[side] === screen[side]);
const within = (screen) => ({ x, y, width, height }) =>
  x >= screen.x && x + width <= screen.x + screen.width && y >= screen.y && y + height <= screen.y + screen.height;
/** Where it was put, or so far to the right of it: its frame there, the window in it a few pixels off. */
const there = (name, by = 0) => (shown) =>
  shown.width === PUT[name].width && shown.height === PUT[name].height && Math.abs(shown.x - PUT[name].x - by) <= 40 && Math.abs(shown.y - PUT[name].y) <= 40;

/** All four where they were put, and as the journal had them. */
async function inPlace({ display, desktop }, kept) {
  for (const name of ['Left', 'Right']) await at(display, name, 'where it was put', there(name));
  await at(display, 'Full', 'on the whole right display', fills(RIGHT));
  await until('the fourth one minimised', async () => (await display.windows()).length === 3);
  await until('the same places in the journal', async () => {
    assert.deepEqual(new Map((await desktop.open()).map(({ id, geometry }) => [id, geometry])), kept);
    return true;
  });
}

test('windows of a display that is gone come onto one that exists, and go home when it is back', async (t) => {
  const all = await four(t);
  const { desktop, display, gander, ids, geometry } = all;
  const kept = await places(desktop);
  await inPlace(all, kept);
  display.picture('desktop-two-displays');

  // While it runs.
  await display.plug([LEFT]);
  await at(display, 'Right', 'on the left display', within(LEFT));
  await at(display, 'Full', 'on the whole left display', fills(LEFT));
  await at(display, 'Left', 'where it was put', there('Left'));
  await until('its home in the journal', async () => (await geometry('Right')).home?.x === kept.get(ids.Right).x);
  assert.deepEqual([(await native(display, 'Right')).width, (await native(display, 'Right')).height], [PUT.Right.width, PUT.Right.height]);
  display.picture('desktop-display-gone');
  await display.plug([LEFT, RIGHT]);
  await inPlace(all, kept);

  // Between two starts, also killed ones.
  await desktop.kill();
  await display.plug([LEFT]);
  await desktop.start();
  await at(display, 'Right', 'on the left display', within(LEFT));
  await at(display, 'Full', 'on the whole left display', fills(LEFT));
  process.kill(desktop.pid(), 'SIGTERM');
  await desktop.over();
  await display.plug([LEFT, RIGHT]);
  await desktop.start();
  await inPlace(all, kept);
  await gander.post(`windows/${ids.Small}/focus`);
  await at(display, 'Small', 'where it was put', there('Small'));
});

test('a display that moves takes its windows along', async (t) => {
  const all = await four(t);
  const { desktop, display } = all;
  const kept = await places(desktop);
  // They change places.
  const moved = { ...RIGHT, x: 0 };
  await display.plug([{ ...LEFT, x: RIGHT.width }, moved]);
  await at(display, 'Right', 'on the same display', there('Right', -LEFT.width));
  await at(display, 'Left', 'on the same display', there('Left', RIGHT.width));
  await at(display, 'Full', 'on the whole of it', fills(moved));
  await display.plug([LEFT, RIGHT]);
  await inPlace(all, kept);
});
