import { describe, expect, test } from 'vitest';
import type { Entry, OpenItem } from '../src/lib/backend/types';
import { LiveItem } from '../src/lib/conversation/live.svelte';
import { contentOf, rowsOf } from '../src/lib/conversation/rows';

function entry(seq: number, kind: string, body: Record<string, unknown> | null): Entry {
  return { session_id: 's', seq, at: '2026-01-01T00:00:00.000Z', kind, body: body && JSON.stringify({ v: 1, ...body }), salt: '', body_hash: `b${seq}`, hash: `h${seq}`, erased: body === null };
}
const chunk = (text: string, tag = 'agent_message_chunk') => [{ sessionUpdate: tag, content: { type: 'text', text } }];
const image = (data: string) => ({ sessionUpdate: 'agent_message_chunk', content: { type: 'image', data, mimeType: 'image/png' } });

describe('what was found in the agent’s own store', () => {
  test('stands before the prompt at which it was found, prompt and answer together', () => {
    const rows = rowsOf(
      [
        entry(1, 'prompt', { turn: 'a', data: { content: [{ type: 'text', text: 'one' }] } }),
        entry(2, 'turn_ended', { turn: 'a', data: { state: 'ended' } }),
        entry(3, 'prompt', { turn: 'b', data: { content: [{ type: 'text', text: 'two' }] } }),
        entry(4, 'prompt', { item: 'x', ord: 0, elsewhere: true, data: chunk('elsewhere', 'user_message_chunk') }),
        entry(5, 'message', { item: 'y', ord: 1, elsewhere: true, data: chunk('said elsewhere') }),
        entry(6, 'message', { turn: 'b', item: 'z', ord: 0, data: chunk('here') }),
      ],
      [],
    );
    expect(rows.map((row) => ('pieces' in row ? row.pieces.map((p) => p.seq) : row.piece.seq))).toEqual([1, 2, [4, 5], 3, 6]);
    const found = rows.find((row) => row.type === 'elsewhere');
    expect(found?.type === 'elsewhere' && contentOf(found.pieces[0]?.body ?? null)).toEqual([{ type: 'text', text: 'elsewhere' }]);
  });
});

test('an erased entry keeps its place among the items of its turn', () => {
  const rows = rowsOf(
    [
      entry(1, 'prompt', { turn: 'a', data: { content: [] } }),
      entry(2, 'message', { turn: 'a', item: 'i', ord: 0, data: chunk('first') }),
      entry(3, 'message', null),
      entry(4, 'message', { turn: 'a', item: 'k', ord: 2, data: chunk('third') }),
    ],
    [],
  );
  expect(rows.map((row) => 'piece' in row && row.piece.seq)).toEqual([1, 2, 3, 4]);
});

describe('an image in an answer that is still being written', () => {
  const open: OpenItem = { item: 'i', ord: 0, kind: 'message', turn: 't', at: '', data: [...chunk('Look: '), image('AAAA')], bytes: 6 };
  const grown = (from: number, text: string, updates?: unknown[]) => ({ item: 'i', ord: 0, kind: 'message', turn: 't', from, text, updates });

  test('is shown at once, and once however often it is told', () => {
    const live = LiveItem.of(open);
    expect(live.blocks).toHaveLength(1);
    expect(live.grow(grown(6, '', [image('AAAA')]))).toBe(true);
    expect(live.grow(grown(6, '', [image('BBBB')]))).toBe(true);
    expect(live.grow(grown(6, 'and'))).toBe(true);
    expect(live.blocks.map((block) => 'data' in block && block.data)).toEqual(['AAAA', 'BBBB']);
    expect(live.text).toBe('Look: and');
  });

  test('that is too large to be told does not make the page read everything again and again', () => {
    const live = LiveItem.of({ ...open, data: chunk('Look: ') });
    expect(live.grow({ item: 'i', ord: 0, kind: 'message', turn: 't', from: 6, large: 900_000 })).toBe(true);
    expect(live.grow(grown(6, 'and so on'))).toBe(true);
    expect(live.large).toBe(900_000);
    expect(live.text).toBe('Look: and so on');
  });
});
