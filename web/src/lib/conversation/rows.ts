import type { ContentBlock, Entry } from '../backend/types';
import { bodyOf, textOf, type Body, type PermissionData } from './entry';
import type { LiveItem } from './live.svelte';

/** One thing that a conversation shows, from an entry or from an open item of the running turn. */
export interface Piece {
  key: string;
  kind: string;
  seq: number | null;
  turn: string | null;
  at: string;
  entry: Entry | null;
  body: Body | null;
  live: LiveItem | null;
}

export type Row =
  | { type: 'piece'; key: string; piece: Piece }
  | { type: 'tools'; key: string; pieces: Piece[] }
  | { type: 'elsewhere'; key: string; pieces: Piece[] }
  | { type: 'turn_end'; key: string; piece: Piece; prompt: Piece | null; answer: Piece[] };

const ITEMS = new Set(['message', 'thought', 'tool_call', 'plan', 'permission']);
/** Bookkeeping that says nothing to a reader; the session's details show it. */
const QUIET = new Set(['created', 'configured', 'linked', 'named', 'status']);
const LONGEST_GROUP = 60;

const pieces = new WeakMap<Entry, Piece>();

function pieceOf(entry: Entry): Piece {
  const known = pieces.get(entry);
  if (known) return known;
  const body = bodyOf(entry);
  const key = body.item ? `i:${body.item}` : entry.kind === 'prompt' && body.turn ? `p:${body.turn}` : `s:${entry.seq}`;
  const piece: Piece = { key, kind: entry.kind, seq: entry.seq, turn: body.turn, at: entry.at, entry, body, live: null };
  pieces.set(entry, piece);
  return piece;
}

const livePiece = (live: LiveItem): Piece => ({ key: `i:${live.item}`, kind: live.kind, seq: null, turn: live.turn, at: live.at, entry: null, body: null, live });

const order = (piece: Piece) => piece.body?.ord ?? piece.live?.ord ?? 0;

/** By `ord`; an erased entry has lost its own and keeps its place after the entry before it. */
function inOrder(segment: Piece[]): Piece[] {
  let last = 0;
  const placed = segment.map((piece) => {
    const ord = piece.entry?.erased ? last + 0.5 : order(piece);
    last = ord;
    return { piece, ord };
  });
  return placed.sort((a, b) => a.ord - b.ord || (a.piece.seq ?? Infinity) - (b.piece.seq ?? Infinity)).map(({ piece }) => piece);
}

/**
 * Rows in reading order. Entries stand by seq, but a turn's items stand by `ord` (when each first arrived): a tool call that
 * ends after the message that followed it keeps its place. Neighbouring tool calls make one row. What was found in the agent's own
 * store was said there before the prompt at which it was found, and stands before it.
 */
export function rowsOf(entries: readonly Entry[], live: readonly LiveItem[]): Row[] {
  const rows: Row[] = [];
  let segment: Piece[] = [];
  let prompt: Piece | null = null;
  let answer: Piece[] = [];

  const flush = () => {
    segment = inOrder(segment);
    let group: Piece[] = [];
    const close = () => {
      const first = group[0];
      if (first) rows.push({ type: 'tools', key: `g:${first.key}`, pieces: group });
      group = [];
    };
    for (const piece of segment) {
      if (piece.kind === 'tool_call') {
        group.push(piece);
        if (group.length === LONGEST_GROUP) close();
        continue;
      }
      if (silent(piece)) continue;
      close();
      rows.push({ type: 'piece', key: piece.key, piece });
    }
    close();
    answer.push(...segment);
    segment = [];
  };

  for (const entry of entries) {
    const piece = pieceOf(entry);
    if (piece.body?.elsewhere) {
      const found = rows.findLastIndex((row) => row.type === 'piece' && row.piece.kind === 'prompt');
      const at = found < 0 ? rows.length : found;
      const before = rows[at - 1];
      if (before?.type === 'elsewhere') before.pieces.push(piece);
      else rows.splice(at, 0, { type: 'elsewhere', key: `e:${piece.key}`, pieces: [piece] });
      continue;
    }
    if (ITEMS.has(entry.kind)) {
      segment.push(piece);
      continue;
    }
    if (QUIET.has(entry.kind)) continue;
    flush();
    if (entry.kind === 'prompt') {
      prompt = piece;
      answer = [];
    }
    if (entry.kind === 'turn_ended') {
      rows.push({ type: 'turn_end', key: piece.key, piece, prompt: prompt?.turn === piece.turn ? prompt : null, answer });
      answer = [];
    } else rows.push({ type: 'piece', key: piece.key, piece });
  }
  segment.push(...live.map(livePiece));
  flush();
  return rows;
}

/** An answered permission that was allowed says nothing that its tool call does not say. */
function silent(piece: Piece): boolean {
  if (piece.kind === 'permission' && piece.body) {
    const data = piece.body.data as PermissionData | null;
    const chosen = data?.options.find((o) => o.optionId === data.option_id);
    return data?.outcome === 'selected' && chosen?.kind === 'allow_once';
  }
  if ((piece.kind === 'message' || piece.kind === 'thought') && piece.body && !piece.body.dataRef && piece.entry?.body) {
    const { text, blocks } = textOf(piece.body.data);
    return text.trim() === '' && blocks.length === 0;
  }
  return false;
}

export function promptText(content: ContentBlock[]): string {
  return content
    .filter((block) => block.type === 'text')
    .map((block) => String((block as { text?: unknown }).text ?? ''))
    .join('\n')
    .trim();
}

/** A prompt's blocks. One that was found in the agent's store is kept as the updates that told it. */
export function contentOf(body: Body | null): ContentBlock[] {
  if (!Array.isArray(body?.data)) return (body?.data as { content?: ContentBlock[] } | null)?.content ?? [];
  const { text, blocks } = textOf(body.data);
  return [...(text ? [{ type: 'text', text }] : []), ...blocks];
}

const CONTINUED: Record<string, string> = { resend: 'Sent again', continue: 'Continued from where it was cut off', hand_over: 'Handed over to a new agent session' };

/** How a prompt goes on from an interrupted turn. */
export const continuedHow = (body: Body | null): string | null => (body?.data as { continues?: { how: string } } | null)?.continues?.how ?? null;
export const saysContinued = (how: string) => CONTINUED[how] ?? 'Continued';

/** What asks an agent to go on quotes the answer that was cut off: the outline says it in a line. */
const outlined = (body: Body | null) => (continuedHow(body) === 'continue' ? saysContinued('continue') : promptText(contentOf(body)).slice(0, 160));

/** The first words of every prompt: the conversation's outline. */
export function outlineOf(entries: readonly Entry[]): { seq: number; key: string; text: string; at: string }[] {
  return entries
    .filter((entry) => entry.kind === 'prompt')
    .map((entry) => ({ seq: entry.seq, key: pieceOf(entry).key, text: outlined(bodyOf(entry)), at: entry.at }));
}
