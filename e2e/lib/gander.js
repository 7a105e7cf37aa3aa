// The built binary as a child process, and its HTTP API as a program uses it.

import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { createWriteStream, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { GANDER } from './places.js';
import { until } from './until.js';

/** A data folder with, most of the time, a `gander serve` on it. */
export class Gander {
  constructor(t, home, environment = {}, program = GANDER) {
    this.program = program;
    this.home = join(home, 'gander');
    this.environment = { PATH: process.env.PATH, HOME: home, GANDER_HOME: this.home, NO_COLOR: '1', GANDER_LOG: 'info', ...environment };
    this.log = join(home, 'serve.log');
    this.child = null;
    t.after(() => this.kill());
  }

  /** Starts `gander serve` and waits until it says that it serves. */
  async start(...args) {
    const child = spawn(this.program, ['serve', ...args], { env: this.environment, stdio: ['ignore', 'pipe', 'pipe'] });
    this.child = child;
    this.ended = new Promise((end) => child.once('exit', (code, signal) => end({ code, signal })));
    child.stderr.pipe(createWriteStream(this.log, { flags: 'a' }));
    const first = new Promise((line) => createInterface({ input: child.stdout }).once('line', line));
    let said = '';
    child.stderr.on('data', (data) => (said += data));
    const closed = new Promise((end) => child.once('close', end));
    const early = this.ended.then(async ({ code, signal }) => {
      await closed;
      throw new Error(`gander serve ended (${code ?? signal}) before it served:\n${said}`);
    });
    this.first = JSON.parse(await Promise.race([first, early]));
    early.catch(() => undefined);
    this.runtime = JSON.parse(readFileSync(this.first.runtime_file, 'utf8'));
    this.url = this.runtime.url;
  }

  /** SIGKILL: no chance to save anything. */
  async kill() {
    if (!this.child) return;
    this.child.kill('SIGKILL');
    await this.ended;
    this.child = null;
  }

  /** `gander stop`, and the end of the process. */
  async stop() {
    await this.cli('stop');
    const end = await this.ended;
    this.child = null;
    return end;
  }

  /** Runs a command; gives its status and output, the output as JSON when `--json` was asked for. */
  async cli(...args) {
    const child = spawn(this.program, args, { env: this.environment, cwd: this.environment.HOME, stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    let err = '';
    child.stdout.on('data', (data) => (out += data));
    child.stderr.on('data', (data) => (err += data));
    const code = await new Promise((end) => child.once('close', end));
    const json = args.includes('--json') && out ? JSON.parse(out) : undefined;
    return { code, out, err, json };
  }

  /** One operation below /api/v1/; throws the problem document when it was refused. */
  async api(method, path, body) {
    const response = await fetch(`${this.url}/api/v1/${path}`, {
      method,
      headers: { authorization: `Bearer ${this.runtime.token}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    const value = text ? JSON.parse(text) : null;
    if (!response.ok) throw Object.assign(new Error(`${method} ${path}: ${response.status} ${text}`), { problem: value });
    return value;
  }

  get = (path) => this.api('GET', path);
  post = (path, body = {}) => this.api('POST', path, body);

  async session(id) {
    return (await this.get(`sessions/${id}`)).session;
  }

  /** All entries of a session with their bodies parsed, and what is still open. */
  async entries(id) {
    const all = [];
    let page;
    let after = 0;
    do {
      page = await this.get(`sessions/${id}/entries?after=${after}&limit=500`);
      if (page.damage) throw new Error(`session ${id} is damaged: ${JSON.stringify(page.damage)}`);
      for (const entry of page.entries) all.push({ ...entry, body: entry.body && JSON.parse(entry.body) });
      after = page.next;
    } while (page.next !== null && page.next !== undefined);
    return all;
  }

  /** Sends a prompt against the session's head of this moment; the turn's id, once it is acknowledged. */
  async send(id, text, more = {}) {
    const { head } = await this.session(id);
    const turn_id = randomUUID();
    const sent = await this.post(`sessions/${id}/turns`, { turn_id, expected_head: head, content: [{ type: 'text', text }], ...more });
    return { ...sent, turn_id };
  }

  /** How a turn ended, as soon as it has. */
  async ended_turn(id, turn) {
    return until(`the end of turn ${turn} of session ${id}`, async () => {
      const end = (await this.entries(id)).find((entry) => entry.kind === 'turn_ended' && entry.body.turn === turn);
      return end?.body.data;
    });
  }

  /** Follows all changes from now on (or after a cursor) and hands each to `take`, as a window would show it. */
  async follow(take, after) {
    const stop = new AbortController();
    const query = after === undefined ? '' : `?after=${encodeURIComponent(after)}`;
    const response = await fetch(`${this.url}/api/v1/changes${query}`, {
      headers: { authorization: `Bearer ${this.runtime.token}`, accept: 'text/event-stream' },
      signal: stop.signal,
    });
    if (!response.ok) throw new Error(`changes: ${response.status}`);
    const over = (async () => {
      let buffer = '';
      const decoder = new TextDecoder();
      try {
        for await (const bytes of response.body) {
          buffer += decoder.decode(bytes, { stream: true });
          for (let end = buffer.indexOf('\n\n'); end >= 0; end = buffer.indexOf('\n\n')) {
            const event = buffer.slice(0, end);
            buffer = buffer.slice(end + 2);
            const data = event.split('\n').filter((line) => line.startsWith('data:')).map((line) => line.slice(5).trimStart());
            if (data.length > 0) take(JSON.parse(data.join('\n')));
          }
        }
      } catch {
        // The server was killed, or nobody wants more.
      }
    })();
    return { close: () => (stop.abort(), over) };
  }
}

/** The text of an item's updates. */
export const textOf = (updates) => (updates ?? []).map((update) => update.content?.text ?? '').join('');

/** The text that a prompt's content says. */
export const promptOf = (entry) => (entry.body.data.content ?? []).map((block) => block.text ?? '').join('\n');

/** The agent's text in a session's entries, in a turn or in all. */
export const answerOf = (entries, turn) =>
  entries.filter((entry) => entry.kind === 'message' && (!turn || entry.body.turn === turn)).map((entry) => textOf(entry.body.data)).join('');

/** What windows were shown of each session's streamed text: session id → turn id → item → text. */
export class Shown {
  constructor() {
    this.items = new Map();
  }

  take = (change) => {
    if (change.type !== 'open_item' || change.data.kind !== 'message') return;
    const key = `${change.session_id} ${change.data.turn} ${change.data.item}`;
    const text = this.items.get(key) ?? '';
    const bytes = Buffer.byteLength(text);
    if (change.data.from !== bytes) throw new Error(`a gap in ${key}: text from ${change.data.from}, had ${bytes}`);
    this.items.set(key, text + change.data.text);
  };

  /** All text shown of a turn. */
  text(session, turn) {
    return [...this.items].filter(([key]) => key.startsWith(`${session} ${turn} `)).map(([, text]) => text).join('');
  }
}
