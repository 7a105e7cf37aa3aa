// A screen of its own for native windows: an X server in memory, a window manager and a message bus, all ended with the test.

import { execFile, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { png, pointsOf } from './png.js';
import { ARTEFACTS, PYTHON } from './places.js';
import { plug } from './screens.js';
import { until } from './until.js';

const run = promisify(execFile);

/** A picture of all screens; in memory only Xvfb shows them. */
const PICTURE = `
import sys, gi
gi.require_version("Gdk", "3.0")
from gi.repository import Gdk
root = Gdk.get_default_root_window()
Gdk.pixbuf_get_from_window(root, 0, 0, root.get_width(), root.get_height()).savev(sys.argv[1], "png", [], [])
`;

const line = (stream, child, what) =>
  new Promise((resolve, reject) => {
    createInterface({ input: stream }).once('line', resolve);
    child.once('exit', (code) => reject(new Error(`${what} ended with ${code}`)));
    child.once('error', reject);
  });

/** A display with a window manager: one screen of a size in pixels, or several, which can be unplugged. */
export class Display {
  constructor(home, { width = 1600, height = 1200, screens = null } = {}) {
    Object.assign(this, { home, width, height, screens, children: [] });
  }

  async start(t) {
    t.after(() => this.stop());
    this.folder = join(this.home, `display-${Math.random().toString(36).slice(2)}`);
    const runtime = join(this.folder, 'runtime');
    mkdirSync(runtime, { recursive: true, mode: 0o700 });
    const base = { PATH: process.env.PATH, HOME: this.home, LANG: 'C.UTF-8', XDG_RUNTIME_DIR: runtime, XDG_CONFIG_HOME: join(this.folder, 'config'), NO_AT_BRIDGE: '1' };
    this.socket = join(this.folder, 'viewers');
    const viewers = ['-SecurityTypes', 'None', '-rfbport', '-1', '-rfbunixpath', this.socket];
    const [program, ...screen] = this.screens ? ['Xvnc', '-depth', '24', ...viewers] : ['Xvfb', '-screen', '0', `${this.width}x${this.height}x24`, '-fbdir', this.folder];
    const server = this.#child(program, ['-displayfd', '3', ...screen, '-nolisten', 'tcp', '-noreset'], base, ['ignore', 'ignore', 'ignore', 'pipe']);
    const number = await line(server.stdio[3], server, program);
    if (this.screens) await this.plug(this.screens);
    const bus = this.#child('dbus-daemon', ['--session', '--nofork', '--print-address'], base, ['ignore', 'pipe', 'ignore']);
    const address = await line(bus.stdout, bus, 'dbus-daemon');
    this.environment = { ...base, DISPLAY: `:${number}`, DBUS_SESSION_BUS_ADDRESS: address, GDK_BACKEND: 'x11', LIBGL_ALWAYS_SOFTWARE: '1' };
    const managed = join(this.folder, 'managed');
    this.#child('openbox', ['--startup', `touch ${managed}`], this.environment, 'ignore');
    await until('the window manager', () => existsSync(managed));
    return this;
  }

  /** Has exactly these screens, from now on. */
  async plug(screens) {
    await plug(this.socket, screens);
    this.screens = screens;
  }

  #child(program, args, env, stdio) {
    const child = spawn(program, args, { env, stdio });
    child.ended = new Promise((end) => (child.once('exit', end), child.once('error', end)));
    this.children.push(child);
    return child;
  }

  async stop() {
    for (const child of this.children.splice(0).reverse()) {
      child.kill('SIGKILL');
      await child.ended;
    }
  }

  /** Runs xdotool; gives what it says. */
  async xdotool(...args) {
    return (await run('xdotool', args.map(String), { env: this.environment })).stdout;
  }

  /** The windows that a person sees or could bring back: id, title, and where the window manager has them. */
  async windows() {
    const found = await this.xdotool('search', '--onlyvisible', '--class', 'gander-desktop').catch(() => '');
    const all = [];
    for (const id of found.split('\n').filter(Boolean)) {
      try {
        const title = (await this.xdotool('getwindowname', id)).trim();
        const where = await this.xdotool('getwindowgeometry', '--shell', id);
        const number = (name) => Number(new RegExp(`^${name}=(-?\\d+)$`, 'm').exec(where)?.[1]);
        all.push({ id, title, x: number('X'), y: number('Y'), width: number('WIDTH'), height: number('HEIGHT') });
      } catch {
        // It was closed meanwhile.
      }
    }
    return all;
  }

  /** Presses keys in a window, once the keyboard is there. */
  async key(id, keys) {
    await this.xdotool('windowactivate', id);
    await until('the keyboard in the window', async () => (await this.xdotool('getwindowfocus')).trim() === String(id));
    await this.xdotool('key', keys);
  }

  /** Two clicks, as a person makes them. */
  async doubleClick(x, y) {
    await this.xdotool('mousemove', x, y, 'sleep', '0.1', 'click', '--repeat', 2, '--delay', 60, 1);
  }

  /** The colour of each point of the first screen: a function of column and row. */
  pixels() {
    return { pixels: pointsOf(readFileSync(join(this.folder, 'Xvfb_screen0'))) };
  }

  /** What is said to the notification service from now on: `text` grows. */
  async notifications() {
    const told = { text: '' };
    const monitor = this.#child('dbus-monitor', ['--session', "interface='org.freedesktop.Notifications'"], this.environment, ['ignore', 'pipe', 'ignore']);
    monitor.stdout.on('data', (data) => (told.text += data));
    // It says so when it listens.
    await until('the monitor', () => told.text !== '');
    return told;
  }

  /** Keeps a picture of the whole screen for people to look at. */
  picture(name) {
    mkdirSync(ARTEFACTS, { recursive: true });
    const file = join(ARTEFACTS, `${name}.png`);
    if (this.screens) execFileSync(PYTHON, ['-c', PICTURE, file], { env: this.environment });
    else writeFileSync(file, png(readFileSync(join(this.folder, 'Xvfb_screen0'))));
  }
}
