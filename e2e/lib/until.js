// Waiting for conditions, never for time to pass.

/** Far above what anything takes: reaching it is a failure, not a measurement. */
export const PATIENCE_MS = 60_000;

/** Asks again and again, every `pause` ms, until `condition` gives something true, and gives that. What it throws is told if it never does. */
export async function until(what, condition, patience = PATIENCE_MS, pause = 20) {
  const end = Date.now() + patience;
  let last;
  for (;;) {
    try {
      const value = await condition();
      if (value) return value;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`waited ${patience / 1000} s in vain for ${what}`, { cause: last });
    await new Promise((go) => setTimeout(go, pause));
  }
}
