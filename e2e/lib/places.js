// Where the things under test are.

import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';

export const ROOT = resolve(import.meta.dirname, '../..');
export const GANDER = process.env.GANDER_BIN ?? join(ROOT, 'target/debug/gander');
export const DESKTOP = process.env.GANDER_DESKTOP_BIN ?? join(ROOT, 'target/debug/gander-desktop');
export const MODEL_SERVER = join(ROOT, 'target/debug/gander-model-server');
/** Debian's own interpreter, for which Debian's packages are. */
export const PYTHON = '/usr/bin/python3';
export const ARTEFACTS = join(ROOT, 'artefacts');

/** The real agent, at the version in package-lock.json; there is none for every platform. */
export const GOOSE = join(ROOT, 'e2e/node_modules/@aaif/goose-binary-linux-x64/bin/goose');

/** A home of its own, removed at the process's end, when nothing that a test started runs in it (kept when GANDER_KEEP is set). */
export function temporaryHome() {
  const home = mkdtempSync(join(tmpdir(), 'gander-e2e-'));
  process.once('exit', () => {
    if (!process.env.GANDER_KEEP) rmSync(home, { recursive: true, force: true, maxRetries: 10 });
  });
  return home;
}

/** An empty folder below a home, for a session to work in. */
export function projectIn(home, name) {
  const folder = join(home, name);
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** The browser: the one that is named, else the system's. */
export function chromium() {
  const named = process.env.GANDER_CHROMIUM;
  if (named) return named;
  for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
    for (const folder of (process.env.PATH ?? '').split(delimiter)) {
      if (folder && existsSync(join(folder, name))) return join(folder, name);
    }
  }
  throw new Error('no Chromium here: run .ci/setup, or name one in GANDER_CHROMIUM');
}
