// Chromium as a person's browser: pages at windows of Gander, found by the test ids of web/README.md.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium as playwright } from 'playwright-core';
import { ARTEFACTS, chromium } from './places.js';
import { PATIENCE_MS } from './until.js';

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
  await page.getByTestId('window').waitFor();
  return page;
}

/** A page at a window. */
export async function openWindow(context, gander, window) {
  const page = await context.newPage();
  await page.goto(`${gander.url}/w/${window}`);
  await ready(page);
  return page;
}

/** Waits until a page shows its window and hears of changes. */
export async function ready(page) {
  await page.locator('[data-testid=window][data-connection=live]').waitFor();
  await page.getByTestId('composer-text').waitFor();
}

/** Types a prompt and sends it, as a person does. */
export async function prompt(page, text) {
  await page.getByTestId('composer-text').fill(text);
  await page.getByTestId('send').click();
}

/** The texts of a page's entries of a kind. */
export const texts = (page, kind) => page.locator(`[data-testid=entry][data-kind=${kind}]`).allInnerTexts();

/** Keeps a picture for people to look at. */
export async function picture(page, name) {
  mkdirSync(ARTEFACTS, { recursive: true });
  await page.screenshot({ path: join(ARTEFACTS, `${name}.png`) });
}
