import type { Backend } from '../backend/backend';
import type { Change, Counts, Session, StatusFilter } from '../backend/types';
import { isOlder } from '../state/session';

const PAGE = 200;

/** The server's order: no clock has a part in it. */
const byRecency = (a: Session, b: Session) =>
  Number(b.pinned) - Number(a.pinned) ||
  b.place - a.place ||
  b.id.localeCompare(a.id);

/** The session list: pages from the server, kept true by changes. A filter is a view, and says how much it hides. */
export class SessionList {
  items = $state.raw<Session[]>([]);
  counts = $state.raw<Counts>({ active: 0, archived: 0, trashed: 0, quarantined: 0, empty: 0 });
  total = $state(0);
  hidden = $state(0);
  phase = $state<'loading' | 'ready' | 'failed'>('loading');
  q = $state('');
  agent = $state('');
  status = $state<StatusFilter>('active');

  #backend: Backend;
  #next: string | null = null;
  #generation = 0;
  #fetching = false;
  /** What changed while a page was read: that page may be older. */
  #meanwhile: Change[] | null = null;
  #recount: ReturnType<typeof setTimeout> | undefined;
  #typing: ReturnType<typeof setTimeout> | undefined;

  constructor(backend: Backend, status: StatusFilter = 'active') {
    this.#backend = backend;
    this.status = status;
  }

  get filtered(): boolean {
    return this.q !== '' || this.agent !== '' || this.status !== 'active';
  }

  get more(): boolean {
    return this.#next !== null;
  }

  #filter() {
    return { q: this.q.trim() || undefined, agent: this.agent || undefined, status: this.status };
  }

  search(q: string) {
    this.q = q;
    clearTimeout(this.#typing);
    this.#typing = setTimeout(() => void this.load(), 80);
  }

  narrow(filter: { agent?: string; status?: StatusFilter }) {
    if (filter.agent !== undefined) this.agent = filter.agent;
    if (filter.status !== undefined) this.status = filter.status;
    void this.load();
  }

  clear() {
    this.q = '';
    this.agent = '';
    this.status = 'active';
    void this.load();
  }

  async load(): Promise<void> {
    const generation = ++this.#generation;
    this.#meanwhile = [];
    try {
      const page = await this.#backend.sessions({ ...this.#filter(), limit: PAGE });
      if (generation !== this.#generation) return;
      this.items = page.sessions;
      this.#next = page.next;
      this.counts = page.counts;
      this.total = page.total;
      this.hidden = page.hidden;
      this.phase = 'ready';
    } catch {
      if (generation === this.#generation && this.phase === 'loading') this.phase = 'failed';
    } finally {
      if (generation === this.#generation) this.#applyMeanwhile();
    }
  }

  async loadMore(): Promise<void> {
    const after = this.#next;
    // A list that is read anew begins with its first page.
    if (this.#fetching || this.#meanwhile || after === null) return;
    this.#fetching = true;
    this.#meanwhile = [];
    const generation = this.#generation;
    try {
      const page = await this.#backend.sessions({ ...this.#filter(), after, limit: PAGE * 2 });
      if (generation !== this.#generation) return;
      const known = new Set(this.items.map((s) => s.id));
      this.items = [...this.items, ...page.sessions.filter((s) => !known.has(s.id))];
      this.#next = page.next;
    } finally {
      this.#fetching = false;
      if (generation === this.#generation) this.#applyMeanwhile();
    }
  }

  #applyMeanwhile() {
    const changes = this.#meanwhile ?? [];
    this.#meanwhile = null;
    for (const change of changes) this.apply(change);
  }

  apply(change: Change) {
    if (change.type !== 'session' || !change.data) return;
    this.#meanwhile?.push(change);
    const session = change.data as Session;
    const index = this.items.findIndex((s) => s.id === session.id);
    const before = this.items[index];
    if (isOlder(session, before)) return;
    const fits = this.#fits(session);
    if (before) {
      const items = fits ? this.items.with(index, session) : this.items.toSpliced(index, 1);
      const moved = fits && byRecency(before, session) !== 0;
      this.items = moved ? items.sort(byRecency) : items;
    } else if (fits && !this.q) {
      const items = [...this.items, session].sort(byRecency);
      // Beyond what was read it comes with its page.
      if (!this.more || items[items.length - 1] !== session) this.items = items;
    }
    if (!before || before.status !== session.status || before.empty !== session.empty) this.#countLater();
  }

  #fits(session: Session): boolean {
    if (this.agent && session.agent !== this.agent) return false;
    if (this.status === 'all') return true;
    if (this.status === 'empty') return session.empty;
    return session.status === this.status && !session.empty;
  }

  #countLater() {
    clearTimeout(this.#recount);
    this.#recount = setTimeout(async () => {
      try {
        const page = await this.#backend.sessions({ ...this.#filter(), limit: 1 });
        this.counts = page.counts;
        this.total = page.total;
        this.hidden = page.hidden;
      } catch {
        // The next change or reconnect counts again.
      }
    }, 300);
  }
}
