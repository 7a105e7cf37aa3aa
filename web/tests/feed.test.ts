import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { openFeed } from '../src/lib/backend/feed';
import type { Change } from '../src/lib/backend/types';

/** The browser's end of a WebSocket, driven by the test. */
class Socket {
  static all: Socket[] = [];
  static readonly OPEN = 1;
  readyState = 0;
  readonly sent: string[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: (() => void) | null = null;
  readonly url: URL;
  constructor(url: URL | string) {
    this.url = new URL(url);
    Socket.all.push(this);
  }
  send(text: string) {
    this.sent.push(text);
  }
  close() {
    this.readyState = 3;
    this.onclose?.();
  }
  open(...messages: unknown[]) {
    this.readyState = 1;
    this.onopen?.();
    for (const message of messages) this.onmessage?.({ data: JSON.stringify(message) });
  }
  say(message: unknown) {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
}

const hello = { type: 'hello', data: { version: '0', journal: 'j', cursor: 'j.5' } };
const last = () => Socket.all[Socket.all.length - 1] as Socket;

function feed(after?: string) {
  const seen: Change[] = [];
  const states: string[] = [];
  let resets = 0;
  const opened = openFeed({ change: (c) => seen.push(c), connection: (s) => states.push(s), reset: () => (resets += 1) }, '/api/v1/changes', after);
  return { opened, seen, states, resets: () => resets };
}

beforeEach(() => {
  vi.useFakeTimers();
  Socket.all = [];
  vi.stubGlobal('WebSocket', Socket);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe('the change feed', () => {
  test('it begins after what was read, and goes on after what it saw last', async () => {
    const { opened, seen } = feed('j.3');
    expect(last().url.searchParams.get('after')).toBe('j.3');
    last().open(hello, [{ cursor: 'j.4', type: 'entry' }, { cursor: 'j.5', type: 'session' }]);
    expect(seen.map((c) => c.type)).toEqual(['hello', 'entry', 'session']);
    last().close();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(Socket.all).toHaveLength(2);
    expect(last().url.searchParams.get('after')).toBe('j.5');
    opened.close();
  });

  test('without a cursor it takes the one that the server greets with', async () => {
    const { opened } = feed();
    last().open(hello);
    last().close();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(last().url.searchParams.get('after')).toBe('j.5');
    opened.close();
  });

  test('a cursor that cannot be served means: read everything again, and not that cursor again', async () => {
    const { opened, resets } = feed('old.1');
    last().open({ type: 'reset' }, hello);
    expect(resets()).toBe(1);
    last().close();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(last().url.searchParams.get('after')).toBe('j.5');
    opened.close();
  });

  test('it says that it reconnects, and attaches its window again', async () => {
    const { opened, states } = feed();
    opened.attach('w', 'tab');
    last().open(hello);
    expect(last().sent).toEqual([JSON.stringify({ type: 'attach', window_id: 'w', tab: 'tab' })]);
    last().close();
    await vi.advanceTimersByTimeAsync(10_000);
    last().open(hello);
    expect(last().sent).toHaveLength(1);
    expect(states).toEqual(['connecting', 'live', 'reconnecting', 'live']);
    opened.close();
  });

  test('a connection that has gone silent is given up', async () => {
    const { opened } = feed();
    last().open(hello);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(Socket.all.length).toBeGreaterThan(1);
    opened.close();
  });

  test('a closed feed stays closed', async () => {
    const { opened } = feed();
    last().open(hello);
    opened.close();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(Socket.all).toHaveLength(1);
  });
});
