import type { ContentBlock, Entry, OpenItem } from '../backend/types';

/** An entry's body, read. Unknown fields stay in `raw` and are shown on request. */
export interface Body {
  turn: string | null;
  item: string | null;
  ord: number;
  by: string;
  data: unknown;
  dataRef: { hash: string; bytes: number } | null;
  interrupted: boolean;
  late: boolean;
  elsewhere: boolean;
  /** When its first part came; `at` of the entry is when it was complete. */
  beganMs: number | null;
}

const EMPTY: Body = { turn: null, item: null, ord: 0, by: '', data: null, dataRef: null, interrupted: false, late: false, elsewhere: false, beganMs: null };
const read = new WeakMap<Entry, Body>();

export function bodyOf(entry: Entry): Body {
  const known = read.get(entry);
  if (known) return known;
  let body = EMPTY;
  if (entry.body !== null) {
    try {
      const raw = JSON.parse(entry.body) as Record<string, unknown>;
      body = {
        turn: (raw.turn as string | undefined) ?? null,
        item: (raw.item as string | undefined) ?? null,
        ord: (raw.ord as number | undefined) ?? 0,
        by: (raw.by as string | undefined) ?? '',
        data: raw.data ?? null,
        dataRef: (raw.data_ref as Body['dataRef'] | undefined) ?? null,
        interrupted: raw.interrupted === true,
        late: raw.late === true,
        elsewhere: raw.elsewhere === true,
        beganMs: typeof raw.origin_at_ms === 'number' ? raw.origin_at_ms : null,
      };
    } catch {
      // Stored bytes that are not JSON cannot come from this version; the entry is shown as unknown, never hidden.
    }
  }
  read.set(entry, body);
  return body;
}

export type Update = Record<string, unknown> & { sessionUpdate?: string; content?: unknown };

export const updatesOf = (data: unknown): Update[] => (Array.isArray(data) ? (data as Update[]) : []);

/** The text and the other blocks (images, links) of a message's or thought's updates. */
export function textOf(data: unknown): { text: string; blocks: ContentBlock[] } {
  let text = '';
  const blocks: ContentBlock[] = [];
  for (const update of updatesOf(data)) {
    const content = update.content as ContentBlock | undefined;
    if (!content) continue;
    if (content.type === 'text') text += String((content as { text?: unknown }).text ?? '');
    else blocks.push(content);
  }
  return { text, blocks };
}

export interface PlanEntry {
  content: string;
  status: string;
  priority?: string;
}

export function planOf(data: unknown): PlanEntry[] {
  const last = updatesOf(data).filter((u) => Array.isArray(u.entries)).pop();
  return (last?.entries as PlanEntry[] | undefined) ?? [];
}

export interface ToolContent {
  type: string;
  content?: ContentBlock;
  path?: string;
  oldText?: string | null;
  newText?: string;
  terminalId?: string;
  [key: string]: unknown;
}

export interface ToolLocation {
  path: string;
  line?: number | null;
}

export interface ToolCall {
  title: string;
  kind: string;
  status: string;
  content: ToolContent[];
  locations: ToolLocation[];
  input: unknown;
  output: unknown;
  /** What commands that the agent had Gander run printed, by terminal. */
  terminals: Map<string, TerminalRecord>;
}

export interface TerminalRecord {
  text: string;
  /** How it ended, in words; empty while it runs or where it ended well. */
  end: string;
}

export const emptyCall = (): ToolCall => ({ title: '', kind: 'other', status: 'pending', content: [], locations: [], input: undefined, output: undefined, terminals: new Map() });

/** A tool call after more updates: later fields replace earlier ones, as the protocol says. */
export function foldCall(before: ToolCall, updates: readonly Update[]): ToolCall {
  const call: ToolCall = { ...before, terminals: new Map(before.terminals) };
  for (const u of updates) {
    if (u.sessionUpdate === '_gander_terminal_chunk' || u.sessionUpdate === '_gander_terminal_exit') {
      terminal(call.terminals, u);
      continue;
    }
    if (typeof u.title === 'string') call.title = u.title;
    if (typeof u.kind === 'string') call.kind = u.kind;
    if (typeof u.status === 'string') call.status = u.status;
    if (Array.isArray(u.content)) call.content = u.content as ToolContent[];
    if (Array.isArray(u.locations)) call.locations = u.locations as ToolLocation[];
    if (u.rawInput !== undefined) call.input = u.rawInput;
    if (u.rawOutput !== undefined) call.output = u.rawOutput;
  }
  return call;
}

export const toolCallOf = (data: unknown): ToolCall => foldCall(emptyCall(), updatesOf(data));

function terminal(terminals: ToolCall['terminals'], u: Update) {
  const id = String(u.terminalId ?? '');
  const record = { ...(terminals.get(id) ?? { text: '', end: '' }) };
  if (u.sessionUpdate === '_gander_terminal_chunk') record.text += String((u.content as { text?: unknown } | undefined)?.text ?? '');
  else {
    const parts = [];
    if (u.signal) parts.push(`ended by ${String(u.signal)}`);
    else if (u.code) parts.push(`exit status ${String(u.code)}`);
    if (Number(u.omitted) > 0) parts.push(`${String(u.omitted)} bytes left out`);
    record.end = parts.join(', ');
  }
  terminals.set(id, record);
}

export interface PermissionData {
  permission_id: string;
  tool_call: { title?: string; kind?: string; rawInput?: unknown; content?: ToolContent[]; locations?: ToolLocation[] };
  options: { optionId: string; name: string; kind: string }[];
  outcome?: string;
  option_id?: string;
}

export const TEXT_KINDS = new Set(['message', 'thought']);
export const isText = (item: Pick<OpenItem, 'kind'>) => TEXT_KINDS.has(item.kind);
