import { SvelteMap } from 'svelte/reactivity';
import { BackendError, type Backend } from '../backend/backend';
import type { Change, Entry, EntryPage, Finding, Head, OpenItemChange, Queue, Session } from '../backend/types';
import { isOlder } from '../state/session';
import { bodyOf } from './entry';
import { LiveItem } from './live.svelte';
import { outlineOf, rowsOf } from './rows';

const PAGE = 200;

/**
 * One session as the window shows it: a gapless range of its entries, the open items of the running turn, its queue. Everything
 * comes from the server; applying a change twice, or one that a page already held, does nothing.
 */
export class Conversation {
  readonly id: string;
  phase = $state<'loading' | 'ready' | 'failed'>('loading');
  failure = $state.raw<unknown>(null);
  session = $state.raw<Session | null>(null);
  entries = $state.raw<Entry[]>([]);
  live = $state.raw<LiveItem[]>([]);
  queue = $state.raw<Queue>({ items: [], held: false });
  damage = $state.raw<Finding | null>(null);
  verified = $state(false);
  /** The first and the last entry of the session are in `entries`. */
  atStart = $state(false);
  atEnd = $state(true);
  /** The last reading of its end. */
  loaded: Promise<void> = Promise.resolve();
  /** Set for the one update in which older entries come in front, so that the list keeps its place. */
  prepending = $state(false);
  /** What the reader opened or folded, by row; it outlives scrolling out of sight. */
  readonly unfolded = new SvelteMap<string, boolean>();

  rows = $derived(rowsOf(this.entries, this.atEnd ? this.live : []));
  outline = $derived(outlineOf(this.entries));

  #backend: Backend;
  #waiting: Change[] | null = [];
  #fetching = false;
  #generation = 0;

  constructor(backend: Backend, id: string) {
    this.#backend = backend;
    this.id = id;
  }

  /** The head that the reader has seen: what a prompt is composed against. */
  get head(): Head {
    const last = this.entries[this.entries.length - 1];
    if (this.atEnd && last && last.session_id === this.id) return { seq: last.seq, hash: last.hash };
    return this.session?.head ?? { seq: 0, hash: '' };
  }

  load(): Promise<void> {
    return (this.loaded = this.#load());
  }

  async #load(): Promise<void> {
    const generation = ++this.#generation;
    this.#waiting = this.#waiting ?? [];
    try {
      const page = await this.#backend.entries(this.id, { limit: PAGE });
      if (generation !== this.#generation) return;
      this.#take(page);
      this.atEnd = true;
      this.phase = 'ready';
      if (page.session.queue.count > 0 || this.queue.items.length > 0) this.queue = await this.#backend.queue(this.id);
    } catch (failure) {
      if (generation !== this.#generation) return;
      if (failure instanceof BackendError && failure.code === 'quarantined') this.damage = (failure.problem.finding as Finding | undefined) ?? null;
      this.failure = failure;
      if (this.phase !== 'ready') this.phase = 'failed';
    } finally {
      if (generation === this.#generation) this.#drain();
    }
  }

  #take(page: EntryPage) {
    this.prepending = false;
    this.session = page.session;
    this.verified = page.verified !== false;
    this.damage = page.damage ?? null;
    // A reload of the tail keeps what was read before it as long as both touch.
    const first = page.entries[0]?.seq ?? 1;
    const older = this.entries.filter((entry) => entry.seq < first);
    const touching = older.length > 0 && older[older.length - 1]?.seq === first - 1;
    this.entries = touching ? [...older, ...page.entries] : page.entries;
    this.atStart = touching ? this.atStart : page.next === null || first <= 1;
    this.live = page.open_items.map((open) => LiveItem.of(open)).sort((a, b) => a.ord - b.ord);
  }

  /** Reads entries that are shown once more. */
  async reread(seqs: number[]): Promise<void> {
    for (const seq of seqs) {
      const page = await this.#backend.entries(this.id, { after: seq - 1, limit: 1 });
      const fresh = page.entries[0];
      const index = this.entries.findIndex((known) => known.seq === fresh?.seq);
      if (fresh && index >= 0) this.entries = this.entries.with(index, fresh);
    }
  }

  async older(): Promise<void> {
    const first = this.entries[0];
    if (this.#fetching || this.atStart || !first) return;
    this.#fetching = true;
    const generation = this.#generation;
    try {
      const page = await this.#backend.entries(this.id, { before: first.seq, limit: PAGE });
      if (generation !== this.#generation || this.entries[0] !== first) return;
      this.atStart = page.next === null || page.entries.length === 0 || page.entries[0]?.seq === 1;
      this.prepending = true;
      this.entries = [...page.entries, ...this.entries];
    } finally {
      this.#fetching = false;
    }
  }

  async newer(): Promise<void> {
    const last = this.entries[this.entries.length - 1];
    if (this.#fetching || this.atEnd || !last) return;
    this.#fetching = true;
    const generation = this.#generation;
    try {
      const page = await this.#backend.entries(this.id, { after: last.seq, limit: PAGE });
      if (generation !== this.#generation) return;
      this.prepending = false;
      this.entries = [...this.entries, ...page.entries];
      if (page.entries.length < PAGE) {
        this.atEnd = true;
        await this.load();
      }
    } finally {
      this.#fetching = false;
    }
  }

  /** Makes sure that `seq` is among the entries, reading another range where it is far away. */
  async reach(seq: number): Promise<void> {
    const first = this.entries[0]?.seq ?? 1;
    if (seq >= first) return;
    if (first - seq <= PAGE * 2) {
      while (!this.atStart && (this.entries[0]?.seq ?? 1) > seq) await this.older();
      return;
    }
    const page = await this.#backend.entries(this.id, { after: Math.max(0, seq - 20), limit: PAGE });
    this.#generation += 1;
    this.prepending = false;
    this.entries = page.entries;
    this.atStart = page.entries[0]?.seq === 1;
    this.atEnd = false;
  }

  async toEnd(): Promise<void> {
    if (this.atEnd) return;
    this.entries = [];
    this.atEnd = true;
    await this.load();
  }

  apply(change: Change): void {
    if (change.session_id !== this.id) return;
    if (this.#waiting) {
      this.#waiting.push(change);
      return;
    }
    switch (change.type) {
      case 'entry':
        this.#entry(change.data as Entry);
        break;
      case 'open_item':
        this.#openItem(change.data as OpenItemChange);
        break;
      case 'session':
        this.heard(change.data as Session);
        break;
      case 'queue':
        this.queue = change.data as Queue;
        break;
    }
  }

  /** What a change or an answer says of the session. An answer may be older than what was told meanwhile. */
  heard(session: Session) {
    if (!isOlder(session, this.session)) this.session = session;
  }

  #drain() {
    const waiting = this.#waiting ?? [];
    this.#waiting = null;
    for (const change of waiting) this.apply(change);
  }

  #entry(entry: Entry) {
    const { item } = bodyOf(entry);
    if (entry.kind === 'redacted') this.#erased(bodyOf(entry).data);
    const last = this.entries[this.entries.length - 1];
    if (entry.erased || (last && entry.seq <= last.seq)) {
      const index = this.entries.findIndex((known) => known.seq === entry.seq);
      if (index >= 0 && entry.erased && !this.entries[index]?.erased) this.entries = this.entries.with(index, entry);
    } else if (this.atEnd) {
      if (last && entry.seq !== last.seq + 1) {
        void this.load();
        return;
      }
      this.prepending = false;
      this.entries = [...this.entries, entry];
    }
    if (item && this.live.some((open) => open.item === item)) this.live = this.live.filter((open) => open.item !== item);
    if (entry.kind === 'turn_ended' && this.live.length > 0) {
      const { turn } = bodyOf(entry);
      this.live = this.live.filter((open) => open.turn !== turn);
    }
  }

  /** What a `redacted` entry lists is gone from here at once, also where no page of it is read again. */
  #erased(data: unknown) {
    const list = (data as { erased?: { session_id: string; seq: number }[] } | null)?.erased ?? [];
    const gone = new Set(list.map((one) => `${one.session_id}/${one.seq}`));
    if (!this.entries.some((entry) => !entry.erased && gone.has(`${entry.session_id}/${entry.seq}`))) return;
    this.entries = this.entries.map((entry) => (gone.has(`${entry.session_id}/${entry.seq}`) && !entry.erased ? { ...entry, body: null, salt: null, erased: true } : entry));
  }

  #openItem(change: OpenItemChange) {
    const open = this.live.find((known) => known.item === change.item);
    if (open) {
      if (!open.grow(change)) void this.load();
      return;
    }
    // Its entry is here already: this change is older than what was read.
    for (let i = this.entries.length - 1; i >= Math.max(0, this.entries.length - 200); i--) {
      const entry = this.entries[i];
      if (entry && bodyOf(entry).item === change.item) return;
    }
    const fresh = new LiveItem({ item: change.item, kind: change.kind, ord: change.ord, turn: change.turn, at: new Date().toISOString() });
    if (!fresh.grow(change)) {
      void this.load();
      return;
    }
    this.prepending = false;
    this.live = [...this.live, fresh].sort((a, b) => a.ord - b.ord);
  }
}
