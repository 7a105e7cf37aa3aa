// Five windows, as in the story that is to be impossible: two untouched new chats, a finished one, one with a half-typed draft, one in
// the middle of an answer. What a change of versions may not touch, before and after.

import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { enter, openWindow, prompt, ready, texts } from './browser.js';
import { answerOf } from './gander.js';
import { projectIn } from './places.js';
import { until } from './until.js';

export const [UNTOUCHED, ALSO_UNTOUCHED, FINISHED, WRITING, BUSY] = [0, 1, 2, 3, 4];

/** The five windows, in Chromium. */
export class Story {
  static async begin(context, gander, home) {
    const story = new Story();
    story.gander = gander;
    await story.gander.start();
    await story.gander.api('PATCH', 'config', { default_cwd: projectIn(home, 'project'), default_agent: 'scratch' });
    story.pages = [await enter(context, story.gander)];
    story.ids = [new URL(story.pages[0].url()).pathname.split('/').at(-1)];
    for (let index = 1; index < 5; index += 1) {
      story.ids.push((await story.gander.post('windows')).id);
      story.pages.push(await openWindow(context, story.gander, story.ids[index]));
    }
    for (const [index, text] of [[FINISHED, 'The finished one'], [WRITING, 'Written in later'], [BUSY, 'Busy soon']]) {
      await prompt(story.pages[index], `/echo ${text}`);
      await story.pages[index].locator('[data-testid=entry][data-kind=turn_ended]').waitFor({ state: 'attached' });
    }
    story.sessions = await Promise.all(story.pages.map((page) => page.getByTestId('window').getAttribute('data-session-id')));
    assert.equal(new Set(story.sessions).size, 5);
    await story.gander.api('PATCH', `sessions/${story.sessions[FINISHED]}`, { name: 'A name of its own' });
    await story.pages[BUSY].locator('[data-testid=session-row]', { hasText: 'A name of its own' }).waitFor({ state: 'attached' });
    story.draft = '';
    story.thoughts = 0;
    return story;
  }

  async close() {
    for (const page of this.pages) await page.close();
    await this.gander.end();
  }

  /** What the journal says: windows in their order, what each shows, drafts, names, and every entry's hash. */
  async journal() {
    const { windows } = await this.gander.get('windows');
    const { sessions } = await this.gander.get('sessions?status=all&limit=500');
    const hashes = await Promise.all(sessions.map(async ({ id }) => [id, (await this.gander.entries(id)).map((entry) => entry.hash)]));
    return {
      windows: windows.map(({ id, ordinal, session_id, open, draft }) => ({ id, ordinal, session_id, open, draft })),
      names: Object.fromEntries(sessions.map(({ id, name, named_by }) => [id, `${name} (${named_by})`])),
      entries: Object.fromEntries(hashes),
    };
  }

  /** What the windows show. */
  async shown() {
    return Promise.all(
      this.pages.map(async (page) => ({
        session: await page.getByTestId('window').getAttribute('data-session-id'),
        title: await page.getByTestId('title').innerText(),
        writing: await page.getByTestId('composer-text').inputValue(),
        prompts: await texts(page, 'prompt'),
      })),
    );
  }

  /**
   * Changes the version in the middle of an answer and of a sentence, and compares. `how` does it, and gives what `upgrade status` says
   * then. The answer goes on until `how` calls what it is given, which waits for the sentence's end first; with `interrupt` `how` has
   * the answer interrupted, which would never end.
   */
  async change(how, { interrupt = false } = {}) {
    const { gander, pages, sessions, ids } = this;
    const turns = (await gander.entries(sessions[BUSY])).filter((entry) => entry.kind === 'turn_ended').length;
    // One that says nothing any more, or one that waits for a yes and then comes to its end.
    await prompt(pages[BUSY], interrupt ? '/stream 40 chunks 5 ms\n/hang' : '/stream 40 chunks 5 ms\n/permission\n/stream 20 chunks 5 ms');
    // What a page that nobody looks at has drawn of it is another matter.
    const { id: turn, permissions } = await until('the middle of an answer', async () => {
      const { turn } = await gander.session(sessions[BUSY]);
      const { open_items } = await gander.get(`sessions/${sessions[BUSY]}/entries`);
      return turn && (interrupt ? JSON.stringify(open_items).includes('chunk 40 of 40') : turn.permissions.length === 1) && turn;
    });
    this.thoughts += 1;
    const words = `Half a thought, ${this.thoughts}. `;
    this.draft += words;
    const before = await this.journal();
    await pages[WRITING].bringToFront();
    await pages[WRITING].getByTestId('composer-text').press('End');
    const written = pages[WRITING].getByTestId('composer-text').pressSequentially(words);
    const finish = async () => {
      await written;
      if (interrupt) return;
      const yes = permissions[0].options.find((option) => option.kind === 'allow_once');
      await gander.post(`sessions/${sessions[BUSY]}/permissions/${permissions[0].id}`, { option_id: yes.optionId });
    };
    const [status] = await Promise.all([how(finish), written]);
    const { version } = await gander.get('health');
    for (const page of pages) {
      await page.locator(`meta[name=gander-version][content="${version}"]`).waitFor({ state: 'attached' });
      await ready(page);
      await page.getByTestId('handover').waitFor({ state: 'detached' });
    }
    await until('the draft', async () => (await gander.get(`windows/${ids[WRITING]}`)).draft?.text === this.draft);

    const after = await this.journal();
    const plain = (windows) => windows.map((window) => ({ ...window, draft: null }));
    assert.deepEqual(plain(after.windows), plain(before.windows));
    assert.deepEqual(after.windows.map((window) => window.id), ids);
    assert.deepEqual(after.windows.map((window) => window.session_id), sessions);
    assert.deepEqual(after.windows.map((window) => window.draft?.text ?? ''), ['', '', '', this.draft, '']);
    assert.deepEqual(after.names, before.names);
    for (const [id, hashes] of Object.entries(before.entries)) {
      const now = after.entries[id];
      assert.deepEqual(id === sessions[BUSY] ? now.slice(0, hashes.length) : now, hashes, `the entries of ${id}`);
    }
    const shown = await this.shown();
    assert.deepEqual(shown.map((one) => one.session), sessions);
    assert.deepEqual(shown.map((one) => one.writing), ['', '', '', this.draft, '']);
    assert.deepEqual([UNTOUCHED, ALSO_UNTOUCHED].map((index) => shown[index].prompts), [[], []], 'an untouched chat stays one');
    assert.equal(shown[FINISHED].title, 'A name of its own');
    const named = await Promise.all(sessions.map(async (id) => (await gander.session(id)).name));
    for (const index of [WRITING, BUSY]) assert.equal(shown[index].title, named[index]);

    // The answer came to its end, or was interrupted with all that was said, and waits to be continued.
    const ends = (await gander.entries(sessions[BUSY])).filter((entry) => entry.kind === 'turn_ended');
    assert.equal(ends.length, turns + 1);
    assert.equal(ends.at(-1).body.turn, turn);
    assert.equal(ends.at(-1).body.data.state, interrupt ? 'interrupted' : 'ended');
    const said = answerOf(await gander.entries(sessions[BUSY]), turn);
    assert.match(said, interrupt ? /chunk 40 of 40/ : /chunk 40 of 40[^]*chunk 20 of 20/);
    return status;
  }

  /** What `upgrade status` says, against what is there. */
  async checked(status, from, to, { drafts = 1 } = {}) {
    const { gander, sessions } = this;
    const { last } = status;
    assert.deepEqual([last.result, last.from, last.to], ['committed', from, to]);
    assert.ok(last.checks.ok && last.checks.root.before && last.migrated, JSON.stringify(last.checks));
    assert.equal(last.checks.root.after, last.checks.root.before);
    assert.equal(last.checks.documents.after, last.checks.documents.before);
    assert.deepEqual(last.checks.windows, { before: 5, after: 5 });
    assert.deepEqual(last.checks.drafts, { before: drafts, after: drafts });
    const health = await gander.get('health');
    assert.deepEqual([health.version, health.format], [to, to === '0.1.0' ? 1 : 2]);
    const verified = await gander.cli('verify', '--json');
    assert.equal(verified.code, 0, verified.out + verified.err);
    assert.deepEqual(verified.json.findings, []);
    // The backup holds every session, and the folder for people every one that a window shows and that says something.
    assert.ok(last.backup.verified);
    const { backups } = (await gander.cli('backup', 'list', '--json')).json;
    assert.ok(backups.some((backup) => backup.id === last.backup.snapshot), 'the backup is there');
    const { folder } = last.exports;
    const names = readdirSync(folder);
    for (const end of ['.md', '.json']) {
      const written = names.filter((name) => name.endsWith(end)).map((name) => readFileSync(join(folder, name), 'utf8')).join('\n');
      for (const text of ['The finished one', 'Written in later', 'Busy soon']) assert.ok(written.includes(text), `${text} in ${names}`);
    }
    assert.ok(existsSync(join(folder, 'README.md')));
    return sessions;
  }
}
