import type { Session } from '../backend/types';

/**
 * Whether what is said of a session is older than what is known: each entry, so each name, moves its head on. One in quarantine may have
 * lost entries.
 */
export const isOlder = (said: Session, known: Session | null | undefined): boolean =>
  !!known && said.id === known.id && said.head.seq < known.head.seq && said.status !== 'quarantined' && known.status !== 'quarantined';
