import type { Entry } from '../backend/types';
import { bodyOf, planOf, textOf, toolCallOf } from './entry';
import { contentOf, promptText } from './rows';
import { asText } from './tools';

const texts = new WeakMap<Entry, string>();

function searchable(entry: Entry): string {
  const known = texts.get(entry);
  if (known !== undefined) return known;
  const { data } = bodyOf(entry);
  let text = '';
  if (entry.kind === 'prompt') text = promptText(contentOf(bodyOf(entry)));
  else if (entry.kind === 'message' || entry.kind === 'thought') text = textOf(data).text;
  else if (entry.kind === 'plan') text = planOf(data).map((step) => step.content).join('\n');
  else if (entry.kind === 'tool_call') {
    const call = toolCallOf(data);
    const parts = call.content.map((c) => (c.type === 'diff' ? `${c.path}\n${c.newText}` : asText((c.content as { text?: unknown } | undefined)?.text)));
    text = [call.title, ...parts].join('\n');
  }
  const lower = text.toLowerCase();
  texts.set(entry, lower);
  return lower;
}

/** The entries that hold `words`, in order. */
export function findIn(entries: readonly Entry[], words: string): number[] {
  const lower = words.toLowerCase();
  return entries.filter((entry) => searchable(entry).includes(lower)).map((entry) => entry.seq);
}
