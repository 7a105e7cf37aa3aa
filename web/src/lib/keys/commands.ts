import { textOf } from '../conversation/entry';
import { copyText } from '../ui/copy';
import type { App } from '../state/app.svelte';

const inText = (target: EventTarget | null) =>
  target instanceof HTMLElement && (target.isContentEditable || target instanceof HTMLTextAreaElement || (target instanceof HTMLInputElement && target.type !== 'checkbox'));

/** What each command does; false where it does not apply now, so that the key stays the browser's. */
export function commands(app: App): Record<string, (event?: KeyboardEvent) => boolean> {
  const does = (run: () => unknown) => () => {
    run();
    return true;
  };
  const onSession = (run: (session: NonNullable<App['session']>) => unknown) => () => {
    const { conversation } = app;
    if (!conversation) return false;
    // Pressed before the session was read, it is done when it was, if the window still shows it.
    if (app.session) run(app.session);
    else void conversation.loaded.then(() => app.conversation === conversation && app.session && run(app.session));
    return true;
  };
  const step = (by: number) => () => {
    const items = app.list.items;
    const at = items.findIndex((s) => s.id === app.conversation?.id);
    const next = items[at < 0 ? 0 : at + by];
    if (next) void app.open(next);
    return true;
  };
  const panel = (name: NonNullable<App['panel']>) => onSession(() => (app.panel = app.panel === name ? null : name));
  return {
    palette: does(() => (app.overlay = app.overlay === 'palette' ? null : 'palette')),
    keys: (event) => {
      if (event && inText(event.target)) return false;
      app.overlay = app.overlay === 'keys' ? null : 'keys';
      return true;
    },
    'new-chat': does(() => void app.newChat()),
    'new-window': does(() => void app.newWindow()),
    'reopen-window': does(() => void app.reopenWindow()),
    windows: does(() => app.go(app.page === 'windows' ? null : 'windows')),
    sidebar: does(() => (app.sidebar = !app.sidebar)),
    settings: does(() => app.go(app.page === 'settings' ? null : 'settings')),
    back: () => back(app),
    search: does(() => {
      app.sidebar = true;
      requestAnimationFrame(() => document.getElementById('session-search')?.focus());
    }),
    previous: step(-1),
    next: step(1),
    rename: onSession(() => (app.renaming = true)),
    move: onSession((s) => (app.moving = s)),
    archive: onSession((s) => (s.status === 'archived' ? app.setStatus(s, 'active') : app.setStatus(s, 'archived'))),
    trash: (event) => {
      if (!app.session || (event && inText(event.target) && app.draft?.empty === false)) return false;
      void app.setStatus(app.session, 'trashed');
      return true;
    },
    find: onSession(() => (app.finding = true)),
    outline: panel('outline'),
    files: panel('files'),
    details: panel('details'),
    'copy-answer': onSession(() => void copyAnswer(app)),
    end: onSession(() => (app.endWanted += 1)),
    continue: onSession((s) => s.interrupted && app.continueTurn(s.interrupted, app.unsent ? 'resend' : 'continue')),
    stop: onSession((s) => s.running && app.stop()),
    answer: (event) => {
      const asked = app.conversation?.live.find((item) => item.kind === 'permission')?.data as { permission_id: string; options: { optionId: string }[] } | undefined;
      const option = asked?.options[Number(event?.code.replace('Digit', '') ?? 1) - 1];
      if (!asked || !option) return false;
      void app.answer(asked.permission_id, option.optionId);
      return true;
    },
    composer: does(() => document.querySelector<HTMLElement>('[data-testid=composer-text]')?.focus()),
  };
}

/** What the agent said last, in this turn or in the one before it. */
async function copyAnswer(app: App) {
  const rows = app.conversation?.rows ?? [];
  const end = rows.findLastIndex((row) => row.type === 'piece' && row.piece.kind === 'message');
  const begin = rows.findLastIndex((row, n) => n < end && row.type === 'piece' && row.piece.kind === 'prompt');
  const said = rows.slice(begin + 1, end + 1).flatMap((row) => (row.type === 'piece' && row.piece.kind === 'message' ? [row.piece.live?.text ?? textOf(row.piece.body?.data).text] : []));
  if (end >= 0 && (await copyText(said.join('\n\n')))) app.toasts.show('The last answer is copied.');
}

function back(app: App): boolean {
  if (app.overlay) app.overlay = null;
  else if (app.finding) app.finding = false;
  else if (app.narrow && app.sidebar) app.sidebar = false;
  else if (app.panel) app.panel = null;
  else if (app.page) app.go(null);
  else return false;
  return true;
}

