import { BackendError, Unreachable, type Backend, type EntryBounds, type FeedHandlers } from './backend';
import { openFeed } from './feed';
import type { Agent, AgentCheck, AgentCommand, Attachment, BackupList, BackupMade, BackupReport, Config, Draft, EntryPage, Finding, Folders, Handover, Health, Job, Moved, Problem, PruneReport, Purged, Queue, RestoreReport, SearchPage, Sent, Session, SessionFilter, SessionPage, UpgradeReport, WindowState } from './types';

const ROOT = '/api/v1';
const TIMEOUT_MS = 20_000;
/** For what reads or writes a whole store. */
const LONG_TIMEOUT_MS = 10 * 60_000;

type Query = Record<string, string | number | undefined>;

function address(path: string, query: Query = {}): string {
  const set = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== '') set.set(name, String(value));
  }
  const tail = set.toString();
  return `${ROOT}/${path}${tail ? `?${tail}` : ''}`;
}

async function request(method: string, url: string, init: RequestInit = {}, timeoutMs = TIMEOUT_MS): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, {
      ...init,
      method,
      credentials: 'same-origin',
      cache: 'no-store',
      signal: AbortSignal.timeout(timeoutMs),
    });
  } catch (cause) {
    throw new Unreachable(cause);
  }
  if (!response.ok) throw new BackendError(await problem(response));
  return response;
}

async function problem(response: Response): Promise<Problem> {
  try {
    const parsed: unknown = await response.json();
    if (typeof parsed === 'object' && parsed !== null && 'code' in parsed) {
      return { ...(parsed as Problem), status: response.status };
    }
  } catch {
    // Not a problem document: what is known is the status alone.
  }
  return { status: response.status, code: `http_${response.status}`, title: `Gander answered ${response.status}` };
}

/** What a page that goes away still sends is sent without it, as far as the browser allows (64 KiB in all; a character takes up to three bytes). */
let going = false;
const CARRIED = 16 * 1024;
globalThis.addEventListener?.('pagehide', (event) => (going = event.isTrusted), { capture: true });
globalThis.addEventListener?.('pageshow', () => (going = false));

async function json<T>(method: string, path: string, body?: unknown, query?: Query, timeoutMs?: number): Promise<T> {
  const init: RequestInit =
    body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
  init.keepalive = going && String(init.body ?? '').length < CARRIED;
  const response = await request(method, address(path, query), init, timeoutMs);
  if (response.status === 204) return undefined as T;
  const text = await response.text();
  return (text ? JSON.parse(text) : undefined) as T;
}

const get = <T>(path: string, query?: Query) => json<T>('GET', path, undefined, query);
const post = <T>(path: string, body: unknown = {}, timeoutMs?: number) => json<T>('POST', path, body, undefined, timeoutMs);
const id = encodeURIComponent;

/** Gander's own server, on the page's origin; the browser's grant cookie is the credential. */
export function httpBackend(): Backend {
  return {
    health: () => get<Health>('health'),
    config: () => get<Config>('config'),
    patchConfig: (patch) => json<Config>('PATCH', 'config', patch),
    agents: async () => (await get<{ agents: Agent[] }>('agents')).agents,
    addAgent: (spec) => post('agents', spec),
    removeAgent: (agent) => json('DELETE', `agents/${id(agent)}`),
    checkAgent: (agent) => post<AgentCheck>(`agents/${id(agent)}/check`),
    folders: (path) => get<Folders>('folders', { path }),

    windows: async () => (await get<{ windows: WindowState[] }>('windows')).windows,
    window: (w) => get<WindowState>(`windows/${id(w)}`),
    openWindow: (options) => post<WindowState>('windows', options),
    patchWindow: (w, patch) => json('PATCH', `windows/${id(w)}`, patch),
    closeWindow: (w) => json('DELETE', `windows/${id(w)}`),
    reopenWindow: (w) => post<WindowState>(`windows/${id(w)}/reopen`),
    focusWindow: (w) => post(`windows/${id(w)}/focus`),
    newChat: async (w, options) => (await post<{ session: Session }>(`windows/${id(w)}/new-chat`, options)).session,
    showSession: (w, session_id) => json('PUT', `windows/${id(w)}/session`, { session_id }),
    moveSession: (w, session_id, to) => post<Moved>(`windows/${id(w)}/move-session`, { session_id, to }),
    saveDraft: (w, draft) =>
      json('PUT', `windows/${id(w)}/draft`, {
        session_id: draft.session_id,
        rev: draft.rev,
        text: draft.text,
        attachments: draft.attachments,
      }),
    drafts: async (s) => (await get<{ drafts: Draft[] }>(`sessions/${id(s)}/drafts`)).drafts,

    putBlob: async (file, name): Promise<Attachment> => {
      const mime = file.type || 'application/octet-stream';
      const response = await request(
        'POST',
        address('blobs'),
        { body: file, headers: { 'content-type': mime } },
        LONG_TIMEOUT_MS,
      );
      const stored = (await response.json()) as { hash: string; bytes: number; mime: string };
      return { hash: stored.hash, bytes: stored.bytes, mime: stored.mime, name };
    },
    blobUrl: (hash) => `${ROOT}/blobs/${id(hash)}`,

    sessions: (filter: SessionFilter) => get<SessionPage>('sessions', { ...filter }),
    search: (q, after) => get<SearchPage>('search', { q, after }),
    session: async (s) => (await get<{ session: Session }>(`sessions/${id(s)}`)).session,
    patchSession: async (s, patch) => (await json<{ session: Session }>('PATCH', `sessions/${id(s)}`, patch)).session,
    entries: (s, bounds: EntryBounds) => get<EntryPage>(`sessions/${id(s)}/entries`, { ...bounds }),
    entryData: async (s, seq) => (await request('GET', address(`sessions/${id(s)}/entries/${seq}/data`))).text(),
    commands: async (s) => (await get<{ commands: AgentCommand[] }>(`sessions/${id(s)}/commands`)).commands,
    fork: async (s, at_seq, window_id) =>
      (await post<{ session: Session }>(`sessions/${id(s)}/fork`, { at_seq, window_id })).session,
    purge: (s) => post<Purged>(`sessions/${id(s)}/purge`, undefined, LONG_TIMEOUT_MS),
    redact: (s, seq) => post(`sessions/${id(s)}/redact`, { seq }),

    send: (s, body) => post<Sent>(`sessions/${id(s)}/turns`, body),
    cancel: (s, turn) => post(`sessions/${id(s)}/turns/${id(turn)}/cancel`),
    continueTurn: (s, turn, how, new_turn_id) =>
      post(`sessions/${id(s)}/turns/${id(turn)}/continue`, { new_turn_id, how }),
    answerPermission: (s, permission, option_id) => post(`sessions/${id(s)}/permissions/${id(permission)}`, { option_id }),
    queue: (s) => get<Queue>(`sessions/${id(s)}/queue`),
    patchQueue: (s, turn, patch) => json('PATCH', `sessions/${id(s)}/queue/${id(turn)}`, patch),
    deleteQueue: (s, turn) => json('DELETE', `sessions/${id(s)}/queue/${id(turn)}`),
    resumeQueue: (s) => post(`sessions/${id(s)}/queue/resume`),

    backups: () => get<BackupList>('backups'),
    backUp: () => post<BackupMade>('backups', undefined, LONG_TIMEOUT_MS),
    verifyBackups: () => post<BackupReport>('backups/verify', undefined, LONG_TIMEOUT_MS),
    restore: (snapshot, request) => post<RestoreReport>(`backups/${id(snapshot)}/restore`, request, LONG_TIMEOUT_MS),
    pruneBackups: (request) => post<PruneReport>('backups/prune', request, LONG_TIMEOUT_MS),

    upgrade: () => get<UpgradeReport>('upgrade'),
    upgradeSeen: (upgrade) => post('upgrade/seen', { id: upgrade }),
    takeOver: (when) => post(`upgrade/installed/${when}`),
    handover: () => get<Handover>('handover'),
    cancelHandover: () => json('DELETE', 'handover'),
    interruptForHandover: () => post('handover/interrupt'),

    findings: async () => (await get<{ findings: Finding[] }>('findings')).findings,
    startRepair: (session_id) => post<Job>('jobs/repair', { session_id }),
    startDrill: () => post<Job>('jobs/drill'),
    startVerify: () => post<Job>('jobs/verify'),
    job: (job) => get<Job>(`jobs/${id(job)}`),

    subscribe: (handlers: FeedHandlers, cursor?: string) => openFeed(handlers, `${ROOT}/changes`, cursor),
  };
}
