/** Code highlighting, loaded with the first code that is shown. Its output is spans with classes, nothing else. */
import type { HLJSApi } from 'highlight.js';

type Highlighter = HLJSApi;

let loading: Promise<Highlighter> | null = null;
const LARGEST = 200_000;

const BY_EXTENSION: Record<string, string> = {
  rs: 'rust', ts: 'typescript', tsx: 'typescript', js: 'javascript', jsx: 'javascript', mjs: 'javascript', py: 'python', sh: 'bash', zsh: 'bash', yml: 'yaml',
  md: 'markdown', svelte: 'xml', html: 'xml', toml: 'ini', h: 'c', cc: 'cpp', hpp: 'cpp', cs: 'csharp', kt: 'kotlin', rb: 'ruby',
};

export const languageOf = (path: string): string => {
  const extension = path.split('.').pop()?.toLowerCase() ?? '';
  return BY_EXTENSION[extension] ?? extension;
};

let ready: Highlighter | null = null;

export async function loadHighlighter(): Promise<void> {
  loading ??= import('highlight.js/lib/common').then((module) => module.default);
  ready = await loading;
}

/** Escaped HTML of `code`; null where its language is unknown, it is too large to colour, or the highlighter is not here yet. */
export function highlightNow(code: string, language: string): string | null {
  if (!ready || !language || code.length > LARGEST) return null;
  const name = BY_EXTENSION[language] ?? language;
  if (!ready.getLanguage(name)) return null;
  return ready.highlight(code, { language: name, ignoreIllegals: true }).value;
}

export const isReady = () => ready !== null;

/** The same by line, each line's spans closed and opened again. */
export function highlightLines(code: string, language: string): string[] | null {
  const html = highlightNow(code, language);
  if (html === null) return null;
  let open: string[] = [];
  return html.split('\n').map((line) => {
    const before = open.join('');
    for (const [tag] of line.matchAll(/<span[^>]*>|<\/span>/g)) {
      if (tag === '</span>') open = open.slice(0, -1);
      else open = [...open, tag];
    }
    return before + line + '</span>'.repeat(open.length);
  });
}
