/**
 * Code highlighting. Its output is spans with classes, nothing else. The highlighter comes with the first code that is shown, and each
 * language when it is: all of them together cost a window 5 MB.
 */
import type { HLJSApi, LanguageFn } from 'highlight.js';

type Grammar = () => Promise<{ default: LanguageFn }>;

// Maps: an agent names its fences as it likes, `constructor` too.
const GRAMMARS = new Map<string, Grammar>(Object.entries({
  bash: () => import('highlight.js/lib/languages/bash'),
  c: () => import('highlight.js/lib/languages/c'),
  cpp: () => import('highlight.js/lib/languages/cpp'),
  csharp: () => import('highlight.js/lib/languages/csharp'),
  css: () => import('highlight.js/lib/languages/css'),
  diff: () => import('highlight.js/lib/languages/diff'),
  go: () => import('highlight.js/lib/languages/go'),
  graphql: () => import('highlight.js/lib/languages/graphql'),
  ini: () => import('highlight.js/lib/languages/ini'),
  java: () => import('highlight.js/lib/languages/java'),
  javascript: () => import('highlight.js/lib/languages/javascript'),
  json: () => import('highlight.js/lib/languages/json'),
  kotlin: () => import('highlight.js/lib/languages/kotlin'),
  less: () => import('highlight.js/lib/languages/less'),
  lua: () => import('highlight.js/lib/languages/lua'),
  makefile: () => import('highlight.js/lib/languages/makefile'),
  markdown: () => import('highlight.js/lib/languages/markdown'),
  objectivec: () => import('highlight.js/lib/languages/objectivec'),
  perl: () => import('highlight.js/lib/languages/perl'),
  php: () => import('highlight.js/lib/languages/php'),
  'php-template': () => import('highlight.js/lib/languages/php-template'),
  python: () => import('highlight.js/lib/languages/python'),
  'python-repl': () => import('highlight.js/lib/languages/python-repl'),
  r: () => import('highlight.js/lib/languages/r'),
  ruby: () => import('highlight.js/lib/languages/ruby'),
  rust: () => import('highlight.js/lib/languages/rust'),
  scss: () => import('highlight.js/lib/languages/scss'),
  shell: () => import('highlight.js/lib/languages/shell'),
  sql: () => import('highlight.js/lib/languages/sql'),
  swift: () => import('highlight.js/lib/languages/swift'),
  typescript: () => import('highlight.js/lib/languages/typescript'),
  vbnet: () => import('highlight.js/lib/languages/vbnet'),
  wasm: () => import('highlight.js/lib/languages/wasm'),
  xml: () => import('highlight.js/lib/languages/xml'),
  yaml: () => import('highlight.js/lib/languages/yaml'),
}));

/** What may stand inside of a language. */
const PARTS = new Map(Object.entries({
  javascript: ['xml', 'css', 'graphql'],
  typescript: ['xml', 'css', 'graphql'],
  xml: ['css', 'javascript'],
  markdown: ['xml'],
  'php-template': ['xml', 'php'],
  'python-repl': ['python'],
  shell: ['bash'],
  yaml: ['ruby'],
}));

/** Other names that a fence, or the end of a file's name, has for a language. */
const NAMES = new Map<string, string>();
for (const [language, names] of Object.entries({
  bash: 'sh zsh', c: 'h', cpp: 'cc c++ h++ hpp hh hxx cxx', csharp: 'cs c#', diff: 'patch', go: 'golang', graphql: 'gql', ini: 'toml', java: 'jsp',
  javascript: 'js jsx mjs cjs', json: 'jsonc json5', kotlin: 'kt kts', makefile: 'mk mak make', markdown: 'md mkd', objectivec: 'mm objc obj-c',
  perl: 'pl pm', python: 'py gyp ipython', 'python-repl': 'pycon', ruby: 'rb gemspec irb', rust: 'rs', shell: 'console shellsession',
  typescript: 'ts tsx mts cts', vbnet: 'vb', xml: 'html xhtml svg plist svelte vue rss xsl', yaml: 'yml',
})) for (const name of names.split(' ')) NAMES.set(name, language);

const LARGEST = 200_000;

let highlighter: HLJSApi | null = null;
const loading = new Map<string, Promise<void>>();

const named = (language: string) => NAMES.get(language.toLowerCase()) ?? language.toLowerCase();

export const languageOf = (path: string): string => named(path.split('.').pop() ?? '');

/** Whether nothing more has to be loaded to colour this language, be it that nothing colours it. */
export const isReady = (language: string): boolean => {
  const name = named(language);
  return !GRAMMARS.has(name) || highlighter?.getLanguage(name) !== undefined;
};

/** Loads what colours a language, and what may stand in it. */
export async function loadLanguage(language: string): Promise<void> {
  const wanted = [named(language)];
  for (const name of wanted) wanted.push(...(PARTS.get(name) ?? []).filter((part) => !wanted.includes(part)));
  await Promise.all(wanted.map((name) => loadOne(name)));
}

function loadOne(name: string): Promise<void> {
  const grammar = GRAMMARS.get(name);
  if (!grammar) return Promise.resolve();
  const known = loading.get(name);
  if (known) return known;
  const load = Promise.all([import('highlight.js/lib/core'), grammar()]).then(([core, { default: define }]) => {
    highlighter = core.default;
    highlighter.registerLanguage(name, define);
  });
  // What could not be loaded is tried again with the next code.
  load.catch(() => loading.delete(name));
  loading.set(name, load);
  return load;
}

/** Escaped HTML of `code`; null where its language is unknown or not here yet, or the code is too large to colour. */
export function highlightNow(code: string, language: string): string | null {
  const name = named(language);
  if (!highlighter?.getLanguage(name) || code.length > LARGEST) return null;
  return highlighter.highlight(code, { language: name, ignoreIllegals: true }).value;
}

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
