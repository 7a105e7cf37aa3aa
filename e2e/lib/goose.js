// A real goose: how it is configured to work offline, and a client that speaks to one without Gander.

import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { GOOSE } from './places.js';

/** The environment of a goose with a store of its own, talking to the model server. */
export const gooseEnvironment = (home, root, model) => ({
  HOME: home,
  GOOSE_PATH_ROOT: root,
  GOOSE_DISABLE_KEYRING: '1',
  GOOSE_TELEMETRY_ENABLED: 'false',
  GOOSE_PROVIDER: 'openai',
  GOOSE_MODEL: 'gander-test',
  GOOSE_MODE: 'approve',
  OPENAI_API_KEY: 'none',
  OPENAI_HOST: model,
});

/** The goose processes that use a store. */
export function gooseProcesses(root) {
  const found = [];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (readlinkSync(`/proc/${pid}/exe`) !== GOOSE) continue;
      if (!readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(`GOOSE_PATH_ROOT=${root}`)) continue;
      found.push({ pid: Number(pid), cwd: readlinkSync(`/proc/${pid}/cwd`) });
    } catch {
      // It ended while we looked, or is not ours to look at.
    }
  }
  return found;
}

/** Runs `work` with a way to ask a goose of its own over ACP. */
export async function withGoose(environment, work) {
  const child = spawn(GOOSE, ['acp'], { env: { PATH: process.env.PATH, ...environment }, stdio: ['pipe', 'pipe', 'ignore'] });
  const waiting = new Map();
  const updates = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    const message = JSON.parse(line);
    if (message.method === 'session/update') updates.push(message.params);
    else waiting.get(message.id)?.(message);
  });
  let id = 0;
  const ask = (method, params) =>
    new Promise((resolve, reject) => {
      id += 1;
      waiting.set(id, (answer) => (answer.error ? reject(new Error(`${method}: ${JSON.stringify(answer.error)}`)) : resolve(answer.result)));
      child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`);
    });
  try {
    await ask('initialize', { protocolVersion: 1, clientCapabilities: {} });
    return await work(ask, updates);
  } finally {
    child.stdin.end();
    child.kill('SIGKILL');
    await new Promise((end) => (child.exitCode !== null || child.signalCode !== null ? end() : child.once('exit', end)));
  }
}
