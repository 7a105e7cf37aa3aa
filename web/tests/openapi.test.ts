import { afterEach, expect, test, vi } from 'vitest';
import type { Backend } from '../src/lib/backend/backend';
import { httpBackend } from '../src/lib/backend/http';
import openapi from '../openapi.json';

interface Operation {
  parameters?: { name: string; in: string }[];
  requestBody?: { content: Record<string, { schema: { $ref?: string } }> };
}
interface Schema {
  properties?: Record<string, unknown>;
  required?: string[];
}

const paths = openapi.paths as unknown as Record<string, Record<string, Operation>>;
const schemas = openapi.components.schemas as unknown as Record<string, Schema>;
const head = { seq: 1, hash: 'h' };

/** Each request that the UI makes. */
const calls: Record<string, (b: Backend) => Promise<unknown>> = {
  health: (b) => b.health(),
  config: (b) => b.config(),
  patchConfig: (b) => b.patchConfig({ theme: 'dark', default_agent: 'a', default_cwd: '/' }),
  agents: (b) => b.agents(),
  addAgent: (b) => b.addAgent({ id: 'a', name: 'a', command: 'c', args: [] }),
  removeAgent: (b) => b.removeAgent('a'),
  checkAgent: (b) => b.checkAgent('a'),
  folders: (b) => b.folders('/'),
  windows: (b) => b.windows(),
  window: (b) => b.window('w'),
  openWindow: (b) => b.openWindow({ session_id: 's', cwd: '/', agent: 'a' }),
  patchWindow: (b) => b.patchWindow('w', { ordinal: 1, geometry: { x: 0, y: 0, width: 1, height: 1 }, scroll: { session_id: 's', seq: 1, offset: 0 } }),
  closeWindow: (b) => b.closeWindow('w'),
  reopenWindow: (b) => b.reopenWindow('w'),
  focusWindow: (b) => b.focusWindow('w'),
  newChat: (b) => b.newChat('w', { agent: 'a', cwd: '/' }),
  showSession: (b) => b.showSession('w', 's'),
  saveDraft: (b) => b.saveDraft('w', { session_id: 's', rev: 1, text: 't', attachments: [] }),
  drafts: (b) => b.drafts('s'),
  putBlob: (b) => b.putBlob(new Blob(['x']), 'x'),
  sessions: (b) => b.sessions({ q: 'q', status: 'all', agent: 'a', after: 'c', limit: 1 }),
  session: (b) => b.session('s'),
  patchSession: (b) => b.patchSession('s', { name: 'n', status: 'active', cwd: '/', pinned: true, seen: true, agent: 'a' }),
  entries: (b) => b.entries('s', { after: 1, before: 2, limit: 3 }),
  entryData: (b) => b.entryData('s', 1),
  fork: (b) => b.fork('s', 1, 'w'),
  purge: (b) => b.purge('s'),
  redact: (b) => b.redact('s', 1),
  send: (b) => b.send('s', { turn_id: 't', window_id: 'w', draft_rev: 1, expected_head: head, content: [], when_busy: 'queue' }),
  cancel: (b) => b.cancel('s', 't'),
  continueTurn: (b) => b.continueTurn('s', 't', 'resend', 'n'),
  answerPermission: (b) => b.answerPermission('s', 'p', 'o'),
  queue: (b) => b.queue('s'),
  patchQueue: (b) => b.patchQueue('s', 't', { content: [], position: 1 }),
  deleteQueue: (b) => b.deleteQueue('s', 't'),
  resumeQueue: (b) => b.resumeQueue('s'),
  findings: (b) => b.findings(),
  startVerify: (b) => b.startVerify(),
  job: (b) => b.job('j'),
  search: (b) => b.search('words', 'c'),
};

afterEach(() => void vi.unstubAllGlobals());

function operationFor(method: string, path: string): Operation | undefined {
  const fits = (template: string) => new RegExp(`^${template.replace(/\{[^}]+\}/g, '[^/]+')}$`).test(path);
  // A fixed segment goes before a parameter.
  const template = Object.keys(paths).filter(fits).sort((a, b) => a.split('{').length - b.split('{').length)[0];
  return template ? paths[template]?.[method.toLowerCase()] : undefined;
}

test.each(Object.entries(calls))('%s is an operation of the document, with its fields', async (_name, call) => {
  const seen: { method: string; url: URL; body: unknown }[] = [];
  vi.stubGlobal('fetch', async (url: string, init: RequestInit) => {
    const body = typeof init.body === 'string' ? JSON.parse(init.body) : undefined;
    seen.push({ method: init.method ?? 'GET', url: new URL(url, 'http://127.0.0.1'), body });
    return new Response('{}');
  });
  await call(httpBackend());
  expect(seen).toHaveLength(1);
  for (const { method, url, body } of seen) {
    const operation = operationFor(method, url.pathname);
    expect(operation, `${method} ${url.pathname}`).toBeDefined();
    const query = operation?.parameters?.filter((p) => p.in === 'query').map((p) => p.name) ?? [];
    for (const name of url.searchParams.keys()) expect(query).toContain(name);
    const ref = operation?.requestBody?.content['application/json']?.schema.$ref?.split('/').pop();
    if (body !== undefined && ref) {
      const schema = schemas[ref];
      for (const name of Object.keys(body as object)) expect(Object.keys(schema?.properties ?? {})).toContain(name);
      for (const name of schema?.required ?? []) expect(Object.keys(body as object)).toContain(name);
    }
  }
});
