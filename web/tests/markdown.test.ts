import { describe, expect, test } from 'vitest';
import { GrowingMarkdown, renderMarkdown } from '../src/lib/text/markdown';

const dom = (text: string) => {
  const root = document.createElement('div');
  root.innerHTML = renderMarkdown(text);
  return root;
};

describe('what an agent writes is inert', () => {
  const hostile = [
    '<script>alert(1)</script>',
    '<img src=x onerror=alert(1)>',
    '<svg onload=alert(1)>',
    '[x](javascript:alert(1))',
    '[x](JaVaScRiPt&#58;alert(1))',
    '[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)',
    '![x](javascript:alert(1))',
    '![x](https://tracker.example/pixel.png)',
    '![x" onerror="alert(1)](https://x.example/)',
    '[x]("onmouseover=alert(1) )',
    '<a href="https://x.example" style="position:fixed;inset:0" onclick="alert(1)">x</a>',
    '<iframe src="https://x.example"></iframe><form action="https://x.example"><input></form>',
    '```html\n<script>alert(1)</script>\n```',
    '```"><script>alert(1)</script>\ncode\n```',
    '<style>*{display:none}</style>',
    '| a |\n|:-:|\n| <b style="x">b</b> |',
    'https://x.example/"onmouseover="alert(1)',
  ];
  test.each(hostile)('%s', (text) => {
    const root = dom(text);
    expect(root.querySelector('script, iframe, svg, style, form, input, object, embed, link, meta')).toBeNull();
    for (const element of root.querySelectorAll('*')) {
      for (const { name, value } of element.attributes) {
        expect(name).not.toMatch(/^on|^style$|^srcdoc$|^id$|^name$/);
        if (['href', 'src'].includes(name)) expect(value).toMatch(/^(https?:|mailto:|data:image\/(png|jpeg|gif|webp);)/);
      }
    }
    for (const image of root.querySelectorAll('img')) expect(image.getAttribute('src')).toMatch(/^data:image/);
  });

  test('an image from elsewhere is a button that names its address', () => {
    const button = dom('![chart](https://x.example/a.png)').querySelector('button.remote-image');
    expect(button?.getAttribute('data-src')).toBe('https://x.example/a.png');
    expect(button?.textContent).toBe('chart');
  });

  test('a link opens elsewhere, without an opener', () => {
    const link = dom('[x](https://x.example/)').querySelector('a');
    expect(link?.getAttribute('rel')).toContain('noopener');
    expect(link?.getAttribute('data-href')).toBe('https://x.example/');
  });

  test('columns are aligned by class, since the page refuses style attributes', () => {
    const root = dom('| a | b |\n|---|--:|\n| 1 | 2 |');
    expect(root.querySelector('td.align-right')?.textContent).toBe('2');
  });
});

describe('a growing text', () => {
  const text = 'First *paragraph*.\n\n- one\n- two\n\n```rust\nfn main() {}\n```\n\n| a |\n|---|\n| 1 |\n\nLast [link](https://x.example).\n\n1. a\n2. b\n\n   c\n\n> quote\n';

  test('read piece by piece, it ends as it does when read at once', () => {
    for (const size of [1, 3, 7, 40]) {
      const growing = new GrowingMarkdown();
      for (let end = size; end < text.length; end += size) growing.update(text.slice(0, end), false);
      const last = growing.update(text, true);
      expect(last.map((b) => b.html).join('')).toBe(renderMarkdown(text));
    }
  });

  test('blocks that are complete stay the same objects', () => {
    const growing = new GrowingMarkdown();
    const before = growing.update(text, false);
    const after = growing.update(`${text}\nmore`, false);
    expect(after[0]).toBe(before[0]);
    expect(after[3]).toBe(before[3]);
  });

  test('a finished text is read once, and again where pictures are allowed', () => {
    const growing = new GrowingMarkdown();
    const before = growing.update('![a](https://example.org/a.png)', true);
    expect(growing.update('![a](https://example.org/a.png)', true)).toBe(before);
    expect(growing.update('![a](https://example.org/a.png)', true, { remoteImages: true })[0]?.html).toContain('<img');
  });
});
