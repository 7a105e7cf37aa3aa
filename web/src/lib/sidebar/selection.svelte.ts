import { SvelteSet } from 'svelte/reactivity';
import type { Session } from '../backend/types';

/** Several sessions of the list, chosen to do one thing with all of them. What this window shows is another matter. */
export class Selection {
  readonly ids = new SvelteSet<string>();
  #anchor: string | null = null;

  get size(): number {
    return this.ids.size;
  }

  of(items: readonly Session[]): Session[] {
    return items.filter((session) => this.ids.has(session.id));
  }

  /** One more, or one less. What the window shows is chosen only when it is asked for: it must not go along unseen. */
  toggle(id: string) {
    if (this.ids.has(id)) this.ids.delete(id);
    else this.ids.add(id);
    this.#anchor = id;
  }

  /** All from the last one that was chosen (or that the window shows) to this one. */
  extend(items: readonly Session[], id: string, shown: string | undefined) {
    const from = items.findIndex((session) => session.id === (this.#anchor ?? shown));
    const to = items.findIndex((session) => session.id === id);
    if (to < 0) return;
    this.#anchor ??= shown ?? id;
    const [first, last] = from < 0 ? [to, to] : [Math.min(from, to), Math.max(from, to)];
    this.ids.clear();
    for (const session of items.slice(first, last + 1)) this.ids.add(session.id);
  }

  all(items: readonly Session[]) {
    for (const session of items) this.ids.add(session.id);
  }

  clear() {
    this.ids.clear();
    this.#anchor = null;
  }
}
