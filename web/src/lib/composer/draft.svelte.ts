import { BackendError, type Backend } from '../backend/backend';
import type { Attachment, Draft } from '../backend/types';

export interface Shelf {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

interface Kept {
  /** The server's revision that this text was typed on. */
  base: number;
  text: string;
  attachments: Attachment[];
}

/** From the first unsaved keystroke to the save, at most. */
const LONGEST_WAIT_MS = 200;
const PAUSE_MS = 90;
const FIRST_RETRY_MS = 400;
const LONGEST_RETRY_MS = 5_000;

const same = (a: Pick<Draft, 'text' | 'attachments'>, b: Pick<Draft, 'text' | 'attachments'>) =>
  a.text === b.text && a.attachments.map((x) => x.hash).join() === b.attachments.map((x) => x.hash).join();

/**
 * The unsent text of one window for one session. Typing is local; every change is kept in the browser at once and saved at the
 * server within 250 ms; it is marked until acknowledged. Revisions count upward from the server's. Where the server holds a
 * newer text both are kept, and the reader chooses.
 */
export class DraftKeeper {
  readonly windowId: string;
  readonly sessionId: string;
  text = $state('');
  attachments = $state.raw<Attachment[]>([]);
  state = $state<'saved' | 'unsaved' | 'failing'>('saved');
  /** The other text, when two were written apart. */
  conflict = $state.raw<Draft | null>(null);
  /** Text that came from elsewhere has to be put into the field. */
  replaced = $state(0);

  #backend: Backend;
  #shelf: Shelf;
  #rev = 0;
  #saved: Pick<Draft, 'text' | 'attachments'> = { text: '', attachments: [] };
  #inFlight: Promise<void> | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #dirtySince: number | null = null;
  #retries = 0;
  #closed = false;

  constructor(backend: Backend, shelf: Shelf, windowId: string, sessionId: string, saved: Draft | null) {
    this.#backend = backend;
    this.#shelf = shelf;
    this.windowId = windowId;
    this.sessionId = sessionId;
    if (saved) this.#adopt(saved);
    this.#recover(saved);
  }

  get rev(): number {
    return this.#rev;
  }

  get empty(): boolean {
    return this.text.trim() === '' && this.attachments.length === 0;
  }

  get #key(): string {
    return `gander.draft.${this.windowId}.${this.sessionId}`;
  }

  #recover(saved: Draft | null) {
    const raw = this.#shelf.getItem(this.#key);
    if (!raw) return;
    let kept: Kept;
    try {
      kept = JSON.parse(raw) as Kept;
    } catch {
      this.#shelf.removeItem(this.#key);
      return;
    }
    if (same(kept, this)) {
      this.#shelf.removeItem(this.#key);
      return;
    }
    // Typed on the revision that the server still has: it only never arrived. On an older one: both are kept.
    if (saved && saved.rev > kept.base && saved.text !== '') this.conflict = { ...saved };
    this.text = kept.text;
    this.attachments = kept.attachments;
    this.#changed();
  }

  #adopt(draft: Draft) {
    this.#rev = draft.rev;
    this.#saved = { text: draft.text, attachments: draft.attachments };
    if (!same(draft, this)) {
      this.text = draft.text;
      this.attachments = draft.attachments;
      this.replaced += 1;
    }
  }

  type(text: string) {
    if (text === this.text) return;
    this.text = text;
    this.#changed();
  }

  attach(attachment: Attachment) {
    this.attachments = [...this.attachments, attachment];
    this.#changed();
    // A large file may take longer than its window stays with the session.
    if (this.#closed) this.close();
  }

  detach(hash: string) {
    this.attachments = this.attachments.filter((a) => a.hash !== hash);
    this.#changed();
  }

  put(text: string) {
    this.type(text);
    this.replaced += 1;
  }

  #changed() {
    const kept: Kept = { base: this.#rev, text: this.text, attachments: this.attachments };
    try {
      this.#shelf.setItem(this.#key, JSON.stringify(kept));
    } catch {
      // A full or forbidden browser store: the server is the one that counts.
    }
    if (this.state === 'saved') this.state = 'unsaved';
    if (this.conflict) return;
    this.#dirtySince ??= Date.now();
    const left = Math.max(0, this.#dirtySince + LONGEST_WAIT_MS - Date.now());
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#save(), Math.min(PAUSE_MS, left));
  }

  async #save(): Promise<void> {
    if (this.#inFlight) return this.#inFlight;
    if (this.conflict || this.#closed) return;
    clearTimeout(this.#timer);
    if (same(this, this.#saved)) return this.#acknowledged(this.#saved);
    const sent: Draft = { session_id: this.sessionId, rev: this.#rev + 1, text: this.text, attachments: this.attachments };
    this.#dirtySince = null;
    this.#rev = sent.rev;
    this.#inFlight = this.#backend
      .saveDraft(this.windowId, sent)
      .then(() => this.#acknowledged(sent))
      .catch((failure: unknown) => this.#failed(failure))
      .finally(() => (this.#inFlight = null));
    await this.#inFlight;
    if (this.state === 'unsaved' && !this.conflict) await this.#save();
  }

  #acknowledged(sent: Pick<Draft, 'text' | 'attachments'>) {
    this.#saved = { text: sent.text, attachments: sent.attachments };
    this.#retries = 0;
    if (same(this, sent)) {
      this.state = 'saved';
      this.#dirtySince = null;
      this.#shelf.removeItem(this.#key);
    } else this.state = 'unsaved';
  }

  #failed(failure: unknown) {
    if (failure instanceof BackendError && failure.code === 'draft_stale') {
      this.#stale(failure.problem.current as Draft);
      return;
    }
    this.state = 'failing';
    if (failure instanceof BackendError && failure.problem.status < 500 && failure.problem.status !== 429) return;
    const wait = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#retries++);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#save(), wait);
  }

  #stale(current: Draft) {
    this.#rev = Math.max(this.#rev, current.rev);
    if (same(current, this)) {
      this.#acknowledged(current);
    } else if (current.text === '' && current.attachments.length === 0) {
      // Sent or cleared elsewhere: nothing is lost by keeping this text on a newer revision.
      this.#changed();
    } else {
      this.conflict = current;
      this.state = 'unsaved';
    }
  }

  /** What another tab or the server's own clearing made of this draft. */
  changed(draft: Draft) {
    if (draft.rev < this.#rev || (draft.rev === this.#rev && this.#inFlight)) return;
    if (this.state === 'saved') this.#adopt(draft);
    else if (same(draft, this)) {
      this.#rev = draft.rev;
      this.#acknowledged(draft);
    } else if (draft.rev > this.#rev) this.#stale(draft);
  }

  /** Ends a conflict: one text, the other, or both, one after the other. */
  resolve(how: 'mine' | 'theirs' | 'both') {
    const other = this.conflict;
    if (!other) return;
    this.conflict = null;
    this.#rev = Math.max(this.#rev, other.rev);
    this.#saved = { text: other.text, attachments: other.attachments };
    if (how !== 'mine') {
      this.text = how === 'theirs' ? other.text : `${other.text}\n\n${this.text}`;
      const known = new Set(other.attachments.map((a) => a.hash));
      this.attachments = how === 'theirs' ? other.attachments : [...other.attachments, ...this.attachments.filter((a) => !known.has(a.hash))];
      this.replaced += 1;
    }
    this.#changed();
  }

  /** The server is there again: what could not be saved is tried at once. */
  again() {
    if (this.state === 'saved' || this.conflict) return;
    this.#retries = 0;
    void this.#save();
  }

  /** Saves what is not saved yet; false where that is not possible now. */
  async flush(): Promise<boolean> {
    for (let tries = 0; tries < 4; tries++) {
      if (this.conflict) return false;
      if (this.state === 'saved') return true;
      await this.#save();
      if ((this.state as string) === 'failing') return false;
    }
    return (this.state as string) === 'saved';
  }

  /** The draft of this revision became a prompt. What was typed since stays. */
  sent(rev: number, text: string) {
    this.#rev = Math.max(this.#rev, rev);
    this.#saved = { text: '', attachments: [] };
    if (this.text === text) {
      this.text = '';
      this.attachments = [];
      this.replaced += 1;
      this.#acknowledged(this.#saved);
    } else this.#changed();
  }

  /** The window goes on to another session: what is not saved yet is, once. */
  close() {
    this.#closed = this.state === 'saved';
    if (!this.#closed) void this.flush().finally(() => (this.#closed = true));
  }
}

