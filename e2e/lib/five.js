// Five native windows as a person has them, two untouched, one half typed, and two with names, and whether they are the same as before
// whatever was done to the programs beneath them.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { put } from './desktop.js';
import { projectIn } from './places.js';
import { until } from './until.js';

export const DRAFT = 'half a thought,\nand its second line';

export class Five {
  /** Starts the installed windows, and opens five of them. */
  static async begin(display, gander, home, program) {
    const five = new Five();
    Object.assign(five, { display, gander, said: '' });
    five.start(program);
    await five.serves('0.1.0');
    await gander.api('PATCH', 'config', { default_cwd: projectIn(home, 'project'), default_agent: 'scratch' });
    await until('the first window', async () => (await gander.get('windows')).windows.length === 1);
    for (let count = 1; count < 5; count += 1) await gander.post('windows');
    [, , five.drafting, five.busy, five.finished] = (await gander.get('windows')).windows;
    for (const [window, name] of [[five.busy, 'The busy one'], [five.finished, 'The finished one']]) {
      const { turn_id } = await gander.send(window.session_id, '/echo All is said', { window_id: window.id });
      await gander.ended_turn(window.session_id, turn_id);
      await gander.api('PATCH', `sessions/${window.session_id}`, { name });
    }
    await gander.api('PUT', `windows/${five.drafting.id}/draft`, { session_id: five.drafting.session_id, rev: 1, text: DRAFT, attachments: [] });
    // One of them somewhere and somehow else than where windows are opened.
    const { title } = (await five.rest()).native.find(({ title }) => title.startsWith('The finished one'));
    const { id } = (await display.windows()).find((window) => window.title === title);
    await put(five, id, five.finished, { x: 820, y: 610, width: 700, height: 500 });
    return five;
  }

  /** Starts native windows, as from the menu. */
  start(program) {
    const environment = { ...this.gander.environment, GANDER_LOG: 'warn,gander_desktop=info' };
    this.shell = spawn(program, [], { env: environment, stdio: ['ignore', 'ignore', 'pipe'] });
    this.shell.stderr.on('data', (data) => (this.said += data));
  }

  /** Waits until a version serves. */
  async serves(version) {
    await until(`version ${version}`, async () => {
      this.gander.attach();
      return (await this.gander.get('health')).version === version;
    });
  }

  /** The program that shows the windows, as the system says: a replaced one's name has ` (deleted)` behind it. */
  shows = () => readlinkSync(`/proc/${this.shell.pid}/exe`);

  /** What a person sees, and what the journal says of it. */
  async all() {
    const native = (await this.display.windows()).map(({ id, ...where }) => where).sort((a, b) => a.title.localeCompare(b.title) || a.x - b.x || a.y - b.y);
    const { windows } = await this.gander.get('windows');
    const kept = [];
    for (const { id, ordinal, session_id, open, draft, geometry } of windows) {
      const { name } = await this.gander.session(session_id);
      kept.push({ id, ordinal, session_id, name, open, draft: draft?.text ?? '', geometry });
    }
    return { native, kept };
  }

  /**
   * The same again, once it has been the same for a while, and as it was before where that is given: places are written down as windows
   * come to rest.
   */
  rest(before) {
    let last;
    return until('five windows at rest', async () => {
      const now = await this.all();
      const rests = JSON.stringify(now) === last;
      last = JSON.stringify(now);
      if (!rests) await new Promise((later) => setTimeout(later, 1_200));
      // Each has come with its page, which gives it its title, and has a place.
      assert.deepEqual(now.native.map(({ title }) => title), now.kept.map(({ name }) => `${name || 'New chat'} · Gander`).sort((a, b) => a.localeCompare(b)));
      assert.ok(now.kept.every(({ geometry }) => geometry));
      if (before) assert.deepEqual(now, before);
      return rests && now;
    }).catch((error) => {
      this.display.picture('five-restless');
      throw new Error(`no rest: ${last}\n${this.said}`, { cause: error });
    });
  }
}
