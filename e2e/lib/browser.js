// Chromium as a person's browser: pages at windows of Gander, found by the test ids of web/README.md.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium as playwright } from 'playwright-core';
import { ARTEFACTS, chromium } from './places.js';
import { PATIENCE_MS, until } from './until.js';

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Starts a browser, with one person's cookies and storage in it; it ends with the test. */
export async function browser(t, options = {}) {
  const launched = await playwright.launch({ executablePath: chromium(), headless: true, args: FLAGS });
  t.after(() => launched.close());
  const context = await launched.newContext({ viewport: { width: 1280, height: 860 }, reducedMotion: 'reduce', ...options });
  context.setDefaultTimeout(PATIENCE_MS);
  const problems = [];
  context.on('page', (page) => {
    page.on('pageerror', (error) => problems.push(`${page.url()}: ${error.stack ?? error}`));
    page.on('console', (message) => {
      // A dead server is part of what is tested; the page says so in its own words.
      if (message.type() === 'error' && !/net::ERR_|Failed to load resource|WebSocket connection/.test(message.text())) problems.push(`${page.url()}: ${message.text()}`);
    });
  });
  return { launched, context, problems };
}

/** Lets a browser in, by the one-time code that `gander open` would give. */
export async function enter(context, gander) {
  const { url } = await gander.post('auth/codes');
  const page = await context.newPage();
  await page.goto(url);
  await ready(page);
  return page;
}

/** A page at a window. */
export async function openWindow(context, gander, window) {
  const page = await context.newPage();
  await page.goto(`${gander.url}/w/${window}`);
  await ready(page);
  return page;
}

/** Waits until a page shows its window with its session, and hears of changes. */
export async function ready(page) {
  await page.locator('[data-testid=window][data-connection=live]').waitFor();
  await page.getByTestId('title').waitFor();
  await page.getByTestId('composer-text').waitFor();
}

/** Types a prompt and sends it, as a person does; done when it is taken and the field is free for the next one. */
export async function prompt(page, text) {
  const field = page.getByTestId('composer-text');
  // The title comes with the session; before that there is nothing to send to.
  await page.getByTestId('title').waitFor();
  await field.fill(text);
  await page.getByTestId('send').click();
  await until('the prompt to be taken', async () => (await field.isEditable()) && (await field.inputValue()) === '');
}

/** How far a conversation is from its end, in pixels, once nothing in it moves any more. */
export const fromEnd = (page) =>
  page.getByTestId('conversation').evaluate(async (node) => {
    const place = () => `${node.scrollTop} ${node.scrollHeight} ${node.clientHeight}`;
    const frame = () => new Promise((go) => requestAnimationFrame(go));
    for (let same = 0, last = ''; same < 10; same = place() === last ? same + 1 : 0) {
      last = place();
      await frame();
    }
    return node.scrollHeight - node.scrollTop - node.clientHeight;
  });

/** Scrolls a conversation up, as a reader does: a page that is just coming into its height takes the first turn of the wheel back. */
export async function leaveEnd(page, pixels) {
  await page.getByTestId('conversation').hover();
  await until('the reader to have left the end', async () => {
    await page.mouse.wheel(0, -pixels);
    return (await fromEnd(page)) > pixels / 2;
  });
}

/** The texts of a page's entries of a kind. */
export const texts = (page, kind) => page.locator(`[data-testid=entry][data-kind=${kind}]`).allInnerTexts();

/** Keeps a picture for people to look at. */
export async function picture(page, name) {
  mkdirSync(ARTEFACTS, { recursive: true });
  await page.screenshot({ path: join(ARTEFACTS, `${name}.png`) });
}
