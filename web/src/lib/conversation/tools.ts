import { Brain, FilePen, FileText, FolderInput, Globe, Search, Terminal, Trash, Wrench } from 'lucide';
import { within } from '../text/format';
import { toolCallOf, updatesOf, type ToolCall } from './entry';
import type { Piece } from './rows';

const KINDS: Record<string, { icon: typeof Wrench; verb: string; many: string }> = {
  read: { icon: FileText, verb: 'Read', many: 'read' },
  edit: { icon: FilePen, verb: 'Edited', many: 'edited' },
  delete: { icon: Trash, verb: 'Deleted', many: 'deleted' },
  move: { icon: FolderInput, verb: 'Moved', many: 'moved' },
  search: { icon: Search, verb: 'Searched', many: 'searched' },
  execute: { icon: Terminal, verb: 'Ran', many: 'ran' },
  think: { icon: Brain, verb: 'Thought', many: 'thought' },
  fetch: { icon: Globe, verb: 'Fetched', many: 'fetched' },
};
const DOING: Record<string, string> = { Read: 'Reading', Edited: 'Editing', Deleted: 'Deleting', Moved: 'Moving', Searched: 'Searching', Ran: 'Running', Thought: 'Thinking', Fetched: 'Fetching' };
const OTHER = { icon: Wrench, verb: 'Used', many: 'used' };

export const kindOf = (kind: string) => KINDS[kind] ?? OTHER;

const folding = new WeakMap<object, ToolCall>();

export function callOf(piece: Piece, fetched?: unknown): ToolCall {
  if (fetched !== undefined && fetched !== null) return toolCallOf(fetched);
  if (piece.live) return piece.live.call;
  const data = updatesOf(piece.body?.data);
  const known = folding.get(data);
  if (known) return known;
  const call = toolCallOf(data);
  folding.set(data, call);
  return call;
}

/** "Read · src/main.rs": the agent's title without the verb that the icon and the first word say already. */
export function describe(call: ToolCall, cwd: string, running: boolean): { verb: string; target: string; code: boolean } {
  const kind = kindOf(call.kind);
  const verb = running ? (DOING[kind.verb] ?? 'Using') : kind.verb;
  const path = call.locations[0]?.path ?? call.content.find((c) => c.type === 'diff')?.path;
  const bare = call.title.replace(/^(read|edit|write|delete|move|search(?: for)?|grep|list|run|execute|fetch)(ing|ed)?[:\s]+/i, '').replace(/^`([^`]*)`$/, '$1');
  if (path && (call.kind === 'read' || call.kind === 'edit' || call.kind === 'delete') && (bare === '' || bare.includes(path) || path.includes(bare))) {
    const line = call.kind === 'read' ? call.locations[0]?.line : undefined;
    return { verb, target: within(path, cwd) + (line ? `:${line}` : ''), code: true };
  }
  if (KINDS[call.kind]) return { verb, target: bare || call.title, code: call.kind !== 'think' };
  return { verb: '', target: call.title || 'Tool', code: false };
}

export const isRunning = (call: ToolCall) => call.status === 'pending' || call.status === 'in_progress';

/** "Read 4, edited 2, ran 1" */
export function summaryOf(calls: ToolCall[]): string {
  const counts = new Map<string, number>();
  for (const call of calls) {
    const { many } = kindOf(call.kind);
    counts.set(many, (counts.get(many) ?? 0) + 1);
  }
  const text = [...counts].map(([verb, n]) => `${verb} ${n}`).join(', ');
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export const asText = (value: unknown): string => (value === undefined || value === null ? '' : typeof value === 'string' ? value : JSON.stringify(value, null, 2));
