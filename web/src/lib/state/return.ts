/** Where the hands were when a page reloaded itself: the focus, the selection in the prompt, and which panel stood open. */
export interface Return {
  focus: string | null;
  selection: [number, number] | null;
  panel: string | null;
  sidebar: boolean;
}

const KEY = 'gander.return';
const STALE_MS = 60_000;

export function leave(windowId: string, panel: string | null, sidebar: boolean): void {
  const active = document.activeElement;
  const field = active instanceof HTMLTextAreaElement || (active instanceof HTMLInputElement && active.type === 'text') ? active : null;
  const left: Return = {
    focus: active?.getAttribute('data-testid') ?? (active?.id || null),
    selection: field ? [field.selectionStart ?? 0, field.selectionEnd ?? 0] : null,
    panel,
    sidebar,
  };
  sessionStorage.setItem(KEY, JSON.stringify({ windowId, at: Date.now(), left }));
}

/** What `leave` kept for this window, once, and only if it was just now. */
export function comeBack(windowId: string): Return | null {
  const raw = sessionStorage.getItem(KEY);
  sessionStorage.removeItem(KEY);
  if (!raw) return null;
  try {
    const kept = JSON.parse(raw) as { windowId: string; at: number; left: Return };
    return kept.windowId === windowId && Date.now() - kept.at < STALE_MS ? kept.left : null;
  } catch {
    return null;
  }
}

/** Puts the focus back where it was, as soon as it is there. */
export function focusAgain(left: Return, tries = 40): void {
  if (!left.focus) return;
  const name = CSS.escape(left.focus);
  const element = document.querySelector<HTMLElement>(`[data-testid="${name}"], #${name}`);
  if (!element) {
    if (tries > 0) setTimeout(() => focusAgain(left, tries - 1), 50);
    return;
  }
  element.focus({ preventScroll: true });
  if (left.selection && (element instanceof HTMLTextAreaElement || element instanceof HTMLInputElement)) element.setSelectionRange(...left.selection);
}
