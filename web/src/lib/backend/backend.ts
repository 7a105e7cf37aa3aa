import type {
  Agent, AgentCheck, AgentCommand, AgentSpec, Attachment, BackupList, BackupMade, BackupReport, Change, Config, ContentBlock, ContinueHow, Draft, EntryPage, Finding, Folders, Geometry, Handover, Head, Health,
  Job, Moved, Problem, PruneReport, PruneRequest, Purged, Queue, RestoreReport, RestoreRequest, ScrollPosition, SearchPage, SendRequest, Sent, Session, SessionFilter, SessionPage, Status, UpgradeReport, WindowState,
} from './types';

/** What the server refused, in its own words. `code` is stable; the rest is for people. */
export class BackendError extends Error {
  readonly problem: Problem;
  constructor(problem: Problem) {
    super(problem.detail ?? problem.title);
    this.name = 'BackendError';
    this.problem = problem;
  }
  get code(): string {
    return this.problem.code;
  }
}

/** The server could not be reached at all: nothing is known about what became of the request. */
export class Unreachable extends Error {
  constructor(cause?: unknown) {
    super('Gander cannot be reached.', { cause });
    this.name = 'Unreachable';
  }
}

export type Connection = 'connecting' | 'live' | 'reconnecting';

export interface FeedHandlers {
  change(change: Change): void;
  connection(state: Connection): void;
  /** Everything read before may be stale: read it again. */
  reset(): void;
}

export interface Feed {
  /** This tab shows `windowId`; an earlier tab on it is told that it was taken over. */
  attach(windowId: string, tab: string): void;
  focus(): void;
  retryNow(): void;
  close(): void;
}

export interface EntryBounds {
  after?: number;
  before?: number;
  limit?: number;
}

export interface SessionPatch {
  name?: string;
  status?: Exclude<Status, 'quarantined'>;
  cwd?: string;
  pinned?: boolean;
  seen?: boolean;
  agent?: string;
}

export interface WindowPatch {
  geometry?: Geometry;
  ordinal?: number;
  scroll?: ScrollPosition;
}

/** Everything that the UI may ask of the server. Components know this and nothing of HTTP. */
export interface Backend {
  health(): Promise<Health>;
  config(): Promise<Config>;
  patchConfig(patch: Partial<Config>): Promise<Config>;
  agents(): Promise<Agent[]>;
  addAgent(spec: AgentSpec): Promise<void>;
  removeAgent(id: string): Promise<void>;
  checkAgent(id: string): Promise<AgentCheck>;
  folders(path?: string): Promise<Folders>;

  windows(): Promise<WindowState[]>;
  window(id: string): Promise<WindowState>;
  openWindow(options: { session_id?: string; cwd?: string; agent?: string }): Promise<WindowState>;
  patchWindow(id: string, patch: WindowPatch): Promise<void>;
  closeWindow(id: string): Promise<void>;
  reopenWindow(id: string): Promise<WindowState>;
  focusWindow(id: string): Promise<void>;
  newChat(windowId: string, options: { agent?: string; cwd?: string }): Promise<Session>;
  showSession(windowId: string, sessionId: string): Promise<{ window: WindowState; session: Session }>;
  /** To another open window, or to a new one; what was typed goes along, and the first window shows a new chat. */
  moveSession(windowId: string, sessionId: string, to?: string): Promise<Moved>;
  saveDraft(windowId: string, draft: Draft): Promise<void>;
  drafts(sessionId: string): Promise<Draft[]>;

  putBlob(file: Blob, name: string): Promise<Attachment>;
  blobUrl(hash: string): string;

  sessions(filter: SessionFilter): Promise<SessionPage>;
  search(q: string, after?: string): Promise<SearchPage>;
  session(id: string): Promise<Session>;
  patchSession(id: string, patch: SessionPatch): Promise<Session>;
  entries(id: string, bounds: EntryBounds): Promise<EntryPage>;
  entryData(id: string, seq: number): Promise<string>;
  /** What the session's agent offers after a slash. */
  commands(id: string): Promise<AgentCommand[]>;
  fork(id: string, atSeq: number, windowId?: string): Promise<Session>;
  /** Erases what a trashed session says, and tells what its agents still keep. */
  purge(id: string): Promise<Purged>;
  redact(id: string, seq: number): Promise<void>;

  send(sessionId: string, request: SendRequest): Promise<Sent>;
  cancel(sessionId: string, turnId: string): Promise<void>;
  continueTurn(sessionId: string, turnId: string, how: ContinueHow, newTurnId: string): Promise<void>;
  answerPermission(sessionId: string, permissionId: string, optionId: string): Promise<void>;
  queue(sessionId: string): Promise<Queue>;
  patchQueue(sessionId: string, turnId: string, patch: { content?: ContentBlock[]; position?: number }): Promise<void>;
  deleteQueue(sessionId: string, turnId: string): Promise<void>;
  resumeQueue(sessionId: string): Promise<void>;

  backups(): Promise<BackupList>;
  backUp(): Promise<BackupMade>;
  verifyBackups(): Promise<BackupReport>;
  /** Only adds; with `dry_run` only says what would happen. */
  restore(snapshot: string, request: RestoreRequest): Promise<RestoreReport>;
  pruneBackups(request: PruneRequest): Promise<PruneReport>;

  /** What an upgrade is doing, or did last. A server that knows nothing of upgrades has none. */
  upgrade(): Promise<UpgradeReport>;
  /** A person has seen how it ended. */
  upgradeSeen(id: string): Promise<void>;
  /** The version in the installed program's place takes over now, or is left alone. */
  takeOver(when: 'now' | 'later'): Promise<void>;
  handover(): Promise<Handover>;
  cancelHandover(): Promise<void>;
  /** Interrupts the turns that a handover waits for; they can be continued afterwards. */
  interruptForHandover(): Promise<void>;

  findings(): Promise<Finding[]>;
  startVerify(): Promise<Job>;
  /** Heals a damaged session from the newest snapshot that fits. */
  startRepair(sessionId: string): Promise<Job>;
  /** Restores the newest snapshot into a scratch store and compares. */
  startDrill(): Promise<Job>;
  job(id: string): Promise<Job>;

  /** Changes after `cursor` (what was read first gave it), or from now. */
  subscribe(handlers: FeedHandlers, cursor?: string): Feed;
}

export type { Head };
