import { diffLines } from 'diff';

export interface DiffLine {
  mark: ' ' | '+' | '-' | '…';
  before: number | null;
  after: number | null;
  text: string;
  /** For '…': how many unchanged lines are folded here, and which. */
  folded?: number;
}

export interface FileDiff {
  lines: DiffLine[];
  added: number;
  removed: number;
  longest: number;
}

const CONTEXT = 3;
const LONGEST_MS = 400;

const split = (text: string) => (text === '' ? [] : text.replace(/\n$/, '').split('\n'));

/** A line diff; where the texts are too different to compare in time, everything is removed and added. */
export function fileDiff(before: string, after: string): FileDiff {
  const changes = diffLines(before, after, { timeout: LONGEST_MS }) ?? [
    { value: before, removed: true, added: false, count: 0 },
    { value: after, added: true, removed: false, count: 0 },
  ];
  const lines: DiffLine[] = [];
  let a = 1;
  let b = 1;
  let added = 0;
  let removed = 0;
  let longest = 0;
  for (const change of changes) {
    for (const text of split(change.value)) {
      longest = Math.max(longest, text.length);
      if (change.added) {
        lines.push({ mark: '+', before: null, after: b++, text });
        added += 1;
      } else if (change.removed) {
        lines.push({ mark: '-', before: a++, after: null, text });
        removed += 1;
      } else lines.push({ mark: ' ', before: a++, after: b++, text });
    }
  }
  return { lines, added, removed, longest };
}

/** Unchanged stretches folded down to a few lines of context. `open` holds the first line of each that stays open. */
export function folded(lines: readonly DiffLine[], open: ReadonlySet<number>): DiffLine[] {
  const out: DiffLine[] = [];
  for (let i = 0; i < lines.length; ) {
    if (lines[i]?.mark !== ' ') {
      out.push(lines[i++] as DiffLine);
      continue;
    }
    let end = i;
    while (end < lines.length && lines[end]?.mark === ' ') end++;
    const head = i === 0 ? 0 : CONTEXT;
    const tail = end === lines.length ? 0 : CONTEXT;
    const hidden = end - i - head - tail;
    const first = lines[i]?.before ?? 0;
    if (hidden < 4 || open.has(first)) out.push(...lines.slice(i, end));
    else {
      out.push(...lines.slice(i, i + head));
      out.push({ mark: '…', before: first, after: null, text: '', folded: hidden });
      out.push(...lines.slice(end - tail, end));
    }
    i = end;
  }
  return out;
}
