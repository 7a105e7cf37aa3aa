import type { Session } from '../backend/types';
import type { App } from '../state/app.svelte';
import { shortcut } from '../keys/keys';
import { copyText } from '../ui/copy';

/** What can be done with a session, in the order in which it is wanted. */
export function sessionActions(app: App, session: Session) {
  const here = app.conversation?.id === session.id;
  const status = session.status;
  return [
    ...(here ? [] : [{ label: 'Open here', run: () => void app.open(session, 'here') }]),
    { label: 'Open in a new window', run: () => void app.newWindow(session.id) },
    { label: here ? 'Move to another window' : 'Show in another window', keys: here ? shortcut('move') : undefined, testid: 'move', run: () => void (app.moving = session) },
    'line' as const,
    {
      label: 'Rename',
      keys: shortcut('rename'),
      testid: 'rename',
      run: () => void app.open(session, 'here').then(() => (app.renaming = true)),
    },
    { label: session.pinned ? 'Unpin' : 'Pin', run: () => void app.pin(session, !session.pinned) },
    { label: session.unseen ? 'Mark as seen' : 'Mark as unseen', run: () => void app.backend.patchSession(session.id, { seen: session.unseen }).catch((f: unknown) => app.complain(f, 'Nothing was changed.')) },
    ...(here && !session.empty && status !== 'quarantined' ? [{ label: 'Choose another folder', testid: 'relink', disabled: session.running, run: () => void (app.relinking = true) }] : []),
    { label: 'Copy id', run: () => void copyText(session.id) },
    'line' as const,
    { label: 'Export as Markdown', run: () => void app.export([session], 'markdown') },
    { label: 'Export as JSON', run: () => void app.export([session], 'json') },
    'line' as const,
    status === 'archived'
      ? { label: 'Put back', keys: here ? shortcut('archive') : undefined, testid: 'unarchive', run: () => void app.setStatus(session, 'active') }
      : { label: 'Archive', keys: here ? shortcut('archive') : undefined, testid: 'archive', disabled: status !== 'active', run: () => void app.setStatus(session, 'archived') },
    status === 'trashed'
      ? { label: 'Restore from the trash', testid: 'untrash', run: () => void app.setStatus(session, 'active') }
      : { label: 'Move to the trash', keys: here ? shortcut('trash') : undefined, testid: 'trash', danger: true, disabled: status === 'quarantined', run: () => void app.setStatus(session, 'trashed') },
  ];
}
