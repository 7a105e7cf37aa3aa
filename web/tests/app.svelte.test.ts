import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { BackendError, Unreachable, type Backend } from '../src/lib/backend/backend';
import { fakeBackend } from '../src/lib/backend/fake';
import type { Change, Finding, SendRequest, WindowState } from '../src/lib/backend/types';
import { commands } from '../src/lib/keys/commands';
import { SessionList } from '../src/lib/sidebar/sessions.svelte';
import { App } from '../src/lib/state/app.svelte';

const WINDOW = '11111111-1111-7111-8111-111111111111';
const OTHER = '22222222-2222-7222-8222-222222222222';

async function started(scene: string, change: (backend: Backend) => Partial<Backend> = () => ({})) {
  const fake = fakeBackend(new URLSearchParams({ scene }));
  const backend = Object.assign({}, fake, change(fake)) as Backend;
  const app = new App(backend, WINDOW);
  await app.start();
  await expect.poll(() => app.conversation?.phase).toBe('ready');
  return app;
}

/** What the server says to a window, as far as the window can tell. */
const tell = (app: App, change: Change) => (app.backend as ReturnType<typeof fakeBackend>).emit(change);

beforeEach(() => localStorage.clear());
afterEach(() => localStorage.clear());

test('what could not be read while nobody served is read when somebody does again', async () => {
  let gone = true;
  const told: ((state: 'live' | 'reconnecting') => void)[] = [];
  const fake = fakeBackend(new URLSearchParams({ scene: 'default' }));
  const reach = <T>(ask: () => Promise<T>) => (gone ? Promise.reject<T>(new Unreachable()) : ask());
  const app = new App(
    {
      ...fake,
      sessions: (filter) => reach(() => fake.sessions(filter)),
      entries: (id, query) => reach(() => fake.entries(id, query)),
      subscribe: (given, cursor) => {
        told.push(given.connection);
        return fake.subscribe({ ...given, connection: () => undefined }, cursor);
      },
    },
    WINDOW,
  );
  await app.start();
  await expect.poll(() => [app.list.phase, app.conversation?.phase]).toEqual(['failed', 'failed']);
  told[0]?.('reconnecting');
  gone = false;
  told[0]?.('live');
  await expect.poll(() => [app.list.phase, app.conversation?.phase]).toEqual(['ready', 'ready']);
});

test('a window says that it is there once its conversation and the list are, and waits for neither for ever', async () => {
  const attached: string[] = [];
  const fake = fakeBackend(new URLSearchParams({ scene: 'default' }));
  const backend: Backend = { ...fake, subscribe: (given, cursor) => ({ ...fake.subscribe(given, cursor), attach: () => attached.push([app.phase, app.list.phase, app.conversation?.phase].join()) }) };
  let app = new App(backend, WINDOW);
  await app.start();
  app = new App({ ...backend, sessions: () => new Promise(() => undefined) }, WINDOW);
  void app.start();
  await expect.poll(() => attached).toEqual(['ready,ready,ready', 'ready,loading,ready']);
});

test('what is asked before the session was read is done when it was', async () => {
  const fake = fakeBackend(new URLSearchParams({ scene: 'default' }));
  const sent: SendRequest[] = [];
  let read = () => {};
  const reading = new Promise<void>((go) => (read = go));
  const app = new App(
    {
      ...fake,
      entries: (id, bounds) => reading.then(() => fake.entries(id, bounds)),
      send: async (id, request) => {
        sent.push(request);
        return fake.send(id, request);
      },
    },
    WINDOW,
  );
  void app.start();
  await expect.poll(() => app.phase).toBe('ready');
  expect(app.session).toBeNull();
  app.draft?.put('said early');
  const sending = app.send();
  expect(commands(app)['move']?.()).toBe(true);
  expect(sent).toEqual([]);
  expect(app.moving).toBeNull();
  read();
  await sending;
  expect(sent.map((request) => request.content)).toEqual([[{ type: 'text', text: 'said early' }]]);
  expect(sent[0]?.expected_head.seq).toBeGreaterThan(0);
  await expect.poll(() => app.moving?.id).toBe(app.conversation?.id);
});

test('a page of the list that is older than what was heard meanwhile takes nothing back', async () => {
  const fake = fakeBackend(new URLSearchParams({ scene: 'default' }));
  const pages: (() => void)[] = [];
  const list = new SessionList({
    ...fake,
    sessions: async (filter) => {
      const page = await fake.sessions(filter);
      await new Promise<void>((go) => pages.push(go));
      return page;
    },
  });
  const loading = list.load();
  await expect.poll(() => pages.length).toBe(1);
  const [session] = (await fake.sessions({ status: 'active' })).sessions;
  if (!session) throw new Error('no session');
  list.apply({ type: 'session', session_id: session.id, data: { ...session, name: 'Named meanwhile' } });
  pages[0]?.();
  await loading;
  expect(list.items.find((one) => one.id === session.id)?.name).toBe('Named meanwhile');
});

test('an answer that comes late takes no newer name back', async () => {
  let renamed: () => void = () => undefined;
  const app = await started('default', (backend) => ({
    patchSession: async (id, patch) => {
      const session = structuredClone(await backend.patchSession(id, patch));
      await new Promise<void>((resolve) => (renamed = resolve));
      return session;
    },
  }));
  const session = app.session;
  if (!session) throw new Error('no session');
  const names = () => [app.session?.name, app.list.items.find((s) => s.id === session.id)?.name];
  const renaming = app.rename(session, 'Mine');
  await expect.poll(names).toEqual(['Mine', 'Mine']);
  const now = app.session ?? session;
  tell(app, { type: 'session', session_id: session.id, data: { ...now, name: 'Newer', head: { ...now.head, seq: now.head.seq + 1 } } });
  expect(names()).toEqual(['Newer', 'Newer']);
  renamed();
  await renaming;
  tell(app, { type: 'session', session_id: session.id, data: now });
  expect(names()).toEqual(['Newer', 'Newer']);
});

test('a list of findings that comes late takes no newer one back', async () => {
  const asked: ((findings: Finding[]) => void)[] = [];
  let held = false;
  const app = await started('default', (backend) => ({
    findings: () => (held ? new Promise((resolve) => asked.push(resolve)) : backend.findings()),
  }));
  held = true;
  const found: Finding = { kind: 'chain_broken', severity: 'error', subject: {}, detail: 'found', remedy: '' };
  tell(app, { type: 'finding', data: found });
  tell(app, { type: 'finding', data: found });
  await expect.poll(() => asked.length).toBe(2);
  asked[1]?.([found]);
  await expect.poll(() => app.findings).toEqual([found]);
  asked[0]?.([]);
  await new Promise((later) => setTimeout(later, 20));
  expect(app.findings).toEqual([found]);
});

test('where the reader is is not written down again', async () => {
  let patches = 0;
  let fails = false;
  const app = await started('default', () => ({
    patchWindow: async () => {
      patches += 1;
      if (fails) throw new Unreachable();
    },
  }));
  const place = { session_id: app.conversation?.id ?? '', seq: 3, offset: 7 };
  await app.rememberScroll(place);
  await app.rememberScroll({ ...place });
  expect(patches).toBe(1);
  fails = true;
  await app.rememberScroll({ ...place, offset: 8 });
  fails = false;
  await app.rememberScroll({ ...place, offset: 8 });
  expect(patches).toBe(3);
});

describe('g09 exactly once', () => {
  test('a send whose answer was lost is repeated with the same turn id', async () => {
    const sent: SendRequest[] = [];
    const app = await started('default', (backend) => ({
      send: async (id, request) => {
        sent.push(request);
        if (sent.length === 1) throw new Unreachable();
        return backend.send(id, request);
      },
    }));
    app.draft?.type('only once');
    await app.send();
    expect(app.draft?.text).toBe('only once');
    await app.send();
    expect(app.draft?.text).toBe('');
    expect(sent.map((r) => r.turn_id)).toEqual([sent[0]?.turn_id, sent[0]?.turn_id]);
  });

  test('another text is another turn', async () => {
    const sent: SendRequest[] = [];
    const app = await started('default', () => ({
      send: async (_id, request) => {
        sent.push(request);
        throw new Unreachable();
      },
    }));
    app.draft?.type('one');
    await app.send();
    app.draft?.type('two');
    await app.send();
    expect(sent[0]?.turn_id).not.toBe(sent[1]?.turn_id);
  });

  test('a draft that is not saved is not sent', async () => {
    let sends = 0;
    const app = await started('default', (backend) => ({
      saveDraft: async () => {
        throw new Unreachable();
      },
      send: (id, request) => {
        sends += 1;
        return backend.send(id, request);
      },
    }));
    app.draft?.type('kept');
    await app.send();
    expect(sends).toBe(0);
    expect(app.draft?.text).toBe('kept');
  });

  test('a conversation that went on elsewhere keeps the text and shows what is new', async () => {
    const app = await started('default', () => ({
      send: async () => {
        throw new BackendError({ status: 409, code: 'head_moved', title: 'moved', head: { seq: 99, hash: 'x' } });
      },
    }));
    app.draft?.type('composed against the past');
    await app.send();
    expect(app.draft?.text).toBe('composed against the past');
    expect(app.toasts.items.at(-1)?.text).toContain('another window');
  });

  test('a prompt is composed against the head that is shown', async () => {
    const sent: SendRequest[] = [];
    const app = await started('default', (backend) => ({
      send: (id, request) => {
        sent.push(request);
        return backend.send(id, request);
      },
    }));
    const last = app.conversation?.entries.at(-1);
    app.draft?.type('go on');
    await app.send();
    expect(sent[0]?.expected_head).toEqual({ seq: last?.seq, hash: last?.hash });
  });
});

describe('windows', () => {
  test('a failed open never points the window at another session', async () => {
    const app = await started('default', () => ({
      showSession: async () => {
        throw new Unreachable();
      },
    }));
    const before = app.conversation?.id;
    const other = app.list.items.find((s) => s.id !== before);
    if (!other) throw new Error('the scene has one session only');
    await app.open(other, 'here');
    expect(app.conversation?.id).toBe(before);
  });

  describe('whatever the order of answers, a window shows what the journal says last', () => {
    /** A window whose session is changed by others: by the change, and in what is read, which a test may hold up or refuse. */
    async function shared(change: (backend: Backend) => Partial<Backend> = () => ({})) {
      let answer: (window: WindowState) => Promise<WindowState> = async (window) => window;
      const app = await started('default', (backend) => ({
        window: async (id) => answer(await backend.window(id)),
        ...change(backend),
      }));
      const mine = app.window;
      const others = app.list.items.filter((s) => s.id !== mine?.session_id).map((s) => s.id);
      const [first, second] = others;
      if (!mine || !first || !second) throw new Error('the scene is too small');
      const at = (session_id: string): WindowState => ({ ...mine, session_id });
      return {
        app,
        first,
        second,
        at,
        reads: (how: typeof answer) => (answer = how),
        hears: (session_id: string) => tell(app, { type: 'window', window_id: WINDOW, data: at(session_id) }),
      };
    }

    test('two that others ask for at once', async () => {
      const { app, first, second, at, reads, hears } = await shared();
      const asked: ((window: WindowState) => void)[] = [];
      reads(() => new Promise((resolve) => asked.push(resolve)));
      hears(first);
      hears(second);
      await expect.poll(() => asked.length).toBe(2);
      asked[1]?.(at(second));
      await expect.poll(() => app.conversation?.id).toBe(second);
      asked[0]?.(at(first));
      await new Promise((later) => setTimeout(later, 50));
      expect(app.conversation?.id).toBe(second);
    });

    test('two whose answers come in their order', async () => {
      const { app, first, second, at, reads, hears } = await shared();
      const asked: ((window: WindowState) => void)[] = [];
      reads(() => new Promise((resolve) => asked.push(resolve)));
      hears(first);
      hears(second);
      await expect.poll(() => asked.length).toBe(2);
      asked[0]?.(at(first));
      asked[1]?.(at(second));
      await expect.poll(() => app.conversation?.id).toBe(second);
    });

    test('one that is taken back while it is read', async () => {
      const { app, first, at, reads, hears } = await shared();
      const before = app.conversation?.id ?? '';
      const asked: ((window: WindowState) => void)[] = [];
      reads(() => new Promise((resolve) => asked.push(resolve)));
      hears(first);
      hears(before);
      await expect.poll(() => asked.length).toBe(2);
      asked[1]?.(at(before));
      asked[0]?.(at(first));
      await new Promise((later) => setTimeout(later, 50));
      expect(app.conversation?.id).toBe(before);
    });

    test('one of its own that comes late', async () => {
      let opened: () => void = () => undefined;
      const { app, first, second, at, reads, hears } = await shared((backend) => ({
        showSession: async (id, session) => {
          const shown = await backend.showSession(id, session);
          await new Promise<void>((resolve) => (opened = resolve));
          return shown;
        },
      }));
      const session = app.list.items.find((s) => s.id === first);
      if (!session) throw new Error('no session');
      const opening = app.open(session, 'here');
      await expect.poll(async () => (await app.backend.window(WINDOW)).session_id).toBe(first);
      // The change is told before the answer comes, and then somebody else shows another one here.
      reads(async () => at(second));
      hears(first);
      hears(second);
      await expect.poll(() => app.conversation?.id).toBe(second);
      opened();
      await opening;
      await expect.poll(() => app.conversation?.id).toBe(second);
    });

    test('one that could not be read', async () => {
      const { app, first, at, reads, hears } = await shared();
      let tried = 0;
      reads(async () => {
        tried += 1;
        if (tried === 1) throw new Unreachable();
        return at(first);
      });
      hears(first);
      await expect.poll(() => app.conversation?.id, { timeout: 5000 }).toBe(first);
    });
  });

  test('a session that another window shows is asked about', async () => {
    const app = await started('default', (backend) => ({
      windows: async () => (await backend.windows()).map((w) => ({ ...w, attached: true })),
    }));
    const shown = app.windows.find((w) => w.id === OTHER)?.session_id;
    const session = app.list.items.find((s) => s.id === shown);
    if (!session) throw new Error('the other window shows nothing in the list');
    const before = app.conversation?.id;
    await app.open(session);
    expect(app.elsewhere?.window.id).toBe(OTHER);
    expect(app.conversation?.id).toBe(before);
    await app.open(session, 'here');
    expect(app.conversation?.id).toBe(session.id);
  });

  test('a draft that is being typed is saved before the window shows another session', async () => {
    const app = await started('default');
    const first = app.session;
    const other = app.list.items.find((s) => s.id !== first?.id);
    if (!first || !other) throw new Error('the scene is too small');
    app.draft?.type('left behind');
    await app.open(other, 'here');
    expect(app.draft?.text).toBe('');
    await app.open(first, 'here');
    expect(app.draft?.text).toBe('left behind');
  });

  test('a file is for the session that it was given to, whatever the window shows when it is stored', async () => {
    const app = await started('default');
    const first = app.session;
    const other = app.list.items.find((s) => s.id !== first?.id);
    if (!first || !other || !app.draft) throw new Error('the scene is too small');
    const storing = app.attachFile(new File(['large'], 'large.mov'), app.draft);
    await app.open(other, 'here');
    await storing;
    expect(app.draft.attachments).toEqual([]);
    app.attachGiven(first.id, [{ hash: 'h', name: 'dropped.txt', mime: 'text/plain', bytes: 1 }]);
    expect(app.draft.attachments).toEqual([]);
    expect(app.toasts.items.at(-1)?.text).toContain('Not attached');
    await app.open(first, 'here');
    await expect.poll(() => app.draft?.attachments.map((a) => a.name)).toEqual(['large.mov']);
    app.attachGiven(first.id, [{ hash: 'h', name: 'dropped.txt', mime: 'text/plain', bytes: 1 }]);
    expect(app.draft.attachments.map((a) => a.name)).toEqual(['large.mov', 'dropped.txt']);
  });

  test('a session moves to another window with what is typed, and this one shows a new chat', async () => {
    const app = await started('default', (backend) => ({
      windows: async () => (await backend.windows()).map((w) => ({ ...w, attached: true })),
    }));
    const session = app.session;
    const other = app.windows.find((w) => w.id === OTHER);
    if (!session || !other) throw new Error('the scene is too small');
    app.draft?.type('goes along');
    await app.move(session, other);
    await expect.poll(() => app.session?.empty).toBe(true);
    expect(app.draft?.text).toBe('');
    const there = await app.backend.window(OTHER);
    expect(there.session_id).toBe(session.id);
    expect(there.draft?.text).toBe('goes along');
    app.toasts.items.at(-1)?.action?.run();
    await expect.poll(() => app.conversation?.id).toBe(session.id);
    expect(app.draft?.text).toBe('goes along');
  });

  test('a session that cannot be moved stays, with what is typed', async () => {
    const app = await started('default', () => ({
      moveSession: async () => {
        throw new BackendError({ status: 409, code: 'wrong_state', title: 'moved meanwhile' });
      },
    }));
    const session = app.session;
    if (!session) throw new Error('no session');
    app.draft?.type('stays');
    await app.move(session, { ...app.windows[0], id: OTHER, attached: true } as never);
    expect(app.conversation?.id).toBe(session.id);
    expect(app.draft?.text).toBe('stays');
    expect(app.toasts.items.at(-1)?.tone).toBe('error');
  });

  test('a draft that is not saved keeps its session from being moved', async () => {
    let moves = 0;
    const app = await started('default', (backend) => ({
      saveDraft: async () => {
        throw new Unreachable();
      },
      moveSession: (...args) => {
        moves += 1;
        return backend.moveSession(...args);
      },
    }));
    const [session, other] = [app.session, app.windows.find((w) => w.id === OTHER)];
    if (!session || !other) throw new Error('the scene is too small');
    app.draft?.type('not yet');
    await app.move(session, { ...other, attached: true });
    expect(moves).toBe(0);
    expect(app.draft?.text).toBe('not yet');
  });

  test('a session that another window shows is moved here', async () => {
    const app = await started('default', (backend) => ({
      windows: async () => (await backend.windows()).map((w) => ({ ...w, attached: true })),
    }));
    const shown = app.windows.find((w) => w.id === OTHER)?.session_id;
    const session = app.list.items.find((s) => s.id === shown);
    if (!session) throw new Error('the other window shows nothing in the list');
    await app.open(session);
    await app.moveHere();
    expect(app.conversation?.id).toBe(session.id);
    expect((await app.backend.window(OTHER)).session_id).not.toBe(session.id);
  });

  test('while nothing can be saved, nothing is sent', async () => {
    let sends = 0;
    const app = await started('not-saving', (backend) => ({
      send: (id, request) => {
        sends += 1;
        return backend.send(id, request);
      },
    }));
    await expect.poll(() => app.saving.saving).toBe(false);
    app.draft?.type('wait');
    await app.send();
    expect(sends).toBe(0);
  });
});

test('who waits for an answer is counted, whichever window shows it', async () => {
  const fake = fakeBackend(new URLSearchParams({ scene: 'permission' }));
  const app = new App(fake, WINDOW);
  await app.start();
  await expect.poll(() => app.conversation?.phase).toBe('ready');
  await expect.poll(() => app.waiting).toBe(2);
  const asking = app.list.items.find((s) => (s.turn?.permissions.length ?? 0) > 0);
  const [permission] = asking?.turn?.permissions ?? [];
  if (!asking || !permission) throw new Error('nobody asks in this scene');
  await fake.answerPermission(asking.id, permission.id, permission.options[0]?.optionId ?? '');
  await expect.poll(() => app.waiting).toBe(1);
});

test('trash can be undone', async () => {
  const app = await started('default');
  const session = app.session;
  if (!session) throw new Error('no session');
  await app.setStatus(session, 'trashed');
  expect(app.session?.status).toBe('trashed');
  app.toasts.items.at(-1)?.action?.run();
  await expect.poll(() => app.session?.status).toBe('active');
});
