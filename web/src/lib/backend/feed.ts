import type { Connection, Feed, FeedHandlers } from './backend';
import type { Change } from './types';

const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 5_000;
/** The server pings; a connection that says nothing for this long is taken for dead. */
const SILENCE_MS = 45_000;

/**
 * The change feed over a WebSocket. It resumes after the last cursor that was handled, so nothing is missed across a
 * reconnect or a restart of the server; where the server cannot serve that cursor it says `reset` and everything is read again.
 */
export function openFeed(handlers: FeedHandlers, path: string, after?: string): Feed {
  let socket: WebSocket | null = null;
  let cursor: string | null = after ?? null;
  let attached: { window_id: string; tab: string } | null = null;
  let retries = 0;
  let retryTimer: ReturnType<typeof setTimeout> | undefined;
  let silenceTimer: ReturnType<typeof setTimeout> | undefined;
  let closed = false;

  const tell = (state: Connection) => handlers.connection(state);

  function connect() {
    clearTimeout(retryTimer);
    if (closed) return;
    const url = new URL(path, location.href);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    if (cursor !== null) url.searchParams.set('after', cursor);
    const opened = new WebSocket(url);
    socket = opened;
    opened.onopen = () => {
      if (attached) opened.send(JSON.stringify({ type: 'attach', ...attached }));
      listen(opened);
    };
    opened.onmessage = (event) => {
      listen(opened);
      receive(event.data);
    };
    opened.onclose = () => {
      if (socket !== opened) return;
      socket = null;
      clearTimeout(silenceTimer);
      later();
    };
  }

  function listen(current: WebSocket) {
    clearTimeout(silenceTimer);
    silenceTimer = setTimeout(() => current.close(), SILENCE_MS);
  }

  function later() {
    if (closed) return;
    tell('reconnecting');
    const bound = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** retries);
    retries += 1;
    // Spread: thirty tabs of one browser come back at different moments.
    retryTimer = setTimeout(connect, bound / 2 + Math.random() * (bound / 2));
  }

  function receive(raw: unknown) {
    let parsed: unknown;
    try {
      parsed = JSON.parse(String(raw));
    } catch {
      return;
    }
    for (const change of (Array.isArray(parsed) ? parsed : [parsed]) as Change[]) {
      if (change.type === 'hello') {
        retries = 0;
        tell('live');
        const hello = change.data as { cursor?: string } | undefined;
        if (cursor === null) cursor = hello?.cursor ?? change.cursor ?? null;
      } else if (change.type === 'reset') {
        const data = change.data as { cursor?: string } | undefined;
        cursor = change.cursor ?? data?.cursor ?? null;
        handlers.reset();
        continue;
      }
      // Another tab has this window now: attaching again by itself would take it back.
      if (change.type === 'taken') attached = null;
      handlers.change(change);
      if (change.cursor && change.type !== 'hello') cursor = change.cursor;
    }
  }

  const wake = () => {
    if (document.visibilityState === 'visible' && !socket) {
      retries = 0;
      connect();
    }
  };
  document.addEventListener('visibilitychange', wake);
  addEventListener('online', wake);

  tell('connecting');
  connect();

  return {
    attach(window_id, tab) {
      attached = { window_id, tab };
      if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type: 'attach', ...attached }));
    },
    focus() {
      if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type: 'focus' }));
    },
    retryNow() {
      retries = 0;
      if (!socket) connect();
    },
    close() {
      closed = true;
      clearTimeout(retryTimer);
      clearTimeout(silenceTimer);
      document.removeEventListener('visibilitychange', wake);
      removeEventListener('online', wake);
      socket?.close();
    },
  };
}
