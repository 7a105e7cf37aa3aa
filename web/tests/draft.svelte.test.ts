import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { BackendError, Unreachable, type Backend } from '../src/lib/backend/backend';
import type { Draft } from '../src/lib/backend/types';
import { DraftKeeper, type Shelf } from '../src/lib/composer/draft.svelte';

class MemoryShelf implements Shelf {
  readonly kept = new Map<string, string>();
  getItem = (key: string) => this.kept.get(key) ?? null;
  setItem = (key: string, value: string) => void this.kept.set(key, value);
  removeItem = (key: string) => void this.kept.delete(key);
}

/** A server that keeps one draft by its rules. */
function server(start: Draft | null = null) {
  const state = { current: start, saves: [] as Draft[], fail: null as null | (() => Error) };
  const saveDraft = async (_window: string, draft: Draft) => {
    if (state.fail) throw state.fail();
    const { current } = state;
    if (current && (draft.rev < current.rev || (draft.rev === current.rev && draft.text !== current.text))) {
      throw new BackendError({ status: 409, code: 'draft_stale', title: 'stale', current });
    }
    state.current = draft;
    state.saves.push(draft);
  };
  return { state, backend: { saveDraft } as unknown as Backend };
}

const draft = (rev: number, text: string): Draft => ({ session_id: 's', rev, text, attachments: [] });
const KEY = 'gander.draft.w.s';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('g05 a draft is saved within 250 ms of the keyboard', () => {
  test('steady typing does not put the save off', async () => {
    const { state, backend } = server();
    const keeper = new DraftKeeper(backend, new MemoryShelf(), 'w', 's', null);
    for (let typed = 1; typed <= 10; typed++) {
      keeper.type('x'.repeat(typed));
      await vi.advanceTimersByTimeAsync(50);
    }
    // Ten keys over 500 ms, never a pause: without a maximum wait there would be no save at all.
    expect(state.saves.length).toBeGreaterThanOrEqual(2);
  });

  test('what is not acknowledged is marked, and kept in the browser until it is', async () => {
    const { state, backend } = server();
    const shelf = new MemoryShelf();
    const keeper = new DraftKeeper(backend, shelf, 'w', 's', null);
    keeper.type('half a thought');
    expect(keeper.state).toBe('unsaved');
    expect(shelf.getItem(KEY)).toContain('half a thought');
    await vi.advanceTimersByTimeAsync(250);
    expect(state.current?.text).toBe('half a thought');
    expect(keeper.state).toBe('saved');
    expect(shelf.getItem(KEY)).toBeNull();
  });

  test('a page that died before the save brings its text back', async () => {
    const { state, backend } = server(draft(3, 'saved'));
    const shelf = new MemoryShelf();
    shelf.setItem(KEY, JSON.stringify({ base: 3, text: 'saved and then some', attachments: [] }));
    const keeper = new DraftKeeper(backend, shelf, 'w', 's', draft(3, 'saved'));
    expect(keeper.text).toBe('saved and then some');
    expect(keeper.conflict).toBeNull();
    await vi.advanceTimersByTimeAsync(250);
    expect(state.current).toMatchObject({ rev: 4, text: 'saved and then some' });
  });

  test('what is typed while it is being saved is saved too, though the window goes on to another session', async () => {
    const { state, backend } = server();
    const slow = { saveDraft: async (window: string, sent: Draft) => {
      await new Promise((go) => setTimeout(go, 100));
      await backend.saveDraft(window, sent);
    } } as unknown as Backend;
    const shelf = new MemoryShelf();
    const keeper = new DraftKeeper(slow, shelf, 'w', 's', null);
    keeper.type('half');
    await vi.advanceTimersByTimeAsync(120);
    keeper.type('half a thought');
    keeper.close();
    await vi.advanceTimersByTimeAsync(500);
    expect(state.current?.text).toBe('half a thought');
    expect(shelf.getItem(KEY)).toBeNull();
  });

  test('what is attached after the window went on is saved for its own session', async () => {
    const { state, backend } = server(draft(1, 'look at this'));
    const keeper = new DraftKeeper(backend, new MemoryShelf(), 'w', 's', draft(1, 'look at this'));
    keeper.close();
    keeper.attach({ hash: 'h', name: 'large.mov', mime: 'video/quicktime', bytes: 9 });
    await vi.advanceTimersByTimeAsync(500);
    expect(state.current).toMatchObject({ text: 'look at this', attachments: [{ hash: 'h' }] });
    expect(keeper.state).toBe('saved');
  });

  test('an unreachable server is tried again until it takes the text', async () => {
    const { state, backend } = server();
    state.fail = () => new Unreachable();
    const keeper = new DraftKeeper(backend, new MemoryShelf(), 'w', 's', null);
    keeper.type('kept');
    await vi.advanceTimersByTimeAsync(300);
    expect(keeper.state).toBe('failing');
    state.fail = null;
    await vi.advanceTimersByTimeAsync(6000);
    expect(state.current?.text).toBe('kept');
    expect(keeper.state).toBe('saved');
  });
});

describe('two texts for one draft', () => {
  test('a stale save keeps both until the reader chooses', async () => {
    const { state, backend } = server(draft(9, 'theirs'));
    const keeper = new DraftKeeper(backend, new MemoryShelf(), 'w', 's', draft(2, 'old'));
    keeper.type('mine');
    await vi.advanceTimersByTimeAsync(250);
    expect(keeper.conflict?.text).toBe('theirs');
    expect(keeper.text).toBe('mine');
    expect(state.current?.text).toBe('theirs');
    keeper.resolve('both');
    await vi.advanceTimersByTimeAsync(250);
    expect(state.current).toMatchObject({ rev: 10, text: 'theirs\n\nmine' });
  });

  test('typing during a conflict overwrites nothing at the server', async () => {
    const { state, backend } = server(draft(9, 'theirs'));
    const keeper = new DraftKeeper(backend, new MemoryShelf(), 'w', 's', draft(2, 'old'));
    keeper.type('mine');
    await vi.advanceTimersByTimeAsync(250);
    keeper.type('mine, longer');
    await vi.advanceTimersByTimeAsync(2000);
    expect(state.current?.text).toBe('theirs');
    expect(await keeper.flush()).toBe(false);
  });

  test('local text from before a newer saved draft is a conflict, not a loss', () => {
    const shelf = new MemoryShelf();
    shelf.setItem(KEY, JSON.stringify({ base: 3, text: 'local', attachments: [] }));
    const keeper = new DraftKeeper(server().backend, shelf, 'w', 's', draft(5, 'newer'));
    expect(keeper.text).toBe('local');
    expect(keeper.conflict?.text).toBe('newer');
  });

  test('an idle page follows what another tab saved; a typing one does not', async () => {
    const { backend } = server();
    const keeper = new DraftKeeper(backend, new MemoryShelf(), 'w', 's', draft(1, 'a'));
    keeper.changed(draft(2, 'b'));
    expect(keeper.text).toBe('b');
    keeper.type('b and mine');
    keeper.changed(draft(1, 'late echo'));
    expect(keeper.text).toBe('b and mine');
  });
});

describe('g09 from draft to message', () => {
  test('after a send the revision stays as a floor, and what was typed since stays', async () => {
    const { state, backend } = server();
    const keeper = new DraftKeeper(backend, new MemoryShelf(), 'w', 's', draft(4, ''));
    keeper.type('send me');
    expect(await keeper.flush()).toBe(true);
    const { rev } = keeper;
    keeper.type('send me and');
    keeper.sent(rev, 'send me');
    expect(keeper.text).toBe('send me and');
    await vi.advanceTimersByTimeAsync(250);
    expect(state.current?.rev).toBeGreaterThan(rev);
  });

  test('the text leaves the composer only when it was sent', async () => {
    const { backend } = server();
    const keeper = new DraftKeeper(backend, new MemoryShelf(), 'w', 's', null);
    keeper.type('send me');
    await keeper.flush();
    expect(keeper.text).toBe('send me');
    keeper.sent(keeper.rev, 'send me');
    expect(keeper.text).toBe('');
    expect(keeper.state).toBe('saved');
  });
});
