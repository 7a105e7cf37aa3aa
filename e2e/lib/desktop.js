// The native windows as a person uses them: the built gander-desktop on a display of its own, driven through WebKitGTK's
// driver, with what the journal and the window manager say beside it.

import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Display } from './display.js';
import { Gander } from './gander.js';
import { ARTEFACTS, DESKTOP, projectIn, temporaryHome } from './places.js';
import { Services } from './services.js';
import { until } from './until.js';
import { WebDriver } from './webdriver.js';

export const alive = (pid) => {
  try {
    process.kill(pid, 0);
    // One that ended and was not waited for is not alive.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
};

/** Where the page's draft is typed. */
export const COMPOSER = '[data-testid=composer-text]';

/** In the page: what is typed there is for the session that the title names, and nothing is being sent. */
const WRITABLE = `document.querySelector('[data-testid=title]') && document.querySelector('${COMPOSER}')?.readOnly === false`;

export class Desktop {
  constructor(t, home, display, environment = {}) {
    Object.assign(this, { t, display });
    this.log = join(home, 'desktop.log');
    this.gander = new Gander(t, home, environment);
    this.home = this.gander.home;
    this.own = join(this.home, 'desktop');
    this.environment = { ...display.environment, ...this.gander.environment, GANDER_LOG: 'warn,gander_desktop=info' };
    // Who is asked to open a page writes down which.
    const browser = join(home, 'browser');
    writeFileSync(browser, `#!/bin/sh\nprintf '%s\\n' "$1" >> '${join(home, 'browsed')}'\n`, { mode: 0o755 });
    this.environment.BROWSER = browser;
    // Whatever is left when the test is over is ended by its id.
    t.after(() => this.kill());
  }

  /** Starts it, driven; ready when the server serves and as many windows as the journal has open are there. */
  async start(...args) {
    const driven = { ...this.environment, TAURI_WEBVIEW_AUTOMATION: 'true', TAURI_AUTOMATION: 'true' };
    this.driver = await WebDriver.start(this.t, DESKTOP, args, driven);
    await this.attach();
    await this.shown();
  }

  /** Starts it without a driver, until each open window of the journal has a page that follows it; gives the windows. */
  async returned() {
    this.launch();
    await this.attach();
    return this.followed();
  }

  /** Waits until each open window of the journal has a page that follows it, each for as long as one may take; gives the windows. */
  async followed() {
    const ids = await until('an open window', async () => {
      const open = await this.open();
      return open.length > 0 && open.map((window) => window.id);
    });
    for (const id of ids) await until(`a page at window ${id}`, async () => (await this.gander.get(`windows/${id}`)).attached);
    return this.open();
  }

  /** Starts it as a person does, without a driver; the child process. */
  launch(...args) {
    const child = spawn(DESKTOP, args, { env: this.environment, stdio: ['ignore', 'inherit', 'inherit'] });
    child.ended = new Promise((end) => child.once('exit', (code, signal) => end({ code, signal })));
    return child;
  }

  /** Finds the server through its runtime file. */
  async attach() {
    await until('a server', async () => {
      this.gander.runtime = JSON.parse(readFileSync(join(this.home, 'runtime.json'), 'utf8'));
      this.gander.url = this.gander.runtime.url;
      return (await this.gander.get('health')) && alive(this.gander.runtime.pid);
    });
  }

  /** The process that shows the windows. */
  pid() {
    return Number(readFileSync(join(this.own, 'lock'), 'utf8')) || 0;
  }

  /** The journal's open windows, in order. */
  open = async () => (await this.gander.get('windows')).windows.filter((window) => window.open);

  /** Waits until each open window of the journal has a live page; gives the window's id → the driver's handle. */
  async shown() {
    return until('a live page in each open window', async () => {
      const ids = (await this.open()).map((window) => window.id);
      const handles = new Map();
      for (const handle of await this.driver.handles()) {
        await this.driver.show(handle);
        const page = await this.driver.execute(
          `const w = document.querySelector('[data-testid=window][data-connection=live]');
           return w && ${WRITABLE} ? w.dataset.windowId : null`,
        );
        if (page) handles.set(page, handle);
      }
      this.handles = handles;
      return handles.size === ids.length && ids.every((id) => handles.has(id)) && handles;
    });
  }

  /** Makes a window the one that the driver speaks to. */
  async at(window) {
    await this.driver.show(this.handles.get(window.id ?? window));
    return this.driver;
  }

  /** What a window shows, as its page says. */
  async page(window) {
    const driver = await this.at(window);
    return driver.execute(
      `const of = (id) => document.querySelector('[data-testid=' + id + ']');
       return { window: of('window')?.dataset.windowId, session: of('window')?.dataset.sessionId, title: of('title')?.innerText ?? null,
         draft: of('composer-text')?.value ?? null, entries: [...document.querySelectorAll('[data-testid=entry]')].map((e) => e.dataset.kind) }`,
    );
  }

  /** What the journal and the window manager say of all windows: what has to be the same after a start. */
  async state() {
    const windows = await this.open();
    const state = [];
    for (const window of windows) {
      const session = await this.gander.session(window.session_id);
      state.push({ id: window.id, session: window.session_id, name: session.name, draft: window.draft?.text ?? '', page: await this.page(window) });
    }
    return state;
  }

  /** SIGKILL, to the shell and what it shows. */
  async kill() {
    const pids = [this.pidOrNone(), this.serverPid()].filter(Boolean);
    for (const pid of pids) if (alive(pid)) process.kill(pid, 'SIGKILL');
    await until('their end', () => pids.every((pid) => !alive(pid)));
    await this.driver?.stop();
    this.driver = null;
  }

  pidOrNone() {
    try {
      return this.pid();
    } catch {
      return 0;
    }
  }

  serverPid() {
    try {
      return JSON.parse(readFileSync(join(this.home, 'runtime.json'), 'utf8')).pid;
    } catch {
      return 0;
    }
  }

  /** Waits until shell and server have ended by themselves. */
  async over() {
    const { pid } = this.gander.runtime;
    await until('the end of the windows and the server', () => !this.pidOrNone() && !alive(pid));
    await this.driver?.stop();
    this.driver = null;
  }

  /** Keeps a picture of the page that the driver is at. */
  async picture(name) {
    mkdirSync(ARTEFACTS, { recursive: true });
    writeFileSync(join(ARTEFACTS, `${name}.png`), await this.driver.picture());
  }
}

/** A desktop with one window, on a screen of its own: its size, whether there are services, more environment. */
export async function begin(t, { services: wanted = false, environment = {}, ...screen } = {}) {
  const home = temporaryHome();
  const display = await new Display(home, screen).start(t);
  const services = wanted ? await Services.start(t, display) : null;
  const desktop = new Desktop(t, home, display, { GANDER_SCRATCH_PACE_MS: '0', ...environment });
  await desktop.start();
  await desktop.gander.api('PATCH', 'config', { default_cwd: projectIn(home, 'project'), default_agent: 'scratch' });
  return { home, display, desktop, gander: desktop.gander, services };
}

const [SHIFT, ENTER, RELEASE] = ['\uE008', '\uE007', '\uE000'];

/** Types in a window's page, as a person does. */
export async function write(desktop, window, text) {
  const driver = await desktop.at(window);
  await until('a field to write in', () => driver.execute(`return !!(${WRITABLE})`));
  for (const [index, line] of text.split('\n').entries()) {
    // The driver lets go of the keys that it holds at the end of what it was given.
    if (index > 0) await driver.type(COMPOSER, SHIFT + ENTER + RELEASE);
    if (line !== '') await driver.type(COMPOSER, line);
  }
}

/** Sends what is typed in a window's page; done when it is taken. */
export async function send(desktop, window) {
  const driver = await desktop.at(window);
  await driver.type(COMPOSER, ENTER);
  await until('the prompt to be taken', () => driver.execute(`return !!(${WRITABLE}) && document.querySelector('${COMPOSER}').value === ''`));
}

/** Sends in a window's page, as a person does. */
export async function prompt(desktop, window, text) {
  await write(desktop, window, text);
  await send(desktop, window);
}

/** Gives a window the keyboard, until its page knows that somebody looks at it: the shell tells such a one nothing. */
export async function lookAt(desktop, window, native) {
  const driver = await desktop.at(window);
  // A window that was opened just before may take the keyboard once more.
  await until('the page to be looked at', async () => {
    await desktop.display.key(native, 'Escape');
    return driver.execute('return document.hasFocus()');
  });
}

/** The window manager's id of the window of a session, or of a dialog. */
export async function native(display, named) {
  const title = named === 'Gander' ? named : `${named} · Gander`;
  return until(`a window named ${title}`, async () => {
    const found = (await display.windows()).filter((window) => window.title === title);
    return found.length === 1 && found[0];
  });
}

/** Puts a native window somewhere; gives its place in the journal, which is the frame's, as the window manager draws it. */
export async function put({ display, gander }, native, window, { x, y, width, height }) {
  await display.xdotool('windowsize', '--sync', native, width, height, 'windowmove', '--sync', native, x, y);
  return until('its place in the journal', async () => {
    const { geometry } = await gander.get(`windows/${window.id ?? window}`);
    const there = geometry && geometry.width === width && geometry.height === height && Math.abs(geometry.x - x) <= 40 && Math.abs(geometry.y - y) <= 40;
    if (!there) throw new Error(JSON.stringify(geometry));
    return geometry;
  });
}

/** The places of all open windows in the journal, once they have been the same for as long as they may take to be written. */
export async function places(desktop) {
  let last;
  return until('the windows to rest', async () => {
    const now = JSON.stringify((await desktop.open()).map((window) => [window.id, window.geometry]));
    const rests = now === last;
    last = now;
    if (!rests) await new Promise((later) => setTimeout(later, 1_200));
    return rests && new Map(JSON.parse(now));
  });
}
