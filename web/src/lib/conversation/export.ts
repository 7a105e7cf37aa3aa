import type { Backend } from '../backend/backend';
import type { Entry, Session } from '../backend/types';
import { bodyOf, planOf, textOf, toolCallOf } from './entry';
import { contentOf, promptText } from './rows';
import { asText, describe } from './tools';

const PAGE = 500;

async function all(backend: Backend, session: Session): Promise<Entry[]> {
  const entries: Entry[] = [];
  for (let after = 0; ; ) {
    const page = await backend.entries(session.id, { after, limit: PAGE });
    entries.push(...page.entries);
    const last = page.entries[page.entries.length - 1];
    if (!last || page.entries.length < PAGE) return entries;
    after = last.seq;
  }
}

/** Longer than any run of backticks inside, so that the text cannot end its fence. */
function fenced(text: string, language = ''): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map((run) => run[0].length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}${language}\n${text.replace(/\n$/, '')}\n${fence}`;
}

export function asMarkdown(session: Session, entries: readonly Entry[]): string {
  const parts = [`# ${session.name || 'Untitled'}`, `Session ${session.id}, ${session.agent} in ${session.cwd}, head ${session.head.seq} ${session.head.hash}`];
  for (const entry of entries) {
    const body = bodyOf(entry);
    if (entry.erased) {
      parts.push(`*Entry ${entry.seq} was erased.*`);
      continue;
    }
    if (body.dataRef) {
      parts.push(`*Entry ${entry.seq} holds ${body.dataRef.bytes} bytes that are not in this file.*`);
      continue;
    }
    if (entry.kind === 'prompt') parts.push(`## ${entry.at}`, fenced(promptText(contentOf(body)), 'prompt'));
    else if (entry.kind === 'message') parts.push(textOf(body.data).text);
    else if (entry.kind === 'plan') parts.push(planOf(body.data).map((step) => `- [${step.status === 'completed' ? 'x' : ' '}] ${step.content}`).join('\n'));
    else if (entry.kind === 'tool_call') {
      const call = toolCallOf(body.data);
      const said = describe(call, session.cwd, false);
      parts.push(`**${[said.verb, said.target].filter(Boolean).join(' ')}** (${call.status})`);
      for (const content of call.content) {
        if (content.type === 'diff') parts.push(fenced(content.newText ?? '', content.path?.split('.').pop() ?? ''));
        else if (content.content?.type === 'text') parts.push(fenced(asText((content.content as { text?: unknown }).text)));
      }
      for (const terminal of call.terminals.values()) parts.push(fenced(terminal.text));
    } else if (entry.kind === 'turn_ended') {
      const state = (body.data as { state?: string } | null)?.state;
      if (state && state !== 'ended') parts.push(`*The turn was ${state === 'not_sent' ? 'not sent' : state}.*`);
    }
  }
  return `${parts.join('\n\n')}\n`;
}

/** One session or several as one file: JSON with every byte that their hashes cover, or Markdown to be read. */
export async function exported(backend: Backend, sessions: readonly Session[], format: 'markdown' | 'json'): Promise<File> {
  const read = [];
  for (const session of sessions) read.push({ session, entries: await all(backend, session) });
  const [first] = read;
  const title = read.length === 1 && first ? first.session.name || 'session' : `${read.length} sessions`;
  const name = title.replace(/[^\p{L}\p{N} ._-]+/gu, ' ').trim().slice(0, 80) || 'session';
  return format === 'json'
    ? new File([JSON.stringify(read.length === 1 ? first : { sessions: read }, null, 2)], `${name}.json`, { type: 'application/json' })
    : new File([read.map(({ session, entries }) => asMarkdown(session, entries)).join('\n---\n\n')], `${name}.md`, { type: 'text/markdown' });
}
