/** The wire's shapes, as CONTRACT and the server's OpenAPI document name them. */

export type Status = 'active' | 'archived' | 'trashed' | 'quarantined';
export type StatusFilter = Status | 'empty' | 'all';
export type NamedBy = 'user' | 'agent' | 'auto' | 'none';

export interface Head {
  seq: number;
  hash: string;
}

export interface PermissionOption {
  optionId: string;
  name: string;
  kind: string;
}

export interface OpenPermission {
  id: string;
  item: string;
  options: PermissionOption[];
}

export interface Turn {
  id: string;
  state: string;
  permissions: OpenPermission[];
}

export interface Session {
  id: string;
  name: string;
  named_by: NamedBy;
  agent: string;
  cwd: string;
  status: Status;
  entries: number;
  head: Head;
  created_at: string;
  last_turn_at: string | null;
  running: boolean;
  turn: Turn | null;
  queue: { count: number; held: boolean };
  preview: string;
  pinned: boolean;
  unseen: boolean;
  interrupted: string | null;
  owner_window: string | null;
  empty: boolean;
  origin: unknown;
  bytes: number;
  draft: boolean;
  /** What is wrong with a quarantined one. */
  finding?: Finding | null;
}

export interface Entry {
  session_id: string;
  seq: number;
  at: string;
  kind: string;
  body: string | null;
  salt: string | null;
  body_hash: string;
  hash: string;
  erased: boolean;
  data_bytes?: number | null;
}

export interface OpenItem {
  item: string;
  ord: number;
  kind: string;
  turn: string | null;
  at: string;
  data: unknown;
  bytes: number;
}

export interface Attachment {
  hash: string;
  name: string;
  mime: string;
  bytes: number;
}

export interface Draft {
  session_id: string;
  window_id?: string | null;
  rev: number;
  text: string;
  attachments: Attachment[];
}

export interface Geometry {
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface ScrollPosition {
  session_id: string;
  seq: number;
  offset: number;
}

export interface WindowState {
  id: string;
  ordinal: number;
  session_id: string | null;
  open: boolean;
  attached: boolean;
  geometry: Geometry | null;
  scroll: ScrollPosition | null;
  draft: Draft | null;
  cursor?: string;
}

export interface Finding {
  kind: string;
  severity: 'info' | 'warning' | 'error';
  subject: { session?: string; [key: string]: unknown };
  detail: string;
  remedy: string;
}

export type ContentBlock =
  | { type: 'text'; text: string }
  | { type: 'blob'; hash: string; name: string; mime: string; bytes: number }
  | { type: 'image'; data: string; mimeType: string }
  | { type: 'resource_link'; uri: string; name?: string }
  | { type: string; [key: string]: unknown };

export interface QueueItem {
  turn_id: string;
  content: ContentBlock[];
  position: number;
}

export interface Queue {
  items: QueueItem[];
  held: boolean;
}

export interface Counts {
  active: number;
  archived: number;
  trashed: number;
  quarantined: number;
  empty: number;
}

export interface SessionPage {
  sessions: Session[];
  hidden: number;
  next: string | null;
  counts: Counts;
  total: number;
  cursor?: string;
}

export interface SessionFilter {
  q?: string;
  status?: StatusFilter;
  agent?: string;
  after?: string;
  limit?: number;
}

export interface EntryPage {
  session: Session;
  entries: Entry[];
  open_items: OpenItem[];
  next: string | null;
  cursor: string;
  verified: boolean;
  damage?: Finding | null;
}

export interface SearchResult {
  session: Session;
  session_id: string;
  seq: number;
  kind: string;
  snippet: string;
  at: string;
}

export interface SearchPage {
  results: SearchResult[];
  next: string | null;
  indexed_through: number;
  complete: boolean;
}

export interface Health {
  ok: boolean;
  version: string;
  saving: boolean;
  sessions: number;
  audit: { on_disk: number; active: number; archived: number; trashed: number; quarantined: number };
  root: string;
  verified_at: string | null;
  backed_up_at: string | null;
  findings: number;
  started_at: string;
}

export interface Agent {
  id: string;
  name: string;
  command: string;
  args: string[];
  builtin: boolean;
  available: boolean | null;
  detail: string | null;
  version: string | null;
}

export interface AgentCheck {
  ok: boolean;
  agent: Agent;
  error?: string | null;
}

export interface AgentSpec {
  id: string;
  name?: string;
  command: string;
  args: string[];
  env?: Record<string, string>;
}

export type Theme = 'system' | 'light' | 'dark';

export interface Config {
  default_agent: string;
  default_cwd: string;
  theme: Theme;
  remote_images: boolean;
}

export interface Folders {
  path: string;
  parent: string | null;
  folders: string[];
  home: string;
}

export interface SendRequest {
  turn_id: string;
  window_id: string;
  draft_rev: number;
  expected_head: Head;
  content: ContentBlock[];
  when_busy: 'queue' | 'refuse';
}

export interface Sent {
  turn_id: string;
  state: 'running' | 'queued';
  head: Head;
}

export type ContinueHow = 'resend' | 'continue' | 'hand_over';

export interface Job {
  id: string;
  kind: string;
  state: string;
  done: number;
  total: number;
  report?: { ok: boolean; root: string; sessions: number; entries: number; findings: Finding[] } | null;
  error?: Problem | null;
}

export interface Problem {
  type?: string;
  status: number;
  code: string;
  title: string;
  detail?: string;
  safe?: string;
  todo?: string;
  [key: string]: unknown;
}

/** One message of the change feed. */
export interface Change {
  cursor?: string;
  type: string;
  session_id?: string;
  window_id?: string;
  data?: unknown;
}

export interface OpenItemChange {
  item: string;
  ord: number;
  kind: string;
  turn: string | null;
  from: number;
  text?: string;
  updates?: unknown[];
}

export interface SavingStatus {
  saving: boolean;
  reason?: string;
  safe?: string;
}
