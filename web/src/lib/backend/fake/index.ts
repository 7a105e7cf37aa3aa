import { Unreachable, type Backend } from '../backend';
import type { Change, Handover, Installed, Session, SessionFilter, WindowState } from '../types';
import { backupsOf } from './backups';
import { ranUpgrade, TERMINAL } from './content';
import { seed } from './seed';
import { textOf, tool, turnsOf } from './turns';
import { hash, makeWorld, refuse } from './world';

/**
 * The server's behaviour in memory, for building, looking at and testing the UI. `?scene=` chooses what there is.
 * It keeps the server's rules that the UI depends on: revisions, heads, turn ids, one turn at a time.
 */
export function fakeBackend(params: URLSearchParams): Backend & { emit(change: Change): void } {
  const world = makeWorld(params);
  const { agents, append, blobs, counts, cursor, draftRevs, emit, feed, findings, fresh, health, held, later, makeSession, mayWrite, need, needWindow, now, queueChanged, saving, scene, settings, told, wait, windowOf, windows } = world;
  const turns = turnsOf(world);
  const { begin, run } = turns;
  seed(world, turns);
  let upgradeSeen = false;
  const NO_HANDOVER: Handover = { state: 'none', from: '0.1.0', turns: [], drafts: 0, can_cancel: false, safe: '' };
  const INSTALLED: Record<string, Installed> = {
    installed: { state: 'waits', version: '0.2.0', why: null, turns: [...held.values()].filter((h) => h.session.running).length },
    'installed-failed': { state: 'offered', version: '0.2.0', why: 'The upgrade to gander 0.2.0 was rolled back', turns: 0 },
    'installed-older': { state: 'unfit', version: '0.0.9', why: 'The package is 0.0.9, older than 0.1.0, which serves now', turns: 0 },
  };
  let installed = INSTALLED[scene] ?? null;
  let handover: Handover =
    scene === 'handover' || scene === 'frozen'
      ? { state: scene === 'frozen' ? 'frozen' : 'waiting', from: '0.1.0', to: '0.2.0', turns: scene === 'frozen' ? [] : [...held.values()].filter((h) => h.session.running).map((h) => ({ session_id: h.session.id, turn_id: h.session.turn?.id ?? '', name: h.session.name })), drafts: 0, deadline_at: new Date(now + 120_000).toISOString(), can_cancel: scene === 'handover', safe: 'Everything that was acknowledged is saved.' }
      : NO_HANDOVER;

  const addWindow = (session_id: string | null): WindowState => {
    const w: WindowState = { id: fresh('7abc'), ordinal: windows.length + 1, session_id, open: true, attached: false, geometry: null, scroll: null, draft: null };
    windows.push(w);
    return w;
  };

  return {
    emit,
    ...backupsOf(world),
    async health() { await wait(); return health(); },
    async config() { return { ...settings.config }; },
    async patchConfig(patch) { settings.config = { ...settings.config, ...patch }; emit({ type: 'config', data: settings.config }); return { ...settings.config }; },
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
      if (path.startsWith('/home/mira/moved')) throw refuse(404, 'not_found', 'There is no such folder.', { detail: `The folder ${path} cannot be read: No such file or directory.` });
      const parent = path === '/' ? null : path.replace(/\/[^/]*$/, '') || '/';
      return { path, parent, folders: path.split('/').length > 4 ? [] : ['gander', 'importer', 'notes', 'site', 'very-long-folder-name-for-a-project'], home: '/home/mira' };
    },
    async windows() { return windows.map(windowOf); },
    async window(id) { await wait(); return windowOf(needWindow(id)); },
    async openWindow(options) {
      mayWrite();
      return windowOf(addWindow(options.session_id ?? null));
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
      const h = own ?? makeSession(fresh(), { owner_window: id });
      if (!own) begin(h, Date.now());
      Object.assign(h.session, { agent: options.agent ?? settings.config.default_agent, cwd: options.cwd ?? settings.config.default_cwd });
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
    async moveSession(id, sessionId, to) {
      mayWrite();
      await wait();
      const from = needWindow(id);
      if (from.session_id !== sessionId) throw refuse(409, 'wrong_state', 'That window does not show that session any more.');
      const there = to ? needWindow(to) : addWindow(null);
      if (!there.open) throw refuse(409, 'wrong_state', 'That window is closed.');
      const draft = draftRevs.get(`${id}/${sessionId}`);
      const other = draftRevs.get(`${there.id}/${sessionId}`);
      if (draft?.text && !other?.text) {
        draftRevs.set(`${there.id}/${sessionId}`, { ...draft, rev: Math.max(draft.rev, other?.rev ?? 0) + 1 });
        draftRevs.set(`${id}/${sessionId}`, { ...draft, rev: draft.rev + 1, text: '', attachments: [] });
      }
      there.session_id = sessionId;
      there.scroll = from.scroll;
      const chat = makeSession(fresh(), { owner_window: id });
      begin(chat, Date.now());
      Object.assign(from, { session_id: chat.session.id, scroll: null });
      for (const w of [from, there]) emit({ type: 'window', window_id: w.id, data: windowOf(w) });
      return { window: windowOf(there), from: windowOf(from) };
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
      if (patch.cwd && !h.session.empty) append(h, 'moved', { by: 'user', data: { cwd: patch.cwd } });
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
    async commands() {
      return [
        { name: 'help', description: 'List what this agent can do' },
        { name: 'read', description: 'Read a file', hint: 'FILE' },
        { name: 'edit', description: 'Change a file, after asking', hint: 'FILE: OLD => NEW' },
        { name: 'run', description: 'Run a command in the folder, after asking', hint: 'COMMAND' },
        { name: 'review', description: 'Review what changed since the last commit' },
      ];
    },
    async fork(id, atSeq, windowId) {
      const from = need(id);
      const fork = fresh();
      const h = makeSession(fork, { ...from.session, id: fork, running: false, turn: null, queue: { count: 0, held: false }, last_turn_at: new Date().toISOString() });
      h.entries = structuredClone(from.entries.filter((e) => e.seq <= atSeq));
      h.session.head = { seq: atSeq, hash: h.entries[h.entries.length - 1]?.hash ?? '' };
      append(h, 'forked', { by: 'user', data: { session_id: id, seq: atSeq, hash: h.session.head.hash } });
      if (windowId) needWindow(windowId).session_id = h.session.id;
      told(h);
      return { ...h.session };
    },
    async purge(id) {
      const { session } = need(id);
      held.delete(id);
      return { session, agents: [{ agent: 'goose', agent_session_id: '20261122_4', store: '/home/mira/.local/share/goose', erased: false, detail: 'goose keeps its own session 20261122_4. Delete it there: goose session remove.' }] };
    },
    async redact(id, seq) {
      await wait(60);
      const h = need(id);
      const e = h.entries.find((x) => x.seq === seq);
      if (!e || e.erased) throw refuse(409, 'wrong_state', 'That entry holds nothing that can be erased, or was erased before.');
      Object.assign(e, { body: null, salt: null, erased: true });
      append(h, 'redacted', { by: 'user', data: { erased: [{ session_id: id, seq, body_hash: e.body_hash }], why: 'redact' } });
      told(h);
    },
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
    async upgrade() { return { version: '0.1.0', target: 'x86_64-unknown-linux-gnu', versions: ['0.1.0'], can_roll_back: true, current: null, installed, last: scene === 'upgraded' || scene === 'rolled-back' ? { ...ranUpgrade(scene === 'upgraded', now), seen: upgradeSeen } : null }; },
    async upgradeSeen() { upgradeSeen = true; },
    async takeOver(when) { emit({ type: 'installed', data: (installed = installed && { ...installed, state: when === 'now' ? 'taking_over' : 'later' }) }); },
    async handover() { return structuredClone(handover); },
    async cancelHandover() { emit({ type: 'handover', data: (handover = NO_HANDOVER) }); },
    async interruptForHandover() { emit({ type: 'handover', data: (handover = { ...handover, state: 'frozen', turns: [] }) }); },

    async findings() { return findings(); },
    async startRepair(session_id) {
      await wait(500);
      const h = need(session_id);
      h.session.status = 'active';
      later(400, () => told(h));
      return { id: 'r', kind: 'repair', state: 'done', done: 1, total: 1, report: null, error: null, repair: { healed: [{ session_id, snapshot: fresh(), entries: 4, bodies: 0 }], not_healed: [] } };
    },
    async startDrill() { await wait(800); return { id: 'd', kind: 'drill', state: 'done', done: 1204, total: 1204, report: null, error: null, drill: { ok: true, snapshot: fresh(), root: hash('root'), restored_root: hash('root'), sessions: held.size, entries: 1204 } }; },
    async startVerify() { return { id: 'v', kind: 'verify', state: 'running', done: 0, total: held.size, report: null, error: null }; },
    async job() { await wait(300); return { id: 'v', kind: 'verify', state: 'done', done: held.size, total: held.size, report: { ok: true, root: hash('root'), sessions: held.size, entries: 1204, audit: health().audit, findings: findings() }, error: null }; },
    subscribe(given) {
      feed.handlers = given;
      later(10, () => {
        given.connection(scene === 'offline' ? 'reconnecting' : 'live');
        given.change({ type: 'hello', data: { version: '0.1.0', journal: 'fake', cursor: cursor() } });
        given.change({ type: 'status', data: saving.saving ? { saving: true } : { saving: false, reason: 'The disk is full.', safe: 'Everything up to 09:41 is saved and verified. Your text stays in this page.' } });
        if (scene === 'taken') given.change({ type: 'taken', data: { by: 'another tab' } });
      });
      return { attach: () => undefined, focus: () => undefined, retryNow: () => undefined, close: () => (feed.handlers = null) };
    },
  };
}