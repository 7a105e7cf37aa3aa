import type { Backend } from '../backend/backend';
import type { Session, WindowState } from '../backend/types';

export interface ShownState {
  tone: 'running' | 'waits' | 'unseen' | 'interrupted' | 'damaged';
  label: string;
}

/** The one thing about a session that a person should notice first. */
export function stateOf(session: Session): ShownState | null {
  if (session.status === 'quarantined') return { tone: 'damaged', label: 'Damaged: quarantined' };
  if (session.turn && session.turn.permissions.length > 0) return { tone: 'waits', label: 'Waits for your answer' };
  if (session.running) return { tone: 'running', label: 'Running' };
  if (session.interrupted) return { tone: 'interrupted', label: 'Interrupted' };
  if (session.unseen) return { tone: 'unseen', label: 'New since you last looked' };
  return null;
}

/** The last line of text without Markdown's marks, which say nothing in a list. */
export const previewOf = (session: Pick<Session, 'preview'>) => session.preview.replace(/[`*_#|>~]+/g, '').trim();

export const nameOf = (session: Pick<Session, 'name' | 'last_turn_at'>) => session.name || (session.last_turn_at === null ? 'New chat' : 'Untitled');

/** What the sessions are called that windows show, by their ids. */
export async function namesIn(backend: Backend, windows: readonly WindowState[]): Promise<Record<string, string>> {
  const ids = [...new Set(windows.map((w) => w.session_id).filter((id) => id !== null))];
  const read = await Promise.all(ids.map((id) => backend.session(id).then((s) => [id, nameOf(s)] as const, () => [id, 'Unknown'] as const)));
  return Object.fromEntries(read);
}
