import type { ContentBlock } from '../types';
import { ANSWER, NEW_CODE, OLD_CODE, PREVIEWS, SHORT, TERMINAL } from './content';
import { bytes, type Held, type World } from './world';

export const chunk = (text: string, sessionUpdate = 'agent_message_chunk') => [{ sessionUpdate, content: { type: 'text', text } }];
export const tool = (id: string, title: string, kind: string, more: Record<string, unknown> = {}, end: Record<string, unknown> = { status: 'completed' }) => [
  { sessionUpdate: 'tool_call', toolCallId: id, title, kind, status: 'pending', ...more },
  { sessionUpdate: 'tool_call_update', toolCallId: id, ...end },
];
export const OPTIONS = [
  { optionId: 'allow', name: 'Allow once', kind: 'allow_once' },
  { optionId: 'always', name: 'Always allow `rm` in this session', kind: 'allow_always' },
  { optionId: 'reject', name: 'Reject', kind: 'reject_once' },
];

export const textOf = (content: ContentBlock[]) => content.map((b) => (b.type === 'text' && 'text' in b ? String(b.text) : '')).join('\n').trim();

export type Turns = ReturnType<typeof turnsOf>;

/** Turns as an agent would run them: recorded ones, and one that streams while somebody looks. */
export function turnsOf(world: World) {
  const { append, emit, fresh, later, queueChanged, told } = world;

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
    const turn = fresh();
    let ord = 0;
    const put = (kind: string, data: unknown, sec: number, more: Record<string, unknown> = {}) =>
      append(h, kind, { turn, item: fresh(), ord: ++ord, by: 'agent', data, ...more }, at + sec * 1000, true);
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
    put('permission', { permission_id: fresh(), tool_call: { toolCallId: 'a5', title: 'cargo nextest run -p gander-journal', kind: 'execute' }, options: OPTIONS, outcome: 'selected', option_id: 'allow' }, 75);
    put('tool_call', tool('a5', 'cargo nextest run -p gander-journal', 'execute', { rawInput: { command: 'cargo nextest run -p gander-journal' } }, { status: 'failed', content: [{ type: 'content', content: { type: 'text', text: TERMINAL } }] }), 82);
    put('message', chunk(ANSWER), 95);
    append(h, 'turn_ended', { turn, by: 'gander', data: { state: 'ended', stop_reason: 'end_turn', usage: { inputTokens: 12840, outputTokens: 902 } } }, at + 96_000, true);
    const second = fresh();
    prompt(h, 'Good. Fix the orphan count too, then run the tests again.', second, at + 300_000);
    append(h, 'tool_call', { turn: second, item: fresh(), ord: 1, by: 'agent', data: tool('b1', 'Edit src/audit.rs', 'edit', { locations: [{ path: `${h.session.cwd}/src/audit.rs` }] }, { status: 'completed', content: [{ type: 'diff', path: `${h.session.cwd}/src/audit.rs`, oldText: 'let on_disk = rows.len();\n', newText: 'let on_disk = rows.iter().filter(|row| row.witnessed).count();\n' }] }) }, at + 303_000, true);
    append(h, 'message', { turn: second, item: fresh(), ord: 2, by: 'agent', data: chunk(SHORT) }, at + 310_000, true);
    append(h, 'turn_ended', { turn: second, by: 'gander', data: { state: 'ended', stop_reason: 'end_turn' } }, at + 311_000, true);
    h.session.last_turn_at = new Date(at + 311_000).toISOString();
  }

  function quick(h: Held, at: number, text = PREVIEWS[0] ?? '') {
    begin(h, at);
    const turn = fresh();
    prompt(h, `${h.session.name}?`, turn, at);
    append(h, 'message', { turn, item: fresh(), ord: 1, by: 'agent', data: chunk(text) }, at + 4000, true);
    append(h, 'turn_ended', { turn, by: 'gander', data: { state: 'ended', stop_reason: 'end_turn' } }, at + 5000, true);
  }

  function askPermission(h: Held, turn: string) {
    prompt(h, 'Clean the build folder and start over.', turn, Date.now());
    const item = fresh();
    const permission = fresh();
    const call = { toolCallId: 'p1', title: 'rm -rf build/ target/debug/incremental', kind: 'execute', rawInput: { command: 'rm -rf build/ target/debug/incremental', cwd: h.session.cwd } };
    h.open.push({ item: fresh(), ord: 1, kind: 'message', turn, at: new Date().toISOString(), data: chunk('I would remove both folders. That cannot be undone, so please confirm.'), bytes: 70 });
    h.open.push({ item, ord: 2, kind: 'permission', turn, at: new Date().toISOString(), data: { permission_id: permission, tool_call: call, options: OPTIONS }, bytes: 10 });
    Object.assign(h.session, { running: true, turn: { id: turn, state: 'running', permissions: [{ id: permission, item, options: OPTIONS }] } });
  }

  function run(h: Held, text: string, turn: string, slow = false, extra: ContentBlock[] = []) {
    h.turnIds.add(turn);
    append(h, 'prompt', { turn, by: 'user', data: { content: [{ type: 'text', text }, ...extra] } });
    Object.assign(h.session, { running: true, empty: false, interrupted: null, last_turn_at: new Date().toISOString(), turn: { id: turn, state: 'running', permissions: [] } });
    if (!h.session.name) Object.assign(h.session, { name: text.slice(0, 60), named_by: 'auto' });
    told(h);
    const item = fresh();
    const callItem = fresh();
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

  return { begin, prompt, showcase, quick, askPermission, run };
}
