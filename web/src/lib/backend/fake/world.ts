import { BackendError, type FeedHandlers } from '../backend';
import type { Agent, Change, Config, Draft, Entry, Finding, Health, OpenItem, Queue, Session, WindowState } from '../types';
import { FOLDERS } from './content';

export interface Held {
  session: Session;
  entries: Entry[];
  open: OpenItem[];
  queue: Queue;
  timers: Set<ReturnType<typeof setTimeout>>;
  turnIds: Set<string>;
}

const HEX = '0123456789abcdef';
export const uuid = (n: number, tag = '7000') => `01930000-0000-${tag}-8000-${n.toString(16).padStart(12, '0')}`;
export const hash = (seed: string) => {
  let h = 2166136261;
  let out = '';
  for (let i = 0; i < 64; i++) {
    h = Math.imul(h ^ (seed.charCodeAt(i % seed.length) + i), 16777619) >>> 0;
    out += HEX[(h >>> 13) & 15] ?? '0';
  }
  return out;
};
export const bytes = (text: string) => new TextEncoder().encode(text).length;
export const refuse = (status: number, code: string, title: string, extra: Record<string, unknown> = {}) =>
  new BackendError({ status, code, title, ...extra });

export type World = ReturnType<typeof makeWorld>;

/** What the fake server holds, and the rules by which it changes. */
export function makeWorld(params: URLSearchParams) {
  const scene = params.get('scene') ?? 'default';
  const now = Date.now();
  let revision = 0;
  let counter = 1000;
  const feed: { handlers: FeedHandlers | null } = { handlers: null };
  const held = new Map<string, Held>();
  const windows: WindowState[] = [];
  const draftRevs = new Map<string, Draft>();
  const blobs = new Map<string, string>();
  const saving = { saving: scene !== 'not-saving' };
  const settings: { config: Config } = { config: { default_agent: 'scratch', default_cwd: '/home/mira/gander', theme: (params.get('theme') as Config['theme']) ?? 'system', remote_images: false, agent_idle_minutes: 15, max_agents: 32 } };
  const agents: Agent[] = [
    { id: 'scratch', name: 'Scratch', command: 'gander', args: ['agent', 'scratch'], builtin: true, available: true, detail: '', version: '0.1.0' },
    { id: 'goose', name: 'goose', command: 'goose', args: ['acp'], builtin: false, available: true, detail: '', version: '1.52.0' },
    { id: 'opencode', name: 'opencode', command: 'opencode', args: ['acp'], builtin: false, available: false, detail: 'opencode is not on PATH', version: null },
  ];

  const fresh = (tag?: string) => uuid(++counter, tag);
  const cursor = () => `fake.${revision}`;
  const later = (ms: number, run: () => void, into?: Held) => {
    const timer = setTimeout(() => {
      into?.timers.delete(timer);
      run();
    }, ms);
    into?.timers.add(timer);
  };
  const emit = (change: Change) => {
    revision += 1;
    feed.handlers?.change({ cursor: cursor(), ...change });
  };
  const wait = (ms = 12) => new Promise<void>((done) => setTimeout(done, ms));
  const need = (id: string): Held => {
    const found = held.get(id);
    if (!found) throw refuse(404, 'not_found', 'There is no such session.');
    return found;
  };
  const needWindow = (id: string): WindowState => {
    const found = windows.find((w) => w.id === id);
    if (!found) throw refuse(404, 'not_found', 'There is no such window.');
    return found;
  };
  const told = (h: Held) => emit({ type: 'session', session_id: h.session.id, data: { ...h.session } });

  function makeSession(id: string, over: Partial<Session> = {}): Held {
    const session: Session = {
      id, name: '', named_by: 'none', agent: 'scratch', cwd: FOLDERS[0] ?? '/', status: 'active', entries: 0, head: { seq: 0, hash: '' },
      created_at: new Date(now).toISOString(), last_turn_at: null, place: now, running: false, turn: null, queue: { count: 0, held: false }, preview: '', pinned: false,
      unseen: false, interrupted: null, owner_window: null, empty: true, origin: null, bytes: 0, draft: false, ...over,
    };
    const h: Held = { session, entries: [], open: [], queue: { items: [], held: false }, timers: new Set(), turnIds: new Set() };
    held.set(id, h);
    return h;
  }

  function append(h: Held, kind: string, body: Record<string, unknown>, at = Date.now(), quiet = false): Entry {
    const seq = h.session.head.seq + 1;
    const entry: Entry = {
      session_id: h.session.id, seq, at: new Date(at).toISOString(), kind, body: JSON.stringify({ v: 1, ...body }), salt: hash(`salt${seq}`),
      body_hash: hash(`${h.session.id}b${seq}`), hash: hash(`${seq}${h.session.id}h${kind}`), erased: false,
    };
    h.entries.push(entry);
    h.session.head = { seq, hash: entry.hash };
    h.session.entries = seq;
    if (kind === 'prompt' || kind === 'turn_ended') h.session.place = at;
    if (!quiet) {
      const item = (body as { item?: string }).item;
      if (item) h.open = h.open.filter((open) => open.item !== item);
      emit({ type: 'entry', session_id: h.session.id, data: entry });
    }
    return entry;
  }

  const queueChanged = (h: Held) => {
    h.session.queue = { count: h.queue.items.length, held: h.queue.held };
    emit({ type: 'queue', session_id: h.session.id, data: structuredClone(h.queue) });
    told(h);
  };
  const counts = () => {
    const out = { active: 0, archived: 0, trashed: 0, quarantined: 0, empty: 0 };
    for (const { session } of held.values()) out[session.empty && session.status === 'active' ? 'empty' : session.status] += 1;
    return out;
  };
  const findings = (): Finding[] =>
    scene === 'first-run' ? [] : scene === 'quarantined'
      ? [{ kind: 'chain_broken', severity: 'error', subject: { session: uuid(1), seq: 14 }, detail: 'Entry 14 does not match its hash: its content was changed outside Gander. Entries 1 to 13 verify.', remedy: 'Recover entries 1 to 13 into a new session.' }]
      : [{ kind: 'agent_session_reused', severity: 'warning', subject: { session: uuid(3) }, detail: 'goose gave out the id 20261122_4 again. It was released from this session and bound to the new one.', remedy: 'Nothing to do: the old session keeps its history.' }];
  const health = (): Health => {
    const c = counts();
    return { ok: true, version: '0.1.0', format: 1, sqlite: '3.51.3', saving: saving.saving, sessions: held.size, audit: { on_disk: held.size, active: c.active + c.empty, archived: c.archived, trashed: c.trashed, quarantined: c.quarantined }, root: hash('root'), verified_at: new Date(now - 240_000).toISOString(), backed_up_at: scene === 'first-run' ? null : new Date(now - 360_000).toISOString(), findings: findings().length, started_at: new Date(now - 9_000_000).toISOString(), journal: uuid(0), data_dir: '/home/mira/.local/share/gander' };
  };
  const mayWrite = () => {
    if (!saving.saving) throw refuse(503, 'not_saving', 'Gander cannot save at the moment.', { detail: 'The disk is full.', safe: 'Everything up to 09:41 is saved and verified.', todo: 'Free some space; Gander goes on by itself.' });
  };
  const windowOf = (w: WindowState): WindowState => ({ ...structuredClone(w), draft: (w.session_id && draftRevs.get(`${w.id}/${w.session_id}`)) || null, cursor: cursor() });

  return { scene, now, feed, held, windows, draftRevs, blobs, saving, settings, agents, fresh, cursor, later, emit, wait, need, needWindow, told, makeSession, append, queueChanged, counts, findings, health, mayWrite, windowOf };
}
