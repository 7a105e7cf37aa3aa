// A small client of the WebDriver protocol, for WebKitGTK's own driver.

import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { PATIENCE_MS, until } from './until.js';

const ELEMENT = 'element-6066-11e4-a52e-4f735466cecf';

const freePort = () =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

/** A driver process, and the one application that it drives. */
export class WebDriver {
  /** Starts the driver, and through it the application. */
  static async start(t, binary, args, environment) {
    const driver = new WebDriver();
    const port = await freePort();
    driver.url = `http://127.0.0.1:${port}`;
    driver.child = spawn('WebKitWebDriver', ['--host=127.0.0.1', `--port=${port}`], { env: environment, cwd: environment.HOME, stdio: ['ignore', 'inherit', 'pipe'] });
    // Said once for each window but the first: only that one is driven by a flag of its own, the others follow it.
    createInterface({ input: driver.child.stderr }).on('line', (line) => {
      if (line !== '' && !line.includes('is-controlled-by-automation')) process.stderr.write(`${line}\n`);
    });
    driver.ended = new Promise((end) => driver.child.once('exit', end));
    t.after(() => driver.stop());
    await until('the driver', async () => (await fetch(`${driver.url}/status`)).ok);
    const capabilities = { alwaysMatch: { 'webkitgtk:browserOptions': { binary, args } } };
    const { sessionId } = await driver.ask('POST', 'session', { capabilities });
    driver.session = `session/${sessionId}`;
    await driver.ask('POST', `${driver.session}/timeouts`, { script: PATIENCE_MS, pageLoad: PATIENCE_MS, implicit: 0 });
    return driver;
  }

  async stop() {
    this.child.kill('SIGKILL');
    await this.ended;
  }

  async ask(method, path, body) {
    const response = await fetch(`${this.url}/${path}`, { method, body: body === undefined ? undefined : JSON.stringify(body) });
    const { value } = await response.json();
    if (value?.error) throw Object.assign(new Error(`${method} ${path}: ${value.error}: ${value.message}`), { code: value.error });
    return value;
  }

  get = (path) => this.ask('GET', `${this.session}/${path}`);
  post = (path, body = {}) => this.ask('POST', `${this.session}/${path}`, body);

  handles = () => this.get('window/handles');
  show = (handle) => this.post('window', { handle });
  execute = (script, ...args) => this.post('execute/sync', { script, args });
  executeAsync = (script, ...args) => this.post('execute/async', { script, args });
  picture = async () => Buffer.from(await this.get('screenshot'), 'base64');

  find = async (css) => (await this.post('element', { using: 'css selector', value: css }))[ELEMENT];
  click = async (css) => this.post(`element/${await this.find(css)}/click`);
  type = async (css, text) => this.post(`element/${await this.find(css)}/value`, { text });
}
