import { describe, expect, test } from 'vitest';
import type { Backend } from '../src/lib/backend/backend';
import type { Change, Entry, EntryPage, OpenItem, Session } from '../src/lib/backend/types';
import { Conversation } from '../src/lib/conversation/conversation.svelte';
import { LiveItem } from '../src/lib/conversation/live.svelte';
import { rowsOf } from '../src/lib/conversation/rows';

const SESSION = { id: 's', head: { seq: 0, hash: '' }, queue: { count: 0, held: false } } as Session;

function entry(seq: number, kind: string, body: Record<string, unknown> = {}): Entry {
  return { session_id: 's', seq, at: '2026-01-01T00:00:00.000Z', kind, body: JSON.stringify({ v: 1, ...body }), salt: '', body_hash: '', hash: `h${seq}`, erased: false };
}
const chunk = (text: string) => [{ sessionUpdate: 'agent_message_chunk', content: { type: 'text', text } }];
const message = (seq: number, item: string, text: string, ord = seq, turn = 't') => entry(seq, 'message', { turn, item, ord, data: chunk(text) });
const open = (item: string, text: string, ord = 1): OpenItem => ({ item, ord, kind: 'message', turn: 't', at: '', data: chunk(text), bytes: 0 });

/** A server that holds `all` and gives pages of it; `reads` counts them. */
function server(all: Entry[], items: OpenItem[] = []) {
  const state = { all, items, reads: 0, hold: null as null | Promise<void> };
  const entries = async (_id: string, bounds: { before?: number; after?: number; limit?: number }): Promise<EntryPage> => {
    state.reads += 1;
    const { before, after, limit = 200 } = bounds;
    let list = state.all;
    if (after !== undefined) list = list.filter((e) => e.seq > after).slice(0, limit);
    else list = list.filter((e) => before === undefined || e.seq < before).slice(-limit);
    const page = { session: SESSION, entries: [...list], open_items: [...state.items], next: (list[0]?.seq ?? 1) > 1 ? 'more' : null, cursor: 'c', verified: true };
    await state.hold;
    return page;
  };
  return { state, backend: { entries, queue: async () => ({ items: [], held: false }) } as unknown as Backend };
}

const grown = (item: string, from: number, text: string): Change => ({ type: 'open_item', session_id: 's', data: { item, ord: 1, kind: 'message', turn: 't', from, text } });
const landed = (e: Entry): Change => ({ type: 'entry', session_id: 's', data: e });
const texts = (c: Conversation) => c.live.map((item) => item.text);
const seqs = (c: Conversation) => c.entries.map((e) => e.seq);

describe('changes and pages meet without gaps or doubles', () => {
  test('a change that the page already held does nothing', async () => {
    const { backend } = server([entry(1, 'prompt', { turn: 't' })], [open('i', 'Hello wor')]);
    const c = new Conversation(backend, 's');
    await c.load();
    c.apply(grown('i', 0, 'Hello '));
    c.apply(grown('i', 6, 'world'));
    c.apply(landed(entry(1, 'prompt', { turn: 't' })));
    expect(texts(c)).toEqual(['Hello world']);
    expect(seqs(c)).toEqual([1]);
  });

  test('offsets count bytes, not characters', async () => {
    const { backend } = server([entry(1, 'prompt', { turn: 't' })], [open('i', 'grüß')]);
    const c = new Conversation(backend, 's');
    await c.load();
    c.apply(grown('i', 4, 'ß dich'));
    expect(texts(c)).toEqual(['grüß dich']);
  });

  test('a gap reads the session again', async () => {
    const { state, backend } = server([entry(1, 'prompt', { turn: 't' })], [open('i', 'Hello')]);
    const c = new Conversation(backend, 's');
    await c.load();
    state.items = [open('i', 'Hello there, world')];
    c.apply(grown('i', 12, ' world'));
    await expect.poll(() => texts(c)).toEqual(['Hello there, world']);
    expect(state.reads).toBe(2);
  });

  test('an entry closes its open item, and one after a gap reads again', async () => {
    const { state, backend } = server([entry(1, 'prompt', { turn: 't' })], [open('i', 'Hello')]);
    const c = new Conversation(backend, 's');
    await c.load();
    c.apply(landed(message(2, 'i', 'Hello')));
    expect(texts(c)).toEqual([]);
    expect(seqs(c)).toEqual([1, 2]);
    state.all = [...state.all, message(2, 'i', 'Hello'), entry(3, 'turn_ended', { turn: 't' }), entry(4, 'prompt', { turn: 'u' })];
    state.items = [];
    c.apply(landed(entry(4, 'prompt', { turn: 'u' })));
    await expect.poll(() => seqs(c)).toEqual([1, 2, 3, 4]);
  });

  test('changes that come while a page is on its way are applied after it', async () => {
    const { state, backend } = server([entry(1, 'prompt', { turn: 't' })]);
    let release: () => void = () => undefined;
    state.hold = new Promise((done) => (release = done));
    const c = new Conversation(backend, 's');
    const loading = c.load();
    c.apply(landed(message(2, 'i', 'Hello')));
    c.apply(landed(entry(3, 'turn_ended', { turn: 't' })));
    release();
    await loading;
    expect(seqs(c)).toEqual([1, 2, 3]);
  });

  test('a late part of an item whose entry is here does not open it again', async () => {
    const { backend } = server([entry(1, 'prompt', { turn: 't' }), message(2, 'i', 'Hello')]);
    const c = new Conversation(backend, 's');
    await c.load();
    c.apply(grown('i', 0, 'Hello'));
    expect(texts(c)).toEqual([]);
  });

  test('33,000 entries come from the tail, page by page, each once', async () => {
    const all = Array.from({ length: 33_000 }, (_, n) => entry(n + 1, n % 2 ? 'turn_ended' : 'prompt', { turn: `t${Math.floor(n / 2)}` }));
    const { backend } = server(all);
    const c = new Conversation(backend, 's');
    await c.load();
    expect(seqs(c)[0]).toBe(32_801);
    while (!c.atStart) await c.older();
    expect(seqs(c)).toEqual(all.map((e) => e.seq));
  });

  test('the head is the last entry that is shown', async () => {
    const { backend } = server([entry(1, 'prompt', { turn: 't' })]);
    const c = new Conversation(backend, 's');
    await c.load();
    c.apply(landed(entry(2, 'turn_ended', { turn: 't' })));
    expect(c.head).toEqual({ seq: 2, hash: 'h2' });
  });
});

describe('rows', () => {
  const kinds = (rows: ReturnType<typeof rowsOf>) => rows.map((row) => (row.type === 'piece' ? row.piece.kind : row.type === 'tools' ? `tools ${row.pieces.length}` : row.type));
  const call = (seq: number, item: string, ord: number) => entry(seq, 'tool_call', { turn: 't', item, ord, data: [{ sessionUpdate: 'tool_call', toolCallId: item }] });

  test('within a turn, what arrived first stands first, however late it ended', () => {
    const entries = [entry(1, 'prompt', { turn: 't' }), message(2, 'm1', 'a', 1), message(3, 'm2', 'b', 3), call(4, 'c', 2), entry(5, 'turn_ended', { turn: 't' })];
    expect(kinds(rowsOf(entries, []))).toEqual(['prompt', 'message', 'tools 1', 'message', 'turn_end']);
  });

  test('neighbouring tool calls make one row, also with one that still runs', () => {
    const live = new LiveItem({ item: 'c3', kind: 'tool_call', ord: 3, turn: 't', at: '' });
    expect(kinds(rowsOf([entry(1, 'prompt', { turn: 't' }), call(2, 'c1', 1), call(3, 'c2', 2)], [live]))).toEqual(['prompt', 'tools 3']);
  });

  test('a row keeps its key when its open item becomes an entry', () => {
    const live = new LiveItem({ item: 'm', kind: 'message', ord: 1, turn: 't', at: '' });
    const before = rowsOf([entry(1, 'prompt', { turn: 't' })], [live]).map((r) => r.key);
    const after = rowsOf([entry(1, 'prompt', { turn: 't' }), message(2, 'm', 'x', 1)], []).map((r) => r.key);
    expect(after).toEqual(before);
  });

  test('a kind that this version does not know is shown, not hidden', () => {
    expect(kinds(rowsOf([entry(1, 'prompt', { turn: 't' }), entry(2, 'hologram')], []))).toEqual(['prompt', 'hologram']);
  });
});

describe('a tool call that grows', () => {
  const output = (text: string) => ({ sessionUpdate: '_gander_terminal_chunk', terminalId: 'x', content: { type: 'text', text } });
  const told = (from: number, ...updates: unknown[]): Change => ({ type: 'open_item', session_id: 's', data: { item: 'c', ord: 1, kind: 'tool_call', turn: 't', from, updates } });

  test('what came joined counts as many updates as the server says', async () => {
    // Three updates, of which two neighbours were joined into one.
    const joined: OpenItem = { item: 'c', ord: 1, kind: 'tool_call', turn: 't', at: '', data: [{ sessionUpdate: 'tool_call', title: 'make' }, output('ab')], bytes: 3 };
    const { state, backend } = server([entry(1, 'prompt', { turn: 't' })], [joined]);
    const c = new Conversation(backend, 's');
    await c.load();
    c.apply(told(2, output('b'), output('c')));
    expect(c.live[0]?.call.terminals.get('x')?.text).toBe('abc');
    expect(c.live[0]?.call.title).toBe('make');
    expect(state.reads).toBe(1);
  });

  test('a question is there with the change that brings it', async () => {
    const { backend } = server([entry(1, 'prompt', { turn: 't' })]);
    const c = new Conversation(backend, 's');
    await c.load();
    c.apply({ type: 'open_item', session_id: 's', data: { item: 'p', ord: 2, kind: 'permission', turn: 't', from: 0, updates: [{ permission_id: 'q', tool_call: {}, options: [] }] } });
    expect(c.live[0]?.data).toMatchObject({ permission_id: 'q' });
  });
});
