import DOMPurify from 'dompurify';
import MarkdownIt from 'markdown-it';

/**
 * Agent text as inert HTML. Raw HTML in it is shown as text (`html: false`); what Markdown makes is sanitised again before it
 * reaches the page. Links carry their address in `data-href` and go nowhere by themselves: the page asks first. Images from
 * elsewhere become a button that names their address.
 */
const markdown = new MarkdownIt('default', { html: false, linkify: true, breaks: false, typographer: false });
markdown.linkify.set({ fuzzyLink: false, fuzzyEmail: false });
markdown.validateLink = (url) => /^(https?:|mailto:|[^:]*$)/i.test(url.trim());

interface Reading {
  /** The reader has allowed images from the web. */
  remoteImages?: boolean;
}

const escape = (text: string) => markdown.utils.escapeHtml(text);
const isWeb = (url: string) => /^(https?:|mailto:)/i.test(url);

markdown.renderer.rules.link_open = (tokens, index) => {
  const href = String(tokens[index]?.attrGet('href') ?? '');
  return isWeb(href) ? `<a href="${escape(href)}" data-href="${escape(href)}" rel="noopener noreferrer nofollow" target="_blank">` : `<a class="plain" title="${escape(href)}">`;
};
markdown.renderer.rules.image = (tokens, index, _options, env) => {
  const token = tokens[index];
  const source = String(token?.attrGet('src') ?? '');
  const label = token?.content || 'Image';
  if (/^data:image\/(png|jpeg|gif|webp);base64,/i.test(source)) return `<img src="${escape(source)}" alt="${escape(label)}">`;
  if ((env as Reading | undefined)?.remoteImages && /^https:\/\//i.test(source)) return `<img src="${escape(source)}" alt="${escape(label)}" loading="lazy" referrerpolicy="no-referrer">`;
  return `<button type="button" class="remote-image" data-src="${escape(source)}">${escape(label)}</button>`;
};
const aligned = (tag: string): NonNullable<typeof markdown.renderer.rules.th_open> => (tokens, index) => {
  // The library writes a style attribute, which the page's policy refuses.
  const side = /text-align:(\w+)/.exec(String(tokens[index]?.attrGet('style') ?? ''))?.[1];
  return side ? `<${tag} class="align-${side}">` : `<${tag}>`;
};
markdown.renderer.rules.th_open = aligned('th');
markdown.renderer.rules.td_open = aligned('td');
markdown.renderer.rules.table_open = () => '<div class="table"><table>';
markdown.renderer.rules.table_close = () => '</table></div>';
const fence = (info: string, code: string) => {
  const language = /^[\w+#.-]+/.exec(info.trim())?.[0] ?? '';
  return `<figure class="code" data-language="${escape(language)}"><figcaption><span>${escape(language || 'text')}</span><button type="button" class="copy-code">Copy</button></figcaption><pre tabindex="0" dir="ltr"><code>${escape(code)}</code></pre></figure>`;
};
markdown.renderer.rules.fence = (tokens, index) => fence(String(tokens[index]?.info ?? ''), String(tokens[index]?.content ?? ''));
markdown.renderer.rules.code_block = (tokens, index) => fence('', String(tokens[index]?.content ?? ''));
const PURIFY = {
  ALLOWED_TAGS: ['p', 'br', 'hr', 'em', 'strong', 's', 'code', 'pre', 'figure', 'figcaption', 'span', 'button', 'ul', 'ol', 'li', 'blockquote', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'table', 'thead', 'tbody', 'tr', 'th', 'td', 'a', 'img', 'div'],
  ALLOWED_ATTR: ['href', 'data-href', 'rel', 'target', 'class', 'title', 'src', 'data-src', 'alt', 'data-language', 'type', 'start', 'dir', 'tabindex', 'loading', 'referrerpolicy'],
  ALLOW_ARIA_ATTR: false,
  ALLOW_DATA_ATTR: false,
  ADD_ATTR: ['target'],
};

/** All at once: each call costs the purifier a document. */
function sanitised(blocks: string[]): string[] {
  const all = DOMPurify.sanitize(blocks.map((html) => `<div>${html}</div>`).join(''), { ...PURIFY, RETURN_DOM_FRAGMENT: true });
  const clean = [...all.children].map((block) => block.innerHTML);
  return clean.length === blocks.length ? clean : blocks.map((html) => DOMPurify.sanitize(html, PURIFY));
}

export interface MarkdownBlock {
  /** Offset of the block's first character: its identity while text is appended. */
  start: number;
  html: string;
}

function offsets(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return starts;
}

function renderFrom(text: string, base: number, reading: Reading): MarkdownBlock[] {
  const env = { ...reading } as Parameters<typeof markdown.parse>[1];
  const tokens = markdown.parse(text, env);
  const lines = offsets(text);
  const starts: number[] = [];
  const blocks: string[] = [];
  for (let i = 0; i < tokens.length; ) {
    const first = tokens[i];
    let end = i + 1;
    if (first && first.nesting === 1) {
      for (let depth = 1; depth > 0 && end < tokens.length; end++) depth += tokens[end]?.nesting ?? 0;
    }
    starts.push(base + (lines[first?.map?.[0] ?? 0] ?? 0));
    blocks.push(markdown.renderer.render(tokens.slice(i, end), markdown.options, env));
    i = end;
  }
  return sanitised(blocks).map((html, n) => ({ start: starts[n] ?? base, html }));
}

/**
 * Markdown as a list of top-level blocks. For a text that grows, only its last two blocks are read again, so the cost of a
 * chunk does not grow with the text and the earlier blocks' DOM (and a selection in it) stays untouched.
 */
export class GrowingMarkdown {
  #text = '';
  #remoteImages = false;
  /** The blocks are of the finished text. */
  #whole = false;
  #blocks: MarkdownBlock[] = [];

  update(text: string, finished: boolean, reading: Reading = {}): MarkdownBlock[] {
    const remoteImages = reading.remoteImages === true;
    const same = text === this.#text && remoteImages === this.#remoteImages;
    // Definitions of links may stand anywhere, so the finished text is read as a whole once.
    if (same && (!finished || this.#whole)) return this.#blocks;
    const keep = this.#blocks.length - 2;
    const grown = !finished && keep > 0 && text.startsWith(this.#text);
    const from = grown ? (this.#blocks[keep]?.start ?? 0) : 0;
    this.#blocks = [...(grown ? this.#blocks.slice(0, keep) : []), ...renderFrom(text.slice(from), from, reading)];
    this.#text = text;
    this.#remoteImages = remoteImages;
    this.#whole = finished;
    return this.#blocks;
  }
}

export const renderMarkdown = (text: string): string => renderFrom(text, 0, {}).map((b) => b.html).join('');
