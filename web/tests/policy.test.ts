import { expect, test } from 'vitest';

const found = import.meta.glob<string>('../src/**/*.{svelte,ts}', { query: '?raw', import: 'default', eager: true });
const sources = Object.entries(found).map(([path, text]) => ({ path: path.replace('../src/', ''), text }));

// The page is served with style-src and script-src 'self' only: what is parsed as markup may hold neither.
test.each(sources)('$path holds no inline style or handler', ({ text }) => {
  expect(text).not.toMatch(/\sstyle="/);
  expect(text).not.toMatch(/<[a-z][^>]*\son[a-z]+="/);
});

test('HTML enters the page in one place', () => {
  const where = sources.filter(({ text }) => text.includes('{@html')).map(({ path }) => path);
  expect(where).toEqual(['lib/ui/Html.svelte']);
});

test('only lib/backend talks to the network', () => {
  const where = sources.filter(({ text }) => /\bfetch\(|new WebSocket|XMLHttpRequest|EventSource/.test(text)).map(({ path }) => path);
  expect(where.sort()).toEqual(['lib/backend/feed.ts', 'lib/backend/http.ts']);
});

// The licences that a package of Gander carries are those of `dependencies`. The compiler brings its runtime by itself.
test('what is built into the page is among the dependencies', async () => {
  const { dependencies } = await import('../package.json');
  const imported = sources.flatMap(({ text }) => [...text.matchAll(/(?:from|import|import\() ?'((?:@[\w-]+\/)?[\w-][\w.-]*)[^']*'/g)].map(([, name]) => name));
  expect(imported).toContain('lucide');
  const known = new Set<string | undefined>(['svelte', ...Object.keys(dependencies)]);
  expect(imported.filter((name) => !known.has(name))).toEqual([]);
});
