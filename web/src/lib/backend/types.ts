/**
 * The wire's shapes. They come from the server's OpenAPI document (`npm run generate`); here only what it leaves open is said more
 * closely: words instead of any string, and the shapes inside what it calls an object. A field that the document does not have
 * is an error.
 */
import type { components } from './schema';

type Wire = components['schemas'];
type Closer<T, R extends { [K in keyof R]: K extends keyof T ? unknown : never }> = Omit<T, keyof R> & R;

export type Status = 'active' | 'archived' | 'trashed' | 'quarantined';
export type StatusFilter = Status | 'empty' | 'all';
export type NamedBy = 'user' | 'agent' | 'auto' | 'none';
export type Theme = 'system' | 'light' | 'dark';
export type ContinueHow = 'resend' | 'continue' | 'hand_over';

export type Head = Wire['Head'];
export type Counts = Wire['Counts'];
export type Entry = Closer<Wire['Entry'], { body: string | null; salt: string | null }>;
export type OpenItem = Closer<Wire['OpenItem'], { turn: string | null; data: unknown }>;

export interface PermissionOption {
  optionId: string;
  name: string;
  kind: string;
}

export type OpenPermission = Closer<Wire['OpenPermission'], { options: PermissionOption[] }>;
export type Turn = Closer<Wire['Turn'], { permissions: OpenPermission[] }>;

export type Finding = Closer<
  Wire['Finding'],
  { severity: 'info' | 'warning' | 'error'; subject: { session?: string; [key: string]: unknown } }
>;

export type Session = Closer<
  Wire['Session'],
  {
    status: Status;
    named_by: NamedBy;
    last_turn_at: string | null;
    turn: Turn | null;
    interrupted: string | null;
    owner_window: string | null;
    origin: unknown;
    finding?: Finding | null;
  }
>;

export interface Attachment {
  hash: string;
  name: string;
  mime: string;
  bytes: number;
}

export type Draft = Closer<Wire['Draft'], { attachments: Attachment[] }>;

export interface Geometry {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** Where a reader is: pixels into an entry; entry 0 stands for the end. */
export interface ScrollPosition {
  session_id: string;
  seq: number;
  offset: number;
}

export type WindowState = Closer<
  Wire['Window'],
  { session_id: string | null; geometry: Geometry | null; scroll: ScrollPosition | null; draft: Draft | null; cursor?: string }
>;

export type Moved = Closer<Wire['Moved'], { window: WindowState; from: WindowState }>;

export type ContentBlock =
  | { type: 'text'; text: string }
  | { type: 'blob'; hash: string; name: string; mime: string; bytes: number }
  | { type: 'image'; data: string; mimeType: string }
  | { type: 'resource_link'; uri: string; name?: string }
  | { type: string; [key: string]: unknown };

export type QueueItem = Closer<Wire['QueueItem'], { content: ContentBlock[] }>;
export type Queue = Closer<Wire['Queue'], { items: QueueItem[] }>;

export type SessionPage = Closer<Wire['Sessions'], { sessions: Session[]; next: string | null }>;

export interface SessionFilter {
  q?: string;
  status?: StatusFilter;
  agent?: string;
  after?: string;
  limit?: number;
}

export type EntryPage = Closer<
  Wire['Entries'],
  { session: Session; entries: Entry[]; open_items: OpenItem[]; next: string | null; damage?: Finding | null }
>;

export type SearchResult = Closer<Wire['SearchResult'], { session: Session }>;
export type SearchPage = Closer<Wire['SearchPage'], { results: SearchResult[]; next: string | null }>;

export type Health = Closer<Wire['Health'], { verified_at: string | null; backed_up_at: string | null }>;
export type Agent = Closer<Wire['Agent'], { version: string | null }>;
export type AgentCheck = Closer<Wire['AgentCheck'], { agent: Agent }>;
export type AgentSpec = Closer<Wire['NewAgent'], { args: string[] }>;
export type Config = Closer<Wire['Config'], { theme: Theme }>;
export type Folders = Closer<Wire['Folders'], { parent: string | null }>;

export type SendRequest = Closer<
  Wire['SendBody'],
  { window_id: string; draft_rev: number; content: ContentBlock[]; when_busy: 'queue' | 'refuse' }
>;
export type Sent = Closer<Wire['Sent'], { state: 'running' | 'queued'; repeated?: boolean }>;

/** RFC 9457, with what an operation adds (`head`, `current`, `finding`). An answer that is no problem document has the first three. */
export interface Problem {
  status: Wire['Problem']['status'];
  code: Wire['Problem']['code'];
  title: Wire['Problem']['title'];
  detail?: Wire['Problem']['detail'];
  safe?: Wire['Problem']['safe'];
  todo?: Wire['Problem']['todo'];
  [key: string]: unknown;
}

export type VerifyReport = Closer<Wire['VerifyReport'], { findings: Finding[] }>;
export type Job = Closer<Wire['Job'], { state: string; report: VerifyReport | null; error: Problem | null }>;

export type AgentCommand = Wire['Commands']['commands'][number];
export type Purged = Closer<Wire['Purged'], { session: Session }>;

export type Backup = Wire['Backup'];
export type BackupList = Closer<Wire['BackupList'], { findings: Finding[] }>;
export type BackupMade = Closer<Wire['BackupMade'], { findings: Finding[] }>;
export type BackupReport = Closer<Wire['BackupReport'], { findings: Finding[] }>;
export type RestoreRequest = Partial<Wire['RestoreBody']>;
export type RestoreReport = Closer<Wire['RestoreReport'], { findings: Finding[] }>;
export type PruneRequest = Partial<Wire['PruneBody']>;
export type PruneReport = Wire['PruneReport'];

/** One message of the change feed. */
export type Change = Closer<Wire['Change'], { cursor?: string; session_id?: string; window_id?: string; data?: unknown }>;

export interface OpenItemChange {
  item: string;
  ord: number;
  kind: string;
  turn: string | null;
  /** How much of the item came before: bytes of a text, else updates. */
  from: number;
  text?: string;
  updates?: unknown[];
  /** Bytes of a part that is told when the item is complete. */
  large?: number;
}

export interface SavingStatus {
  saving: boolean;
  reason?: string;
  safe?: string;
}

/** A handover to another version, or none: the same document from `GET handover` and from the change `handover`. */
export type Handover = Closer<Wire['Handover'], { state: 'none' | 'waiting' | 'frozen' | 'sealed' }>;

/** Another version in the installed program's place: in the report, and from the change `installed`. */
export type Installed = Closer<Wire['Installed'], { state: 'waits' | 'offered' | 'later' | 'taking_over' | 'unfit' }>;

export type UpgradeRun = Wire['Upgrade'];
export type UpgradeReport = Wire['UpgradeStatus'];
