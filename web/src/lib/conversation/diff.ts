import { diffArrays } from 'diff';
import type { ToolContent } from './entry';

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

/** The longest run of pairs that rises on both sides; `pairs` rises on the first already. */
function rising(pairs: [number, number][]): [number, number][] {
  const tails: number[] = [];
  const before = new Int32Array(pairs.length).fill(-1);
  pairs.forEach(([, b], n) => {
    let low = 0;
    let high = tails.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((pairs[tails[middle] ?? 0]?.[1] ?? 0) < b) low = middle + 1;
      else high = middle;
    }
    before[n] = low > 0 ? (tails[low - 1] ?? -1) : -1;
    tails[low] = n;
  });
  const run: [number, number][] = [];
  for (let n = tails[tails.length - 1] ?? -1; n >= 0; n = before[n] ?? -1) {
    const pair = pairs[n];
    if (pair) run.push(pair);
  }
  return run.reverse();
}

/**
 * Lines that stand once on each side, in the same order: there the texts meet, so that what lies between can be compared by itself. Without
 * this the time grows with lines times changes; a generated file of thousands of lines would be taken for a new one on a slow machine.
 */
function anchors(a: readonly string[], b: readonly string[]): [number, number][] {
  const once = (lines: readonly string[]) => {
    const found = new Map<string, number>();
    lines.forEach((line, n) => found.set(line, found.has(line) ? -1 : n));
    return found;
  };
  const inB = once(b);
  const pairs: [number, number][] = [];
  for (const [line, n] of once(a)) {
    const there = inB.get(line);
    if (n >= 0 && there !== undefined && there >= 0) pairs.push([n, there]);
  }
  return rising(pairs);
}

/** A line diff; where the texts are too different to compare in time, everything is removed and added. */
export function fileDiff(before: string, after: string): FileDiff {
  const a = split(before);
  const b = split(after);
  const lines: DiffLine[] = [];
  let atA = 0;
  let atB = 0;
  let added = 0;
  let removed = 0;
  let longest = 0;
  const put = (mark: DiffLine['mark'], text: string) => {
    longest = Math.max(longest, text.length);
    if (mark === '+') added += 1;
    if (mark === '-') removed += 1;
    lines.push({ mark, before: mark === '+' ? null : ++atA, after: mark === '-' ? null : ++atB, text });
  };
  const until = performance.now() + LONGEST_MS;
  const between = (endA: number, endB: number) => {
    while (atA < endA && atB < endB && a[atA] === b[atB]) put(' ', a[atA] ?? '');
    const left = until - performance.now();
    const changes = atA < endA && atB < endB && left > 0 ? diffArrays(a.slice(atA, endA), b.slice(atB, endB), { timeout: left }) : undefined;
    for (const change of changes ?? []) for (const text of change.value) put(change.added ? '+' : change.removed ? '-' : ' ', text);
    while (atA < endA) put('-', a[atA] ?? '');
    while (atB < endB) put('+', b[atB] ?? '');
  };
  for (const [n, m] of anchors(a, b)) between(n, m);
  between(a.length, b.length);
  return { lines, added, removed, longest };
}

const known = new WeakMap<ToolContent, FileDiff>();

/** The diff that a tool call tells, worked out once: its line counts it, its card shows it, and the list of files adds it up. */
export function diffOf(part: ToolContent): FileDiff {
  let diff = known.get(part);
  if (!diff) known.set(part, (diff = fileDiff(part.oldText ?? '', part.newText ?? '')));
  return diff;
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
