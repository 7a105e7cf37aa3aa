import { describe, expect, test } from 'vitest';
import { fileDiff, folded } from '../src/lib/conversation/diff';
import { toolCallOf } from '../src/lib/conversation/entry';
import { describe as said, summaryOf } from '../src/lib/conversation/tools';
import { matches, snippetParts } from '../src/lib/shell/match';
import { highlightLines, highlightNow, isReady, languageOf, loadLanguage } from '../src/lib/text/highlight';
import { plainTerminal, terminalLine } from '../src/lib/text/terminal';

describe('diffs', () => {
  test('lines are counted and numbered on both sides', () => {
    const diff = fileDiff('a\nb\nc\n', 'a\nB\nc\nd\n');
    expect(diff.lines.map((l) => `${l.mark}${l.before ?? '.'}${l.after ?? '.'}${l.text}`)).toEqual([' 11a', '-2.b', '+.2B', ' 33c', '+.4d']);
    expect([diff.added, diff.removed]).toEqual([2, 1]);
  });

  test('long unchanged stretches fold, and open again', () => {
    const before = Array.from({ length: 40 }, (_, n) => `line ${n}`);
    const diff = fileDiff(before.join('\n'), before.with(20, 'changed').join('\n'));
    const lines = folded(diff.lines, new Set());
    expect(lines.filter((l) => l.mark === '…').map((l) => l.folded)).toEqual([17, 16]);
    expect(folded(diff.lines, new Set([1, 22]))).toHaveLength(diff.lines.length);
  });

  test('changes all over a long file are found one by one, and both sides can be read back', () => {
    const before = Array.from({ length: 6000 }, (_, n) => (n % 9 === 0 ? '}' : `line ${n}`));
    const after = before.flatMap((line, n) => (n % 6 === 3 ? [`changed ${n}`] : n % 500 === 7 ? [] : n % 700 === 1 ? [line, 'new', '}'] : [line]));
    const diff = fileDiff(before.join('\n'), after.join('\n'));
    expect(diff.lines.filter((l) => l.mark !== '+').map((l) => l.text)).toEqual(before);
    expect(diff.lines.filter((l) => l.mark !== '-').map((l) => l.text)).toEqual(after);
    expect(diff.lines.filter((l) => l.before !== null).map((l) => l.before)).toEqual(before.map((_, n) => n + 1));
    expect([diff.added, diff.removed]).toEqual([1012, 1008]);
  });

  test('a block that moved is kept once and told at its new place', () => {
    const diff = fileDiff('one\ntwo\nthree\nfour\n', 'three\nfour\none\ntwo\n');
    expect(diff.lines.filter((l) => l.mark !== '+').map((l) => l.text)).toEqual(['one', 'two', 'three', 'four']);
    expect(diff.lines.filter((l) => l.mark !== '-').map((l) => l.text)).toEqual(['three', 'four', 'one', 'two']);
    expect(diff.added).toBe(2);
  });

  test('two large texts that share nothing are answered in time', () => {
    const lines = (tag: string) => Array.from({ length: 20_000 }, (_, n) => `${tag}${n * 7919}`).join('\n');
    const diff = fileDiff(lines('a'), lines('b'));
    expect([diff.added, diff.removed]).toEqual([20_000, 20_000]);
  });
});

test('highlighted lines close and open their spans', async () => {
  await loadLanguage('typescript');
  const lines = highlightLines('/* a\nb */ let x = "<b>";', 'typescript') ?? [];
  expect(lines).toHaveLength(2);
  for (const line of lines) expect(line.match(/<span/g)?.length).toBe(line.match(/<\/span>/g)?.length);
  expect(lines.join('')).not.toContain('<b>');
});

test('a language comes with what may stand in it, by whichever of its names', async () => {
  expect(isReady('console')).toBe(false);
  expect(highlightNow('$ echo "a"', 'console')).toBe(null);
  await loadLanguage('Console');
  expect(highlightNow('$ echo "a"', languageOf('a.ShellSession'))).toContain('language-bash');
  expect(isReady('no such language')).toBe(true);
  expect(highlightNow('x', 'no such language')).toBe(null);
});

test('a fence may be named like what every object has', async () => {
  await loadLanguage('json');
  for (const name of ['constructor', '__proto__', 'toString', 'valueOf']) {
    await loadLanguage(name);
    expect([isReady(name), highlightNow('x', name)]).toEqual([true, null]);
  }
});

describe('terminals', () => {
  test('colours become classes, everything else is dropped', () => {
    const { spans } = terminalLine('\u001b[1;31mred\u001b[0m plain\u001b[2K\u001b]0;title\u0007');
    expect(spans).toEqual([{ text: 'red', style: 'bold fg-red' }, { text: ' plain', style: '' }]);
  });

  test('a line that was overwritten shows what was seen last', () => {
    expect(terminalLine('10 %\r50 %\r100 %\r').spans).toEqual([{ text: '100 %', style: '' }]);
    expect(plainTerminal('\u001b[31mx\u001b[0m')).toBe('x');
  });
});

describe('tool calls', () => {
  const updates = [
    { sessionUpdate: 'tool_call', toolCallId: 'c', title: 'Read src/a.rs', kind: 'read', status: 'pending', locations: [{ path: '/w/src/a.rs', line: 3 }] },
    { sessionUpdate: 'tool_call_update', toolCallId: 'c', status: 'completed', content: [{ type: 'content', content: { type: 'text', text: 'x' } }] },
  ];
  test('later updates replace earlier fields', () => {
    expect(toolCallOf(updates)).toMatchObject({ title: 'Read src/a.rs', status: 'completed', content: [{ type: 'content' }] });
  });

  test('one line says the verb and the target once', () => {
    expect(said(toolCallOf(updates), '/w', false)).toEqual({ verb: 'Read', target: 'src/a.rs:3', code: true });
    expect(summaryOf([toolCallOf(updates), toolCallOf(updates), toolCallOf([{ kind: 'execute' }])])).toBe('Read 2, ran 1');
  });

  test('what a terminal printed is kept by terminal, with how it ended', () => {
    const call = toolCallOf([
      { sessionUpdate: '_gander_terminal_chunk', terminalId: 't', content: { type: 'text', text: 'a' } },
      { sessionUpdate: '_gander_terminal_chunk', terminalId: 't', content: { type: 'text', text: 'b' } },
      { sessionUpdate: '_gander_terminal_exit', terminalId: 't', code: 2 },
    ]);
    expect(call.terminals.get('t')).toEqual({ text: 'ab', end: 'exit status 2' });
  });
});

test('the palette matches words by their beginnings', () => {
  expect(matches('Reopen the last closed window', 're win')).toBe(true);
  expect(matches('Reopen the last closed window', 'open')).toBe(false);
  expect(snippetParts('a \u0002b\u0003 c')).toEqual([{ text: 'a ', hit: false }, { text: 'b', hit: true }, { text: ' c', hit: false }]);
});
