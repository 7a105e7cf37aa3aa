// Two real versions, made by .ci/next-version, and the data folder that one takes over from the other.

import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Gander } from './gander.js';
import { ROOT } from './places.js';
import { until } from './until.js';

const BUILT = join(ROOT, 'target/next');
/** This tree's program, and the next version's: a minor version higher, and with a migration to the journal's next format. */
export const [INSTALLED, NEXT] = ['gander', 'gander-next'].map((name) => join(BUILT, name));
/** This tree's program with its native windows beside it, and native windows of the next version. */
export const WHOLE = join(BUILT, 'whole');
export const DESKTOP_NEXT = join(BUILT, 'gander-desktop-next');
export const KEY = join(BUILT, 'package/gander.pub');

/** The signed package of the next version, of the form that every version reads. */
export const packageFile = () => packageIn(join(BUILT, 'package'));
/** The one that carries native windows too. */
export const wholePackage = () => packageIn(join(WHOLE, 'package'));

function packageIn(folder) {
  const name = existsSync(folder) && readdirSync(folder).find((one) => one.endsWith('.gander'));
  if (!name) throw new Error('there is no package of the next version here: run .ci/next-version');
  return join(folder, name);
}

/** A data folder whose serving process may be another one after each upgrade, started by nobody here. */
export class Upgradable extends Gander {
  constructor(t, home, environment = {}) {
    super(t, home, { GANDER_UPGRADE_KEY: KEY, GANDER_SCRATCH_PACE_MS: '0', ...environment }, INSTALLED);
    t.after(() => this.end());
  }

  /** Follows whoever serves now. */
  attach() {
    this.runtime = JSON.parse(readFileSync(join(this.home, 'runtime.json'), 'utf8'));
    this.url = this.runtime.url;
  }

  /** The next start after whatever happened, by the installed program. Whoever serves already goes on, or ends and is started anew. */
  async restart() {
    await until('a start', async () => {
      try {
        await this.start();
      } catch (error) {
        this.child = null;
        this.attach();
        // One that was asked to hand over by somebody who is gone takes its work up again.
        if ((await this.get('handover').catch(() => ({ state: 'gone' }))).state !== 'none') throw error;
      }
      return true;
    });
  }

  /** All processes that work on this data folder, by its name in their environment. */
  processes() {
    const found = [];
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      try {
        const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
        if (environment.includes(`GANDER_HOME=${this.home}`)) found.push(Number(pid));
      } catch {
        // It ended while we looked, or is not ours to look at.
      }
    }
    return found;
  }

  /** SIGKILL for all of them, until none is left. */
  async end() {
    for (let pids = this.processes(); pids.length > 0; pids = this.processes()) {
      for (const pid of pids) {
        try {
          process.kill(pid, 'SIGKILL');
        } catch {
          // It was quicker.
        }
      }
      await new Promise((go) => setTimeout(go, 5));
    }
    this.child = null;
  }

  /** `gander upgrade apply` (a package where one is named, else the usual one) or `rollback`, to its end; what `upgrade status` says of it. */
  async upgrade(what, ...args) {
    const named = args.some((one) => one.endsWith('.gander'));
    const done = await this.cli('upgrade', what, ...(what === 'apply' && !named ? [packageFile()] : []), ...args, '--json');
    if (done.code !== 0) throw new Error(`gander upgrade ${what} ended with ${done.code}:\n${done.err}`);
    this.attach();
    return done.json;
  }

  /** The same in the middle of an answer: `finish` has it end, once it is waited for. */
  async upgradeAfter(what, finish) {
    const waited = until('an upgrade that waits', async () => (await this.get('handover')).turns.length > 0);
    const [status] = await Promise.all([this.upgrade(what), waited.then(finish)]);
    return status;
  }
}
