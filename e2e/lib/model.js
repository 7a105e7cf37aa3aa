// The model server of gander-testing: what it answers, the prompt says (crates/gander-testing/src/model_script.rs).

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { MODEL_SERVER } from './places.js';

/** Starts one; it ends with the test. */
export async function modelServer(t) {
  const child = spawn(MODEL_SERVER, { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => child.stdin.end());
  const line = await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve);
    child.once('exit', (code) => reject(new Error(`the model server ended with ${code}`)));
  });
  const { url } = JSON.parse(line);
  return {
    url,
    requests: async () => (await (await fetch(`${url}/requests`)).json()).requests,
    /** Ends every answer that is held open. */
    release: () => fetch(`${url}/release`, { method: 'POST' }),
  };
}
