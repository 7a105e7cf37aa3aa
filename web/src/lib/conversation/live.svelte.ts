import type { ContentBlock, OpenItem, OpenItemChange } from '../backend/types';
import { emptyCall, foldCall, isText, textOf, updatesOf, type ToolCall, type Update } from './entry';

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
  /** What a message holds beside its text: images, links. */
  blocks = $state.raw<ContentBlock[]>([]);
  /** Bytes of a part that is too large to be told before the item is complete. */
  large = $state(0);
  /** The plan's last state, or what a kind without a face of its own told. */
  updates = $state.raw<Update[]>([]);
  /** A tool call as it stands: each update is folded in once. */
  call = $state.raw<ToolCall>(emptyCall());
  /** Permissions and other kinds whose data is one object. */
  data = $state.raw<unknown>(null);
  /** How much is known, as the server counts it: bytes of a text, else updates. */
  #size = 0;

  constructor(from: Pick<OpenItem, 'item' | 'kind' | 'ord' | 'turn' | 'at'>) {
    this.item = from.item;
    this.kind = from.kind;
    this.ord = from.ord;
    this.turn = from.turn;
    this.at = from.at;
  }

  static of(open: OpenItem): LiveItem {
    const live = new LiveItem(open);
    const updates = updatesOf(open.data);
    live.data = Array.isArray(open.data) ? open.data[0] : open.data;
    if (isText(open)) {
      const said = textOf(open.data);
      live.text = said.text;
      live.blocks = said.blocks;
      live.large = open.large ?? 0;
      // Where it is too large to be told, its size still says what comes next.
      live.#size = open.large ? open.bytes : encoder.encode(live.text).length;
    } else {
      live.#fold(updates);
      // Neighbours that differ only in text come joined, so their number says less than the count that is told.
      live.#size = Math.max(open.bytes, updates.length);
    }
    return live;
  }

  #fold(updates: Update[]) {
    if (this.kind === 'tool_call') this.call = foldCall(this.call, updates);
    else this.updates = this.kind === 'plan' ? updates.slice(-1) : [...this.updates, ...updates];
  }

  /** An image counts nothing towards the text's size, so one that comes twice is told by what it is. */
  #add(blocks: ContentBlock[]) {
    const known = new Set(this.blocks.map((block) => JSON.stringify(block)));
    const fresh = blocks.filter((block) => !known.has(JSON.stringify(block)));
    if (fresh.length > 0) this.blocks = [...this.blocks, ...fresh];
  }

  /** Adds what is new of `change`; false where something between is missing and the item has to be read again. */
  grow(change: OpenItemChange): boolean {
    if (change.large) this.large = Math.max(this.large, change.large);
    const known = this.#size - change.from;
    // A large part that was not told leaves a hole, which reading again would not fill.
    if (known < 0 && !this.large) return false;
    if (isText(this)) {
      this.#add(textOf(change.updates).blocks);
      const added = encoder.encode(change.text ?? '');
      if (known < 0) {
        this.text += change.text ?? '';
        this.#size = change.from + added.length;
        return true;
      }
      if (known >= added.length) return true;
      this.text += known === 0 ? (change.text ?? '') : decoder.decode(added.subarray(known));
      this.#size = change.from + added.length;
      return true;
    }
    const updates = (change.updates ?? []) as Update[];
    if (known < 0) {
      this.#fold(updates);
      this.#size = change.from + updates.length;
      return true;
    }
    if (this.data === null) this.data = updates[0] ?? null;
    if (known < updates.length) {
      this.#fold(updates.slice(known));
      this.#size = change.from + updates.length;
    }
    return true;
  }
}
