/** Every key, once: the palette, the cheat sheet and the tooltips read them here. */
export interface KeyBinding {
  id: string;
  label: string;
  group: 'Everywhere' | 'Sessions' | 'Conversation' | 'Composer';
  /** `Mod` is Ctrl, on a Mac Cmd. */
  keys: string;
}

export const isMac = /Mac|iPhone|iPad/.test(navigator.platform);

export const BINDINGS: readonly KeyBinding[] = [
  { id: 'palette', label: 'Command palette', group: 'Everywhere', keys: 'Mod+K' },
  { id: 'keys', label: 'All keys', group: 'Everywhere', keys: '?' },
  { id: 'new-chat', label: 'New chat', group: 'Everywhere', keys: 'Alt+N' },
  { id: 'new-window', label: 'New window', group: 'Everywhere', keys: 'Alt+Shift+N' },
  { id: 'reopen-window', label: 'Reopen the last closed window', group: 'Everywhere', keys: 'Alt+Shift+T' },
  { id: 'windows', label: 'Windows', group: 'Everywhere', keys: 'Alt+W' },
  { id: 'sidebar', label: 'Show or hide the session list', group: 'Everywhere', keys: 'Alt+B' },
  { id: 'settings', label: 'Settings', group: 'Everywhere', keys: 'Mod+,' },
  { id: 'back', label: 'Back out one step', group: 'Everywhere', keys: 'Escape' },
  { id: 'search', label: 'Search sessions', group: 'Sessions', keys: 'Alt+S' },
  { id: 'previous', label: 'Session above', group: 'Sessions', keys: 'Alt+ArrowUp' },
  { id: 'next', label: 'Session below', group: 'Sessions', keys: 'Alt+ArrowDown' },
  { id: 'rename', label: 'Rename', group: 'Sessions', keys: 'F2' },
  { id: 'move', label: 'Move to another window', group: 'Sessions', keys: 'Alt+M' },
  { id: 'archive', label: 'Archive', group: 'Sessions', keys: 'Alt+E' },
  { id: 'trash', label: 'Move to the trash', group: 'Sessions', keys: 'Alt+Backspace' },
  { id: 'choose', label: 'Choose in the list, to do one thing with several', group: 'Sessions', keys: 'Space' },
  { id: 'choose-more', label: 'Choose the next as well', group: 'Sessions', keys: 'Shift+ArrowDown' },
  { id: 'choose-all', label: 'Choose all in the list', group: 'Sessions', keys: 'Mod+A' },
  { id: 'find', label: 'Find in the conversation', group: 'Conversation', keys: 'Mod+F' },
  { id: 'outline', label: 'Outline', group: 'Conversation', keys: 'Alt+O' },
  { id: 'files', label: 'Files touched', group: 'Conversation', keys: 'Alt+F' },
  { id: 'details', label: 'Details', group: 'Conversation', keys: 'Alt+I' },
  { id: 'copy-answer', label: 'Copy the last answer', group: 'Conversation', keys: 'Alt+Shift+C' },
  { id: 'end', label: 'To the end', group: 'Conversation', keys: 'Alt+End' },
  { id: 'continue', label: 'Continue an interrupted turn', group: 'Conversation', keys: 'Alt+Enter' },
  { id: 'stop', label: 'Stop the turn', group: 'Conversation', keys: 'Mod+.' },
  { id: 'answer', label: 'Answer a permission by number', group: 'Conversation', keys: 'Alt+1' },
  { id: 'composer', label: 'To the composer', group: 'Composer', keys: 'Alt+C' },
  { id: 'send', label: 'Send, or queue while a turn runs', group: 'Composer', keys: 'Enter' },
  { id: 'newline', label: 'New line', group: 'Composer', keys: 'Shift+Enter' },
];

const NAMES: Record<string, string> = { ArrowUp: '↑', ArrowDown: '↓', Escape: 'Esc', Backspace: '⌫' };
const MAC: Record<string, string> = { Mod: '⌘', Alt: '⌥', Shift: '⇧', Enter: '↩' };

export const keyNames = (keys: string): string[] =>
  keys.split('+').map((key) => (isMac ? MAC[key] : undefined) ?? NAMES[key] ?? (key === 'Mod' ? 'Ctrl' : key));

export function shortcut(id: string): string {
  const binding = BINDINGS.find((b) => b.id === id);
  return binding ? keyNames(binding.keys).join(isMac ? '' : ' ') : '';
}

/** The binding that an event is, if it is one. Letters go by the physical key, so that Alt with a letter works on a Mac. */
export function bindingOf(event: KeyboardEvent): string | null {
  const mod = isMac ? event.metaKey : event.ctrlKey;
  const other = isMac ? event.ctrlKey : event.metaKey;
  if (other) return null;
  if (event.altKey && /^Digit[1-9]$/.test(event.code) && !mod && !event.shiftKey) return 'answer';
  for (const binding of BINDINGS) {
    const parts = binding.keys.split('+');
    const key = parts[parts.length - 1] ?? '';
    if (parts.includes('Mod') !== mod || parts.includes('Alt') !== event.altKey) continue;
    if (key === '?') {
      if (event.key === '?') return binding.id;
      continue;
    }
    if (parts.includes('Shift') !== event.shiftKey) continue;
    const hit = /^[A-Z]$/.test(key) ? event.code === `Key${key}` : event.key === key;
    if (hit) return binding.id;
  }
  return null;
}
