/** A terminal's output as lines of plain text with its colours as classes; every other control sequence is dropped. */
export interface Span {
  text: string;
  style: string;
}

const COLOURS = ['black', 'red', 'green', 'yellow', 'blue', 'magenta', 'cyan', 'white'];
// eslint-disable-next-line no-control-regex
const SEQUENCE = /\u001b\[([0-9;]*)m|\u001b\[[0-9;?]*[A-Za-z]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)|\u001b[()][A-Z0-9]|\u001b./g;

export function terminalLine(line: string, carried = ''): { spans: Span[]; style: string } {
  const spans: Span[] = [];
  let style = carried;
  let at = 0;
  // A carriage return overwrites: what a person would have seen is the last part.
  const text = line.replace(/\r$/, '').split('\r').pop() ?? '';
  for (const match of text.matchAll(SEQUENCE)) {
    if (match.index > at) spans.push({ text: text.slice(at, match.index), style });
    at = match.index + match[0].length;
    if (match[1] !== undefined) style = applied(style, match[1]);
  }
  if (at < text.length) spans.push({ text: text.slice(at), style });
  return { spans, style };
}

function applied(style: string, codes: string): string {
  const parts = new Set(style.split(' ').filter(Boolean));
  for (const code of codes.split(';').map(Number)) {
    if (!code) parts.clear();
    else if (code === 1) parts.add('bold');
    else if (code === 2) parts.add('dim');
    else if (code === 22) ['bold', 'dim'].forEach((p) => parts.delete(p));
    else if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97)) {
      COLOURS.forEach((c) => parts.delete(`fg-${c}`));
      parts.add(`fg-${COLOURS[code % 10] ?? 'white'}`);
    } else if (code === 39) COLOURS.forEach((c) => parts.delete(`fg-${c}`));
  }
  return [...parts].join(' ');
}

export const plainTerminal = (text: string) => text.replace(SEQUENCE, '').replace(/\r(?!\n)/g, '\n');
