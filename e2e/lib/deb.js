// Debian packages of two real versions, installed by the real dpkg into a root of their own: the machine's own is left alone.

import { execFileSync } from 'node:child_process';
import { appendFileSync, chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DESKTOP, ROOT } from './places.js';
import { DESKTOP_NEXT, INSTALLED, NEXT } from './upgrade.js';

const XTASK = join(ROOT, 'target/debug/xtask');
// Only root may give files to root; others are root in a name space of their own.
const AS_ROOT = process.getuid() === 0 ? [] : ['unshare', '--map-root-user'];

const run = (command, args, options = {}) => execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], ...options });

let built;

/** The packages of this tree's version and of the next one. */
export function packages() {
  if (!built) {
    const out = mkdtempSync(join(tmpdir(), 'gander-deb-'));
    process.once('exit', () => rmSync(out, { recursive: true, force: true }));
    const make = (program, desktop) => run(XTASK, ['deb', program, '--desktop', desktop, '--fast', '--out', out], { cwd: ROOT }).trim();
    built = { old: make(INSTALLED, DESKTOP), next: make(NEXT, DESKTOP_NEXT) };
  }
  return built;
}

/** A root that packages are installed into, with dpkg's own records in it. */
export class Installation {
  constructor(home) {
    this.root = join(home, 'root');
    for (const folder of ['info', 'updates', 'triggers']) mkdirSync(join(this.root, 'var/lib/dpkg', folder), { recursive: true });
    for (const file of ['status', 'available']) appendFileSync(join(this.root, 'var/lib/dpkg', file), '');
    chmodSync(this.root, 0o755);
    this.program = join(this.root, 'usr/bin/gander');
    this.desktop = join(this.root, 'usr/bin/gander-desktop');
  }

  /** `dpkg -i`, as on a system. What the package depends on is not in this root. */
  install(deb) {
    const [command, ...args] = [...AS_ROOT, 'dpkg', `--root=${this.root}`, '--force-depends', '--force-bad-path', '-i', deb];
    return run(command, args);
  }

  /** The version that dpkg has on record. */
  version() {
    return run('dpkg-query', [`--admindir=${join(this.root, 'var/lib/dpkg')}`, '-f', '${Version} ${db:Status-Status}', '-W', 'gander']);
  }
}
