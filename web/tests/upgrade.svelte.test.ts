import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { fakeBackend } from '../src/lib/backend/fake';
import { Unreachable, type Backend } from '../src/lib/backend/backend';
import { App } from '../src/lib/state/app.svelte';
import { comeBack, leave } from '../src/lib/state/return';
import { Upgrade } from '../src/lib/state/upgrade.svelte';

const WINDOW = '11111111-1111-7111-8111-111111111111';
const fake = (scene: string) => fakeBackend(new URLSearchParams({ scene }));
let reloads = 0;

beforeEach(() => {
  localStorage.clear();
  sessionStorage.clear();
  reloads = 0;
  vi.spyOn(location, 'reload').mockImplementation(() => void (reloads += 1));
});
afterEach(() => vi.restoreAllMocks());

describe('g10 a page of another version', () => {
  test('saves what is typed, and loads itself again once', async () => {
    const done: string[] = [];
    const keep = async () => void done.push('kept');
    const first = new Upgrade(fake('default'));
    await first.heard('0.1.0', keep);
    expect(reloads).toBe(0);
    await first.heard('0.2.0', keep);
    expect([reloads, done]).toEqual([1, ['kept']]);

    // What came back is still of the old version: it says so and does not try again.
    const second = new Upgrade(fake('default'));
    await second.heard('0.1.0', keep);
    await second.heard('0.2.0', keep);
    expect(reloads).toBe(1);
    expect(second.stale).toBe('0.2.0');

    // Going back to the old one is another step, and another reload.
    const third = new Upgrade(fake('default'));
    await third.heard('0.2.0', keep);
    await third.heard('0.1.0', keep);
    expect(reloads).toBe(2);
  });

  test('stays when the server that said so is gone again, and goes when it is back', async () => {
    const backend = fake('default');
    const upgrade = new Upgrade({ ...backend, health: () => Promise.reject(new Unreachable()) });
    await upgrade.heard('0.1.0', () => Promise.resolve());
    await upgrade.heard('0.2.0', () => Promise.resolve());
    expect(reloads).toBe(0);
    const later = new Upgrade(backend);
    await later.heard('0.1.0', () => Promise.resolve());
    await later.heard('0.2.0', () => Promise.resolve());
    expect([reloads, later.stale]).toEqual([1, null]);
  });

  test('does not hang on a save that never ends', async () => {
    vi.useFakeTimers();
    const upgrade = new Upgrade(fake('default'));
    await upgrade.heard('0.1.0', () => Promise.resolve());
    const reloading = upgrade.heard('0.2.0', () => new Promise(() => undefined));
    await vi.advanceTimersByTimeAsync(10_000);
    await reloading;
    vi.useRealTimers();
    expect(reloads).toBe(1);
  });

  test('an answer that comes late takes back nothing that was told meanwhile', async () => {
    const backend = fake('frozen');
    const waiting: (() => void)[] = [];
    const held = async <T>(answer: Promise<T>): Promise<T> => {
      const then = await answer;
      await new Promise<void>((go) => waiting.push(go));
      return then;
    };
    const upgrade = new Upgrade({ ...backend, handover: () => held(backend.handover()), upgrade: () => held(backend.upgrade()) });
    const heard = upgrade.heard('0.1.0', () => Promise.resolve());
    await expect.poll(() => waiting.length).toBe(2);
    upgrade.told({ ...(await backend.handover()), state: 'none' });
    upgrade.toldInstalled(null);
    await expect.poll(() => waiting.length).toBe(3);
    waiting[2]?.();
    await expect.poll(() => upgrade.report).not.toBeNull();
    const { report } = upgrade;
    for (const go of waiting) go();
    await heard;
    await new Promise((later) => setTimeout(later, 20));
    expect([upgrade.handover.state, upgrade.waiting]).toEqual(['none', false]);
    expect(upgrade.report).toBe(report);
  });

  test('comes back to where the hands were, for this window and only once', () => {
    document.body.innerHTML = '<textarea data-testid="composer-text">half a thought</textarea>';
    const field = document.querySelector('textarea');
    field?.focus();
    field?.setSelectionRange(3, 5);
    leave(WINDOW, 'outline', false);
    expect(comeBack('another')).toBeNull();
    leave(WINDOW, 'outline', false);
    expect(comeBack(WINDOW)).toEqual({ focus: 'composer-text', selection: [3, 5], panel: 'outline', sidebar: false });
    expect(comeBack(WINDOW)).toBeNull();
  });
});

describe('while a handover waits', () => {
  async function started(scene: string, change: (backend: Backend) => Partial<Backend> = () => ({})) {
    const backend = fake(scene);
    const app = new App(Object.assign({}, backend, change(backend)) as Backend, WINDOW);
    await app.start();
    await expect.poll(() => app.conversation?.phase).toBe('ready');
    return { app, backend };
  }

  test('typing goes on and is saved, sending waits', async () => {
    let sends = 0;
    const saved: string[] = [];
    const { app, backend } = await started('default', (backend) => ({
      send: async (id, request) => {
        sends += 1;
        return backend.send(id, request);
      },
      saveDraft: async (id, draft) => {
        saved.push(draft.text);
        return backend.saveDraft(id, draft);
      },
    }));
    backend.emit({ type: 'handover', data: { state: 'waiting', to: '0.2.0', turns: [{ session_id: 's', turn_id: 't', name: 'A name' }], drafts: 0 } });
    expect(app.upgrade.waiting).toBe(true);
    expect(app.upgrade.frozen).toBe(false);
    app.draft?.type('still writing');
    await app.send();
    expect(sends).toBe(0);
    expect(app.draft?.text).toBe('still writing');
    await expect.poll(() => saved.at(-1)).toBe('still writing');

    backend.emit({ type: 'handover', data: { state: 'none', turns: [], drafts: 0 } });
    await app.send();
    expect(sends).toBe(1);
  });

  test('g10 another version that is installed is told, put off and asked to take over', async () => {
    const asked: string[] = [];
    const { app, backend } = await started('installed', (backend) => ({
      takeOver: async (when) => {
        asked.push(when);
        return backend.takeOver(when);
      },
    }));
    await expect.poll(() => app.upgrade.installed?.state).toBe('waits');
    await app.takeOver('later');
    expect(app.upgrade.installed?.state).toBe('later');
    await app.takeOver('now');
    expect([asked, app.upgrade.installed?.state]).toEqual([['later', 'now'], 'taking_over']);
    // From then on the handover says what happens, and only that.
    backend.emit({ type: 'handover', data: { state: 'waiting', to: '0.2.0', turns: [], drafts: 0 } });
    expect(app.upgrade.installed).toBeNull();
    backend.emit({ type: 'handover', data: { state: 'none', turns: [], drafts: 0 } });
    backend.emit({ type: 'installed', data: null });
    expect(app.upgrade.installed).toBeNull();
  });

  test('the result is news until somebody has seen it, in whatever window', async () => {
    const { app, backend } = await started('upgraded');
    await expect.poll(() => app.upgrade.news?.result).toBe('committed');
    app.upgrade.seen();
    expect(app.upgrade.news).toBeNull();
    const again = new Upgrade(backend);
    await again.heard('0.1.0', () => Promise.resolve());
    await expect.poll(() => again.report?.last?.seen).toBe(true);
    expect(again.news).toBeNull();
  });
});
