// The services of a desktop on a test's message bus (desktop_services.py), and a file manager's side of a drag.

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { PYTHON } from './places.js';
import { until } from './until.js';

function program(t, display, name, args = []) {
  const child = spawn(PYTHON, [join(import.meta.dirname, name), ...args], { env: display.environment, stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise((end) => (child.once('exit', end), child.once('error', end)));
  t.after(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return child;
}

export class Services {
  /** Starts them; `said` grows with what applications ask of them. */
  static async start(t, display) {
    const services = new Services();
    services.said = [];
    services.child = program(t, display, 'desktop_services.py');
    createInterface({ input: services.child.stdout }).on('line', (line) => services.said.push(JSON.parse(line)));
    await until("the desktop's services", () => services.said.some((said) => said.ready));
    return services;
  }

  do(wanted) {
    this.child.stdin.write(`${JSON.stringify(wanted)}\n`);
  }

  /** What is answered to something about the tray's menu. Asked while the menu is told anew, it fails, and nothing has happened. */
  async ask(wanted) {
    const before = this.said.length;
    this.do(wanted);
    const answer = await until("an answer about the tray's menu", () => this.said.slice(before).find((said) => said.menu || said.chosen || said.failed));
    if (!answer.failed) return answer;
    this.said.splice(this.said.indexOf(answer), 1);
    throw new Error(answer.failed);
  }

  /** The newest of what was said that fits, once there is one. */
  heard(what, fits) {
    return until(what, () => {
      const failed = this.said.find((said) => said.failed);
      if (failed) throw new Error(failed.failed);
      return this.said.findLast(fits);
    });
  }

  notification = (title) => this.heard(`a notification of ${title}`, (said) => said.notification && said.title === title);

  /** Chooses in the tray's menu, as it is now. */
  choose(label) {
    return until(`${label} to be chosen`, () => this.ask({ choose: label }));
  }

  /** The tray's menu as it is now. */
  async menu() {
    await this.heard('the tray', (said) => said.tray);
    return until("the tray's menu", () => this.ask({ menu: true }));
  }
}

/** A window with a file in it, and the place at which the pointer takes hold of it. */
export async function fileManager(t, display, file) {
  const child = program(t, display, 'drag_source.py', [file]);
  const said = [];
  createInterface({ input: child.stdout }).on('line', (line) => said.push(line));
  const ready = await until('the window with the file', () => said.find((line) => line.startsWith('ready')));
  const [, x, y] = ready.split(' ').map(Number);
  return { x, y, taken: () => said.findLast((line) => line.startsWith('action')) === 'action taken', over: () => said.includes('ended') };
}
