import type { Session } from '../backend/types';
import { lazy } from '../text/format';

export interface Group {
  /** The first row that stands under it. */
  index: number;
  label: string;
}

const month = lazy(() => new Intl.DateTimeFormat('en', { month: 'long' }));
const monthAndYear = lazy(() => new Intl.DateTimeFormat('en', { month: 'long', year: 'numeric' }));

export const startOfDay = (at: number) => new Date(at).setHours(0, 0, 0, 0);

/**
 * Where a heading stands in a list that has its order from the server. A heading only ever goes back in time: where a session's
 * time does not fit its place (its clock was wrong, it was imported), the place counts, and no heading comes twice.
 */
export function groupsOf(items: readonly Pick<Session, 'pinned' | 'last_turn_at' | 'created_at'>[], today: number): Group[] {
  const groups: Group[] = [];
  const day = (back: number) => new Date(today).setDate(new Date(today).getDate() - back);
  const bounds: [number, string][] = [
    [today, 'Today'],
    [day(1), 'Yesterday'],
    [day(7), 'Last 7 days'],
    [day(30), 'Last 30 days'],
  ];
  const year = new Date(today).getFullYear();
  let floor = Infinity;
  let pinned = true;
  items.forEach((session, index) => {
    if (session.pinned && pinned) {
      if (index === 0) groups.push({ index, label: 'Pinned' });
      return;
    }
    const at = Date.parse(session.last_turn_at ?? session.created_at);
    if (!pinned && at >= floor) return;
    pinned = false;
    const near = bounds.find(([from]) => at >= from);
    const then = new Date(at);
    floor = near?.[0] ?? new Date(then.getFullYear(), then.getMonth(), 1).getTime();
    groups.push({ index, label: near?.[1] ?? (then.getFullYear() === year ? month : monthAndYear)().format(then) });
  });
  return groups;
}
