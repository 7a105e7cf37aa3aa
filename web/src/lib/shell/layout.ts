/** How a window is divided, kept in the browser by window. */
export interface Layout {
  side: number;
  panel: number;
  /** The session list is shown. */
  list: boolean;
}

const KEY = 'gander.layout';
const MOST = 100;

function kept(): [string, Layout][] {
  try {
    const read: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]');
    return Array.isArray(read) ? (read as [string, Layout][]) : [];
  } catch {
    return [];
  }
}

/** A window that is new here begins like the one that was arranged last. */
export function layoutOf(windowId: string, screenWidth: number): Layout {
  const all = kept();
  const known = all.find(([id]) => id === windowId)?.[1];
  return known ?? { side: screenWidth >= 2800 ? 340 : 260, panel: 320, ...all[0]?.[1], list: true };
}

export function keepLayout(windowId: string, layout: Layout): void {
  const others = kept().filter(([id]) => id !== windowId);
  localStorage.setItem(KEY, JSON.stringify([[windowId, layout], ...others].slice(0, MOST)));
}
