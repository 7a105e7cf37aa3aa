import { describe, expect, it } from 'vitest';
import { groupsOf, startOfDay } from '../src/lib/sidebar/groups';
import { layoutOf, keepLayout } from '../src/lib/shell/layout';
import { moment, relative } from '../src/lib/text/format';

const NOW = new Date(2026, 2, 12, 1, 30).getTime();
const at = (...when: [number, number, number, number?]) => new Date(when[0], when[1], when[2], when[3] ?? 12).toISOString();
const session = (when: string, pinned = false) => ({ pinned, last_turn_at: when, created_at: when });
const said = (items: ReturnType<typeof session>[]) => groupsOf(items, startOfDay(NOW)).map(({ index, label }) => `${index} ${label}`);

describe('headings of the session list', () => {
  it('goes by calendar days, then months', () => {
    const items = [session(at(2025, 1, 1), true), session(at(2026, 2, 12, 0)), session(at(2026, 2, 11, 23)), session(at(2026, 2, 11, 1)), session(at(2026, 2, 7)), session(at(2026, 1, 20)), session(at(2026, 0, 30)), session(at(2026, 0, 2)), session(at(2025, 11, 30))];
    expect(said(items)).toEqual(['0 Pinned', '1 Today', '2 Yesterday', '4 Last 7 days', '5 Last 30 days', '6 January', '8 December 2025']);
  });

  it('keeps the order of the list where a time does not fit it, and says nothing twice', () => {
    expect(said([session(at(2026, 2, 8)), session(at(2026, 2, 12, 1)), session(at(2026, 2, 9)), session(at(2026, 1, 20)), session(at(2026, 2, 11))])).toEqual(['0 Last 7 days', '3 Last 30 days']);
  });

  it('has none for no sessions', () => expect(said([])).toEqual([]));
});

describe('moments', () => {
  it('says a clock time only of today', () => {
    expect(moment(at(2026, 2, 12, 0), NOW)).toMatch(/^\d\d:00$/);
    expect(moment(at(2026, 2, 11, 23), NOW)).toBe('Wed');
    expect(moment(at(2026, 2, 11, 23), NOW, 1)).toMatch(/^23:00$/);
    expect(relative(new Date(NOW - 40 * 60_000).toISOString(), NOW)).toBe('40 min');
    expect(moment(at(2026, 1, 3), NOW)).toMatch(/3/);
  });
});

describe('the layout of a window', () => {
  it('is kept by window, a new one begins like the last, and it is bounded', () => {
    localStorage.clear();
    expect(layoutOf('a', 1280)).toEqual({ side: 260, panel: 320, list: true });
    keepLayout('a', { side: 300, panel: 400, list: false });
    expect(layoutOf('a', 1280).list).toBe(false);
    expect(layoutOf('b', 1280)).toEqual({ side: 300, panel: 400, list: true });
    for (let n = 0; n < 120; n++) keepLayout(`w${n}`, { side: 200, panel: 300, list: true });
    expect((JSON.parse(localStorage.getItem('gander.layout') ?? '') as unknown[]).length).toBe(100);
  });
});
