import { BackendError, Unreachable, type Backend, type FeedHandlers } from './backend';
import { ANSWER, FOLDERS, longDiff, NAMES, NEW_CODE, OLD_CODE, PREVIEWS, RTL, SHORT, TERMINAL } from './fake_content';
import type { Agent, Change, Config, ContentBlock, Draft, Entry, Finding, Health, OpenItem, Queue, Session, SessionFilter, WindowState } from './types';

interface Held {
  session: Session;
  entries: Entry[];
  open: OpenItem[];
  queue: Queue;
  timers: Set<ReturnType<typeof setTimeout>>;
  turnIds: Set<string>;
}

const HEX = '0123456789abcdef';
const uuid = (n: number, tag = '7000') => `01930000-0000-${tag}-8000-${n.toString(16).padStart(12, '0')}`;
const hash = (seed: string) => {
  let h = 2166136261;
  let out = '';
  for (let i = 0; i < 64; i++) {
    h = Math.imul(h ^ (seed.charCodeAt(i % seed.length) + i), 16777619) >>> 0;
    out += HEX[(h >>> 13) & 15] ?? '0';
  }
  return out;
};
const bytes = (text: string) => new TextEncoder().encode(text).length;
const refuse = (status: number, code: string, title: string, extra: Record<string, unknown> = {}) =>
  new BackendError({ status, code, title, ...extra });

/**
 * The server's behaviour in memory, for building, looking at and testing the UI. `?scene=` chooses what there is.
 * It keeps the server's rules that the UI depends on: revisions, heads, turn ids, one turn at a time.
 */
export function fakeBackend(params: URLSearchParams): Backend & { emit(change: Change): void } {
  const scene = params.get('scene') ?? 'default';
  const now = Date.now();
  let revision = 0;
  let counter = 1000;
  let handlers: FeedHandlers | null = null;
  const held = new Map<string, Held>();
  const windows: WindowState[] = [];
  const draftRevs = new Map<string, Draft>();
  const blobs = new Map<string, string>();
  const saving = { saving: scene !== 'not-saving' };
  let config: Config = { default_agent: 'scratch', default_cwd: '/home/mira/gander', theme: (params.get('theme') as Config['theme']) ?? 'system', remote_images: false, agent_idle_minutes: 15, max_agents: 32 };
  const agents: Agent[] = [
    { id: 'scratch', name: 'Scratch', command: 'gander', args: ['agent', 'scratch'], builtin: true, available: true, detail: '', version: '0.1.0' },
    { id: 'goose', name: 'goose', command: 'goose', args: ['acp'], builtin: false, available: true, detail: '', version: '1.52.0' },
    { id: 'opencode', name: 'opencode', command: 'opencode', args: ['acp'], builtin: false, available: false, detail: 'opencode is not on PATH', version: null },
  ];

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
    handlers?.change({ cursor: cursor(), ...change });
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
      created_at: new Date(now).toISOString(), last_turn_at: null, running: false, turn: null, queue: { count: 0, held: false }, preview: '', pinned: false,
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
    if (!quiet) {
      const item = (body as { item?: string }).item;
      if (item) h.open = h.open.filter((open) => open.item !== item);
      emit({ type: 'entry', session_id: h.session.id, data: entry });
    }
    return entry;
  }

  const chunk = (text: string, sessionUpdate = 'agent_message_chunk') => [{ sessionUpdate, content: { type: 'text', text } }];
  const tool = (id: string, title: string, kind: string, more: Record<string, unknown> = {}, end: Record<string, unknown> = { status: 'completed' }) => [
    { sessionUpdate: 'tool_call', toolCallId: id, title, kind, status: 'pending', ...more },
    { sessionUpdate: 'tool_call_update', toolCallId: id, ...end },
  ];
  const OPTIONS = [
    { optionId: 'allow', name: 'Allow once', kind: 'allow_once' },
    { optionId: 'always', name: 'Always allow `rm` in this session', kind: 'allow_always' },
    { optionId: 'reject', name: 'Reject', kind: 'reject_once' },
  ];

  function begin(h: Held, at: number) {
    append(h, 'created', { by: 'gander', data: {} }, at, true);
    append(h, 'configured', { by: 'gander', data: { agent: h.session.agent, cwd: h.session.cwd } }, at, true);
  }

  function prompt(h: Held, text: string, turn: string, at: number, extra: ContentBlock[] = []) {
    append(h, 'prompt', { turn, by: 'user', data: { content: [{ type: 'text', text }, ...extra] } }, at, true);
    h.session.empty = false;
    h.session.last_turn_at = new Date(at).toISOString();
  }

  function showcase(h: Held, at: number) {
    begin(h, at);
    append(h, 'named', { by: 'agent', data: { name: h.session.name, named_by: 'agent', after: 0 } }, at, true);
    const turn = uuid(++counter);
    const put = (kind: string, data: unknown, sec: number, more: Record<string, unknown> = {}) =>
      append(h, kind, { turn, item: uuid(++counter), ord: counter, by: 'agent', data, ...more }, at + sec * 1000, true);
    prompt(h, 'After a resume the witness seems to lag one revision behind. Is that a bug, and does the audit at start still catch a truncated tail?\n\nLook at `src/witness.rs` first.', turn, at + 60_000);
    put('thought', chunk('The user asks about the witness file. I should read the writer first, then the audit, and check what happens between the commit and the rename. The order of the two fsyncs is what matters here.', 'agent_thought_chunk'), 64);
    put('plan', [{ sessionUpdate: 'plan', entries: [
      { content: 'Read the witness writer and the start-up audit', priority: 'high', status: 'completed' },
      { content: 'Reproduce with a kill between commit and rename', priority: 'medium', status: 'completed' },
      { content: 'Verify the tail on resume', priority: 'high', status: 'in_progress' },
      { content: 'Add a test named after G12', priority: 'medium', status: 'pending' },
    ] }], 66);
    put('message', chunk('I will start with the writer and follow the position it records.'), 68);
    put('tool_call', tool('a1', 'Read src/witness.rs', 'read', { locations: [{ path: `${h.session.cwd}/src/witness.rs`, line: 41 }] }, { status: 'completed', content: [{ type: 'content', content: { type: 'text', text: OLD_CODE } }] }), 69);
    put('tool_call', tool('a2', 'Search for "root_at"', 'search', { rawInput: { pattern: 'root_at' } }, { status: 'completed', content: [{ type: 'content', content: { type: 'text', text: 'src/witness.rs:88\nsrc/audit.rs:17\nsrc/audit.rs:52' } }] }), 70);
    put('tool_call', tool('a3', 'Read src/audit.rs', 'read', { locations: [{ path: `${h.session.cwd}/src/audit.rs` }] }), 71);
    put('tool_call', tool('a4', 'Edit src/chain.rs', 'edit', { locations: [{ path: `${h.session.cwd}/src/chain.rs`, line: 4 }] }, { status: 'completed', content: [{ type: 'diff', path: `${h.session.cwd}/src/chain.rs`, oldText: OLD_CODE, newText: NEW_CODE }] }), 74);
    put('permission', { permission_id: uuid(++counter), tool_call: { toolCallId: 'a5', title: 'cargo nextest run -p gander-journal', kind: 'execute' }, options: OPTIONS, outcome: 'selected', option_id: 'allow' }, 75);
    put('tool_call', tool('a5', 'cargo nextest run -p gander-journal', 'execute', { rawInput: { command: 'cargo nextest run -p gander-journal' } }, { status: 'failed', content: [{ type: 'content', content: { type: 'text', text: TERMINAL } }] }), 82);
    put('message', chunk(ANSWER), 95);
    append(h, 'turn_ended', { turn, by: 'gander', data: { state: 'ended', stop_reason: 'end_turn', usage: { inputTokens: 12840, outputTokens: 902 } } }, at + 96_000, true);
    const second = uuid(++counter);
    prompt(h, 'Good. Fix the orphan count too, then run the tests again.', second, at + 300_000);
    append(h, 'tool_call', { turn: second, item: uuid(++counter), ord: 1, by: 'agent', data: tool('b1', 'Edit src/audit.rs', 'edit', { locations: [{ path: `${h.session.cwd}/src/audit.rs` }] }, { status: 'completed', content: [{ type: 'diff', path: `${h.session.cwd}/src/audit.rs`, oldText: 'let on_disk = rows.len();\n', newText: 'let on_disk = rows.iter().filter(|row| row.witnessed).count();\n' }] }) }, at + 303_000, true);
    append(h, 'message', { turn: second, item: uuid(++counter), ord: 2, by: 'agent', data: chunk(SHORT) }, at + 310_000, true);
    append(h, 'turn_ended', { turn: second, by: 'gander', data: { state: 'ended', stop_reason: 'end_turn' } }, at + 311_000, true);
    h.session.last_turn_at = new Date(at + 311_000).toISOString();
  }

  function quick(h: Held, at: number, text = PREVIEWS[0] ?? '') {
    begin(h, at);
    const turn = uuid(++counter);
    prompt(h, `${h.session.name}?`, turn, at);
    append(h, 'message', { turn, item: uuid(++counter), ord: 1, by: 'agent', data: chunk(text) }, at + 4000, true);
    append(h, 'turn_ended', { turn, by: 'gander', data: { state: 'ended', stop_reason: 'end_turn' } }, at + 5000, true);
  }

  function seed() {
    const count = scene === 'first-run' ? 0 : scene === 'many' ? 10_000 : 42;
    for (let n = 0; n < count; n++) {
      const at = now - n * (scene === 'many' ? 400_000 : 7_400_000) - 600_000;
      const name = NAMES[n % NAMES.length] ?? '';
      const h = makeSession(uuid(n + 1), {
        name: n < NAMES.length ? name : `${name} ${Math.floor(n / NAMES.length)}`, named_by: n % 3 ? 'auto' : 'user', agent: n % 4 === 2 ? 'goose' : 'scratch',
        cwd: FOLDERS[n % FOLDERS.length] ?? '/', created_at: new Date(at).toISOString(), last_turn_at: new Date(at).toISOString(), empty: false,
        preview: PREVIEWS[n % PREVIEWS.length] ?? '', entries: 5, head: { seq: 0, hash: hash(`h${n}`) },
      });
      if (scene === 'many' && n > 60) {
        h.session.head = { seq: 5, hash: hash(`h${n}`) };
        continue;
      }
      if (n === 0) showcase(h, at);
      else quick(h, at, h.session.preview);
      if (n === 1) h.session.unseen = true;
      if (n === 3) h.session.pinned = true;
      if (n === 4) Object.assign(h.session, { running: true, turn: { id: uuid(++counter), state: 'running', permissions: [{ id: 'p', item: 'i', options: OPTIONS }] } });
      if (n === 5) h.session.interrupted = 'x';
      if (n === 6) Object.assign(h.session, { running: true, turn: { id: uuid(++counter), state: 'running', permissions: [] } });
      if (n === 8) h.session.draft = true;
      if (n > 36 && scene !== 'many') h.session.status = n > 38 ? 'archived' : 'trashed';
    }
    const first = held.get(uuid(1));
    if (scene === 'long-names' && first) {
      for (const h of held.values()) if (h.session.status === 'active') h.session.name = 'A name that goes on and on because somebody pasted the whole error message into it, thread panicked at src/witness.rs:88 called Result::unwrap() on an Err value: Behind { journal: 01930000, witness: 812 }'.slice(0, 200);
    }
    const ids = ['11111111-1111-7111-8111-111111111111', '22222222-2222-7222-8222-222222222222', '33333333-3333-7333-8333-333333333333'];
    ids.forEach((id, n) =>
      windows.push({ id, ordinal: n, session_id: held.has(uuid(n + 1)) ? uuid(n + 1) : null, open: n < 2, attached: n === 0, geometry: null, scroll: null, draft: null }));
    const here = windows[0];
    if (!here) return;
    if (scene === 'first-run' || scene === 'empty') {
      const h = makeSession(uuid(++counter), { owner_window: here.id });
      begin(h, now);
      here.session_id = h.session.id;
    }
    if (!first) return;
    if (scene === 'rtl') {
      const h = makeSession(uuid(++counter), { name: 'מה קורה אחרי קריסה?', named_by: 'user', empty: false, preview: 'הזנב נבדק בנפרד', last_turn_at: new Date(now).toISOString() });
      begin(h, now - 60_000);
      const turn = uuid(++counter);
      prompt(h, 'למה קובץ העד מפגר בגרסה אחת אחרי חידוש? תסתכל קודם על `src/witness.rs`.', turn, now - 50_000);
      append(h, 'message', { turn, item: uuid(++counter), ord: 1, by: 'agent', data: chunk(RTL) }, now - 40_000, true);
      append(h, 'turn_ended', { turn, by: 'gander', data: { state: 'ended' } }, now - 39_000, true);
      here.session_id = h.session.id;
    }
    if (scene === 'interrupted' || scene === 'errors') {
      const turn = uuid(++counter);
      prompt(first, 'Now write the test for a truncated tail.', turn, now - 90_000);
      append(first, 'tool_call', { turn, item: uuid(++counter), ord: 1, by: 'agent', data: tool('c1', 'Read tests/it/audit.rs', 'read', {}, { status: 'failed', content: [{ type: 'content', content: { type: 'text', text: 'No such file: tests/it/audit.rs' } }] }) }, now - 80_000, true);
      append(first, 'message', { turn, item: uuid(++counter), ord: 2, by: 'agent', data: chunk('The test needs a journal whose last page was cut. I would write 200 entries, stop the process, and truncate the file at the page that holds'), interrupted: true }, now - 70_000, true);
      append(first, 'turn_ended', { turn, by: 'gander', data: scene === 'errors' ? { state: 'not_sent', error: { message: 'The agent goose did not start: exit status 127, "goose: command not found".' }, reason: 'agent_failed' } : { state: 'interrupted', reason: 'Gander was stopped while the agent was answering.' } }, now - 60_000, true);
      first.session.interrupted = turn;
    }
    if (scene === 'diff') {
      const turn = uuid(++counter);
      prompt(first, 'Regenerate the table.', turn, now - 90_000);
      append(first, 'tool_call', { turn, item: uuid(++counter), ord: 1, by: 'agent', data: tool('d1', 'Edit src/generated/table.rs', 'edit', { locations: [{ path: '/home/mira/gander/src/generated/table.rs', line: 1 }] }, { status: 'completed', content: [{ type: 'diff', path: '/home/mira/gander/src/generated/table.rs', ...longDiff(4000) }] }) }, now - 80_000, true);
      append(first, 'message', { turn, item: uuid(++counter), ord: 2, by: 'agent', data: chunk('Regenerated: 571 rows changed.') }, now - 70_000, true);
      append(first, 'turn_ended', { turn, by: 'gander', data: { state: 'ended' } }, now - 60_000, true);
    }
    if (scene === 'huge') {
      for (let n = 0; n < 33_000 / 3; n++) {
        const turn = uuid(++counter);
        prompt(first, `Question ${n}: what about case ${n * 7}?`, turn, now - 1000);
        append(first, 'message', { turn, item: uuid(++counter), ord: 1, by: 'agent', data: chunk(n % 9 ? `Answer ${n}. ${'It depends on the position that was witnessed. '.repeat(1 + (n % 5))}` : ANSWER) }, now, true);
        append(first, 'turn_ended', { turn, by: 'gander', data: { state: 'ended' } }, now, true);
      }
    }
    if (scene === 'quarantined') {
      first.session.status = 'quarantined';
      const hurt = first.entries[first.entries.length - 3];
      if (hurt) Object.assign(hurt, { hash: hash('flipped') });
    }
    if (scene === 'queue') {
      first.queue = { items: ['Then update the changelog.', 'And open a pull request with both commits, one for the walk and one for the test.'].map((text, n) => ({ turn_id: uuid(++counter), content: [{ type: 'text', text }], position: n + 1 })), held: true };
      first.session.queue = { count: 2, held: true };
    }
    if (scene === 'permission') askPermission(first, uuid(++counter));
    if (scene === 'draft') {
      here.draft = { session_id: first.session.id, rev: 7, text: 'And one more thing: what if the folder is', attachments: [] };
      draftRevs.set(`${here.id}/${first.session.id}`, here.draft);
    }
    if (scene === 'streaming') later(400, () => run(first, 'Explain it once more, slowly.', uuid(++counter), true));
  }

  function askPermission(h: Held, turn: string) {
    prompt(h, 'Clean the build folder and start over.', turn, Date.now());
    const item = uuid(++counter);
    const permission = uuid(++counter);
    const call = { toolCallId: 'p1', title: 'rm -rf build/ target/debug/incremental', kind: 'execute', rawInput: { command: 'rm -rf build/ target/debug/incremental', cwd: h.session.cwd } };
    h.open.push({ item: uuid(++counter), ord: 1, kind: 'message', turn, at: new Date().toISOString(), data: chunk('I would remove both folders. That cannot be undone, so please confirm.'), bytes: 70 });
    h.open.push({ item, ord: 2, kind: 'permission', turn, at: new Date().toISOString(), data: { permission_id: permission, tool_call: call, options: OPTIONS }, bytes: 10 });
    Object.assign(h.session, { running: true, turn: { id: turn, state: 'running', permissions: [{ id: permission, item, options: OPTIONS }] } });
  }

  function run(h: Held, text: string, turn: string, slow = false, extra: ContentBlock[] = []) {
    h.turnIds.add(turn);
    append(h, 'prompt', { turn, by: 'user', data: { content: [{ type: 'text', text }, ...extra] } });
    Object.assign(h.session, { running: true, empty: false, interrupted: null, last_turn_at: new Date().toISOString(), turn: { id: turn, state: 'running', permissions: [] } });
    if (!h.session.name) Object.assign(h.session, { name: text.slice(0, 60), named_by: 'auto' });
    told(h);
    const item = uuid(++counter);
    const callItem = uuid(++counter);
    const updates = tool('t1', 'Read README.md', 'read', { locations: [{ path: `${h.session.cwd}/README.md` }] });
    emit({ type: 'open_item', session_id: h.session.id, data: { item: callItem, ord: 1, kind: 'tool_call', turn, from: 0, updates: [updates[0]] } });
    later(500, () => append(h, 'tool_call', { turn, item: callItem, ord: 1, by: 'agent', data: updates }), h);
    const words = (slow ? ANSWER.repeat(4) : ANSWER).match(/\S+\s*/g) ?? [];
    let sent = '';
    const step = (n: number) => {
      if (n >= words.length || h.session.turn?.state === 'cancelling') {
        append(h, 'message', { turn, item, ord: 2, by: 'agent', data: chunk(sent) });
        append(h, 'turn_ended', { turn, by: 'gander', data: { state: 'ended', stop_reason: n >= words.length ? 'end_turn' : 'cancelled' } });
        Object.assign(h.session, { running: false, turn: null, preview: sent.slice(0, 100) });
        told(h);
        const next = h.queue.items.shift();
        if (next && !h.queue.held) {
          queueChanged(h);
          run(h, textOf(next.content), next.turn_id, slow);
        }
        return;
      }
      const part = words.slice(n, n + 3).join('');
      const from = bytes(sent);
      sent += part;
      const open = h.open.find((i) => i.item === item);
      if (open) open.data = chunk(sent);
      else h.open.push({ item, ord: 2, kind: 'message', turn, at: new Date().toISOString(), data: chunk(sent), bytes: bytes(sent) });
      emit({ type: 'open_item', session_id: h.session.id, data: { item, ord: 2, kind: 'message', turn, from, text: part } });
      later(slow ? 90 : 30, () => step(n + 3), h);
    };
    later(600, () => step(0), h);
  }

  const textOf = (content: ContentBlock[]) => content.map((b) => (b.type === 'text' && 'text' in b ? String(b.text) : '')).join('\n').trim();
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
    scene === 'quarantined'
      ? [{ kind: 'chain_broken', severity: 'error', subject: { session: uuid(1), seq: 14 }, detail: 'Entry 14 does not match its hash: its content was changed outside Gander. Entries 1 to 13 verify.', remedy: 'Recover entries 1 to 13 into a new session.' }]
      : [{ kind: 'agent_session_reused', severity: 'warning', subject: { session: uuid(3) }, detail: 'goose gave out the id 20261122_4 again. It was released from this session and bound to the new one.', remedy: 'Nothing to do: the old session keeps its history.' }];
  const health = (): Health => {
    const c = counts();
    return { ok: true, version: '0.1.0', format: 1, sqlite: '3.51.3', saving: saving.saving, sessions: held.size, audit: { on_disk: held.size, active: c.active + c.empty, archived: c.archived, trashed: c.trashed, quarantined: c.quarantined }, root: hash('root'), verified_at: new Date(now - 240_000).toISOString(), backed_up_at: null, findings: findings().length, started_at: new Date(now - 9_000_000).toISOString(), journal: uuid(0), data_dir: '/home/mira/.local/share/gander' };
  };
  const mayWrite = () => {
    if (!saving.saving) throw refuse(503, 'not_saving', 'Gander cannot save at the moment.', { detail: 'The disk is full.', safe: 'Everything up to 09:41 is saved and verified.', todo: 'Free some space; Gander goes on by itself.' });
  };
  const windowOf = (w: WindowState): WindowState => ({ ...structuredClone(w), draft: (w.session_id && draftRevs.get(`${w.id}/${w.session_id}`)) || null, cursor: cursor() });

  seed();

  return {
    emit,
    async health() { await wait(); return health(); },
    async config() { return { ...config }; },
    async patchConfig(patch) { config = { ...config, ...patch }; emit({ type: 'config', data: config }); return { ...config }; },
    async agents() { return structuredClone(agents); },
    async addAgent(spec) { agents.push({ builtin: false, available: true, detail: '', version: null, ...spec, args: spec.args, name: spec.name ?? spec.id }); },
    async removeAgent(id) { agents.splice(agents.findIndex((a) => a.id === id), 1); },
    async checkAgent(id) {
      await wait(700);
      const agent = agents.find((a) => a.id === id);
      if (!agent) throw refuse(404, 'not_found', 'There is no such agent.');
      return { ok: agent.available, agent: { ...agent }, capabilities: {}, error: agent.available ? undefined : agent.detail };
    },
    async folders(path = '/home/mira') {
      await wait();
      const parent = path === '/' ? null : path.replace(/\/[^/]*$/, '') || '/';
      return { path, parent, folders: path.split('/').length > 4 ? [] : ['gander', 'importer', 'notes', 'site', 'very-long-folder-name-for-a-project'], home: '/home/mira' };
    },
    async windows() { return windows.map(windowOf); },
    async window(id) { await wait(); return windowOf(needWindow(id)); },
    async openWindow(options) {
      mayWrite();
      const w: WindowState = { id: uuid(++counter, '7abc'), ordinal: windows.length, session_id: options.session_id ?? null, open: true, attached: false, geometry: null, scroll: null, draft: null };
      windows.push(w);
      return windowOf(w);
    },
    async patchWindow(id, patch) { Object.assign(needWindow(id), patch); },
    async closeWindow(id) { needWindow(id).open = false; emit({ type: 'window', window_id: id, data: windowOf(needWindow(id)) }); },
    async reopenWindow(id) { needWindow(id).open = true; return windowOf(needWindow(id)); },
    async focusWindow() { await wait(); },
    async newChat(id, options) {
      mayWrite();
      await wait();
      const w = needWindow(id);
      const own = [...held.values()].find((h) => h.session.empty && h.session.owner_window === id && !draftRevs.get(`${id}/${h.session.id}`)?.text);
      const h = own ?? makeSession(uuid(++counter), { owner_window: id });
      if (!own) begin(h, Date.now());
      Object.assign(h.session, { agent: options.agent ?? config.default_agent, cwd: options.cwd ?? config.default_cwd });
      w.session_id = h.session.id;
      emit({ type: 'window', window_id: id, data: windowOf(w) });
      return { ...h.session };
    },
    async showSession(id, sessionId) {
      await wait();
      const h = need(sessionId);
      const w = needWindow(id);
      w.session_id = sessionId;
      h.session.unseen = false;
      return { window: windowOf(w), session: { ...h.session } };
    },
    async saveDraft(id, draft) {
      await wait(scene === 'slow' ? 2500 : 8);
      mayWrite();
      const key = `${id}/${draft.session_id}`;
      const current = draftRevs.get(key);
      if (current && (draft.rev < current.rev || (draft.rev === current.rev && draft.text !== current.text))) throw refuse(409, 'draft_stale', 'A newer draft is saved.', { current });
      draftRevs.set(key, structuredClone(draft));
      const h = held.get(draft.session_id);
      if (h) h.session.draft = draft.text !== '';
    },
    async drafts(sessionId) { return [...draftRevs.values()].filter((d) => d.session_id === sessionId); },
    async putBlob(file, name) {
      await wait(300);
      const h = hash(`${name}${file.size}`);
      blobs.set(h, URL.createObjectURL(file));
      return { hash: h, name, bytes: file.size, mime: file.type || 'application/octet-stream' };
    },
    blobUrl: (h) => blobs.get(h) ?? '/favicon.svg',
    async sessions(filter: SessionFilter) {
      await wait();
      const status = filter.status ?? 'active';
      const all = [...held.values()].map((h) => h.session);
      const q = filter.q?.toLowerCase();
      const match = (s: Session) =>
        (status === 'all' || (status === 'empty' ? s.empty : s.status === status && (status !== 'active' || !s.empty))) &&
        (!filter.agent || s.agent === filter.agent) && (!q || s.name.toLowerCase().includes(q) || s.preview.toLowerCase().includes(q));
      const found = all.filter(match).sort((a, b) => Number(b.pinned) - Number(a.pinned) || (b.last_turn_at ?? '').localeCompare(a.last_turn_at ?? ''));
      const at = Number(filter.after ?? 0);
      const limit = filter.limit ?? 100;
      return { sessions: found.slice(at, at + limit).map((s) => ({ ...s })), hidden: all.length - found.length, next: at + limit < found.length ? String(at + limit) : null, counts: counts(), total: found.length, cursor: cursor() };
    },
    async search(q) {
      await wait(30);
      const results = [...held.values()].slice(0, 60).flatMap((h) => h.entries.filter((e) => e.kind === 'message' && e.body?.toLowerCase().includes(q.toLowerCase())).slice(0, 1).map((e) => ({ session: h.session, session_id: h.session.id, seq: e.seq, kind: e.kind, snippet: `… matches \u0002${q}\u0003 in this answer`, at: e.at })));
      return { results: results.slice(0, 20), next: null, indexed_through: new Date(now).toISOString(), complete: true };
    },
    async session(id) { return { ...need(id).session }; },
    async patchSession(id, patch) {
      mayWrite();
      const h = need(id);
      const { seen, name, ...rest } = patch;
      Object.assign(h.session, rest);
      if (seen !== undefined) h.session.unseen = !seen;
      if (name !== undefined) {
        Object.assign(h.session, { name, named_by: 'user' });
        append(h, 'named', { by: 'user', data: { name, named_by: 'user', after: 0 } });
      }
      if (patch.status) append(h, 'status', { by: 'user', data: { status: patch.status } });
      told(h);
      return { ...h.session };
    },
    async entries(id, bounds) {
      await wait(scene === 'huge' ? 25 : 15);
      const h = need(id);
      const limit = bounds.limit ?? 100;
      let list = scene === 'quarantined' && h.session.status === 'quarantined' ? h.entries.slice(0, 13) : h.entries;
      if (bounds.after !== undefined) list = list.filter((e) => e.seq > (bounds.after ?? 0)).slice(0, limit);
      else if (bounds.before !== undefined) list = list.filter((e) => e.seq < (bounds.before ?? 0)).slice(-limit);
      else list = list.slice(-limit);
      const quarantined = h.session.status === 'quarantined';
      return { session: { ...h.session }, entries: structuredClone(list), open_items: structuredClone(h.open), next: (list[0]?.seq ?? 1) > 1 ? String(list[0]?.seq) : null, cursor: cursor(), verified: !quarantined, damage: quarantined ? (findings()[0] ?? null) : null };
    },
    async entryData() { return JSON.stringify(tool('x', 'big', 'execute', {}, { status: 'completed', content: [{ type: 'content', content: { type: 'text', text: TERMINAL.repeat(2000) } }] })); },
    async fork(id, atSeq, windowId) {
      const from = need(id);
      const h = makeSession(uuid(++counter), { ...from.session, id: uuid(counter), name: from.session.name, running: false, turn: null, queue: { count: 0, held: false }, last_turn_at: new Date().toISOString() });
      h.entries = structuredClone(from.entries.filter((e) => e.seq <= atSeq));
      h.session.head = { seq: atSeq, hash: h.entries[h.entries.length - 1]?.hash ?? '' };
      append(h, 'forked', { by: 'user', data: { session_id: id, seq: atSeq, hash: h.session.head.hash } });
      if (windowId) needWindow(windowId).session_id = h.session.id;
      told(h);
      return { ...h.session };
    },
    async purge(id) { held.delete(id); },
    async redact(id, seq) { const e = need(id).entries.find((x) => x.seq === seq); if (e) Object.assign(e, { body: null, salt: null, erased: true }); },
    async send(id, request) {
      await wait(30);
      if (scene === 'offline') throw new Unreachable();
      mayWrite();
      const h = need(id);
      if (h.turnIds.has(request.turn_id)) return { turn_id: request.turn_id, state: 'running', head: h.session.head };
      const key = `${request.window_id}/${id}`;
      draftRevs.set(key, { session_id: id, rev: request.draft_rev, text: '', attachments: [] });
      h.session.draft = false;
      if (h.session.running) {
        h.queue.items.push({ turn_id: request.turn_id, content: request.content, position: h.queue.items.length + 1 });
        queueChanged(h);
        return { turn_id: request.turn_id, state: 'queued', head: h.session.head };
      }
      run(h, textOf(request.content), request.turn_id, params.has('slow'), request.content.filter((b) => b.type === 'blob'));
      return { turn_id: request.turn_id, state: 'running', head: h.session.head };
    },
    async cancel(id) {
      const h = need(id);
      if (h.session.turn) h.session.turn = { ...h.session.turn, state: 'cancelling' };
      told(h);
    },
    async continueTurn(id, _turn, how, newTurn) { run(need(id), how === 'resend' ? 'Now write the test for a truncated tail.' : 'Go on where you stopped.', newTurn); },
    async answerPermission(id, permissionId, optionId) {
      const h = need(id);
      const open = h.open.find((o) => o.kind === 'permission');
      if (!open || !h.session.turn) throw refuse(404, 'not_found', 'That question was answered already.');
      const turn = h.session.turn.id;
      const text = h.open.find((o) => o.kind === 'message');
      if (text) append(h, 'message', { turn, item: text.item, ord: 1, by: 'agent', data: text.data });
      append(h, 'permission', { turn, item: open.item, ord: 2, by: 'user', data: { ...(open.data as object), permission_id: permissionId, outcome: 'selected', option_id: optionId } });
      append(h, 'turn_ended', { turn, by: 'gander', data: { state: 'ended' } });
      Object.assign(h.session, { running: false, turn: null });
      told(h);
    },
    async queue(id) { return structuredClone(need(id).queue); },
    async patchQueue(id, turn, patch) {
      const h = need(id);
      const index = h.queue.items.findIndex((i) => i.turn_id === turn);
      const item = h.queue.items[index];
      if (!item) throw refuse(409, 'turn_started', 'That prompt has started already.');
      if (patch.content) item.content = patch.content;
      if (patch.position !== undefined) {
        h.queue.items.splice(index, 1);
        h.queue.items.splice(patch.position - 1, 0, item);
      }
      h.queue.items.forEach((i, n) => (i.position = n + 1));
      queueChanged(h);
    },
    async deleteQueue(id, turn) {
      const h = need(id);
      h.queue.items = h.queue.items.filter((i) => i.turn_id !== turn);
      queueChanged(h);
    },
    async resumeQueue(id) {
      const h = need(id);
      h.queue.held = false;
      const next = h.session.running ? undefined : h.queue.items.shift();
      queueChanged(h);
      if (next) run(h, textOf(next.content), next.turn_id);
    },
    async findings() { return findings(); },
    async startVerify() { return { id: 'v', kind: 'verify', state: 'running', done: 0, total: held.size, report: null, error: null }; },
    async job() { await wait(300); return { id: 'v', kind: 'verify', state: 'done', done: held.size, total: held.size, report: { ok: true, root: hash('root'), sessions: held.size, entries: 1204, audit: health().audit, findings: findings() }, error: null }; },
    subscribe(given) {
      handlers = given;
      later(10, () => {
        given.connection(scene === 'offline' ? 'reconnecting' : 'live');
        given.change({ type: 'hello', data: { version: '0.1.0', journal: 'fake', cursor: cursor() } });
        given.change({ type: 'status', data: saving.saving ? { saving: true } : { saving: false, reason: 'The disk is full.', safe: 'Everything up to 09:41 is saved and verified. Your text stays in this page.' } });
        if (scene === 'taken') given.change({ type: 'taken', data: { by: 'another tab' } });
      });
      return { attach: () => undefined, focus: () => undefined, retryNow: () => undefined, close: () => (handlers = null) };
    },
  };
}
