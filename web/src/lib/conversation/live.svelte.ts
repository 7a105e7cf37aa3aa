import type { OpenItem, OpenItemChange } from '../backend/types';
import { isText, textOf, updatesOf, type Update } from './entry';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** An open item of the running turn: what is durable of it so far, growing. */
export class LiveItem {
  readonly item: string;
  readonly kind: string;
  readonly ord: number;
  readonly turn: string | null;
  readonly at: string;
  text = $state('');
  updates = $state.raw<Update[]>([]);
  /** Permissions and other kinds whose data is one object. */
  data = $state.raw<unknown>(null);
  #bytes = 0;

  constructor(from: Pick<OpenItem, 'item' | 'kind' | 'ord' | 'turn' | 'at'>) {
    this.item = from.item;
    this.kind = from.kind;
    this.ord = from.ord;
    this.turn = from.turn;
    this.at = from.at;
  }

  static of(open: OpenItem): LiveItem {
    const live = new LiveItem(open);
    live.data = open.data;
    if (isText(open)) {
      live.text = textOf(open.data).text;
      live.#bytes = encoder.encode(live.text).length;
    } else live.updates = updatesOf(open.data);
    return live;
  }

  /** Adds what is new of `change`; false where something between is missing and the item has to be read again. */
  grow(change: OpenItemChange): boolean {
    if (change.text !== undefined) {
      const added = encoder.encode(change.text);
      const known = this.#bytes - change.from;
      if (known < 0) return false;
      if (known >= added.length) return true;
      this.text += known === 0 ? change.text : decoder.decode(added.subarray(known));
      this.#bytes = change.from + added.length;
      return true;
    }
    const updates = (change.updates ?? []) as Update[];
    const known = this.updates.length - change.from;
    if (known < 0) return false;
    if (known < updates.length) this.updates = [...this.updates, ...updates.slice(known)];
    return true;
  }
}
