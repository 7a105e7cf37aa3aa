// The story that is to be impossible: five windows, two of them untouched new chats, one with a half-typed draft, one in the middle
// of an answer; the user upgrades, and a session is gone or its name is on another. Two real versions, a signed package, a
// migration of the journal, and back again.

import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { browser, enter, openWindow, picture, prompt, ready, texts } from './lib/browser.js';
import { answerOf } from './lib/gander.js';
import { projectIn, temporaryHome } from './lib/places.js';
import { until } from './lib/until.js';
import { Upgradable } from './lib/upgrade.js';

const [UNTOUCHED, ALSO_UNTOUCHED, FINISHED, WRITING, BUSY] = [0, 1, 2, 3, 4];

/** The five windows, in Chromium. */
class Story {
  static async begin(t, context) {
    const story = new Story();
    const home = temporaryHome();
    story.gander = new Upgradable(t, home);
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

  /** Upgrades (or goes back) in the middle of an answer and of a sentence, and compares. */
  async change(what, round) {
    const { gander, pages, sessions, ids } = this;
    const interrupt = round % 2 === 1;
    const turns = (await gander.entries(sessions[BUSY])).filter((entry) => entry.kind === 'turn_ended').length;
    // One that ends while the upgrade waits for it, or one that says nothing any more.
    await prompt(pages[BUSY], interrupt ? '/stream 40 chunks 5 ms\n/hang' : '/stream 60 chunks 20 ms');
    await pages[BUSY].locator('[data-kind=message][data-open]').waitFor();
    const turn = (await gander.session(sessions[BUSY])).turn.id;
    const words = `Half a thought, ${round}. `;
    this.draft += words;
    const before = await this.journal();
    await pages[WRITING].bringToFront();
    await pages[WRITING].getByTestId('composer-text').press('End');
    const [status] = await Promise.all([
      gander.upgrade(what, ...(interrupt ? ['--interrupt'] : [])),
      pages[WRITING].getByTestId('composer-text').pressSequentially(words),
    ]);
    for (const page of pages) {
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
    assert.match(said, interrupt ? /chunk 1 of 40/ : /chunk 60 of 60/);
    return status;
  }

  /** What `upgrade status` says, against what is there. */
  async checked(status, from, to) {
    const { gander, sessions } = this;
    const { last } = status;
    assert.deepEqual([last.result, last.from, last.to], ['committed', from, to]);
    assert.ok(last.checks.ok && last.checks.root.before && last.migrated, JSON.stringify(last.checks));
    assert.equal(last.checks.root.after, last.checks.root.before);
    assert.equal(last.checks.documents.after, last.checks.documents.before);
    assert.deepEqual(last.checks.windows, { before: 5, after: 5 });
    assert.deepEqual(last.checks.drafts, { before: 1, after: 1 });
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

const OLD = '0.1.0';
const NEW = '0.2.0';

test('five times, each in a fresh home: everything is where it was (G5, G6, G7, G10)', async (t) => {
  const { context, problems } = await browser(t);
  for (let round = 0; round < 5; round += 1) {
    await t.test(`upgrade ${round + 1}`, async (t) => {
      const story = await Story.begin(t, context);
      const status = await story.change('apply', round);
      await story.checked(status, OLD, NEW);
      // Every window says so, one says what was checked.
      for (const page of story.pages) await page.locator('[data-testid=upgrade-result][data-result=committed]').waitFor();
      if (round === 0) await picture(story.pages[FINISHED], 'upgraded');
      await story.pages[FINISHED].getByTestId('what-was-checked').click();
      const report = story.pages[FINISHED].locator('[data-testid=upgrade-report][data-result=committed]');
      await report.waitFor();
      const root = await report.getByTestId('checked-root').evaluate((row) => [row.dataset.before, row.dataset.after]);
      assert.deepEqual(root, [status.last.checks.root.before, status.last.checks.root.before]);
      assert.ok((await report.getByTestId('exports').innerText()).includes(status.last.exports.folder));
      if (round === 0) await picture(story.pages[FINISHED], 'upgraded-checked');
      // Work goes on in the new version: the interrupted answer is continued, an untouched chat takes its first prompt.
      if (round === 1) {
        await story.pages[BUSY].getByTestId('continue').click();
        await story.pages[BUSY].locator('[data-testid=entry][data-kind=turn_ended][data-state=ended]').last().waitFor({ state: 'attached' });
        await prompt(story.pages[UNTOUCHED], '/echo first words in the new version');
        await story.pages[UNTOUCHED].locator('[data-kind=message]', { hasText: 'first words in the new version' }).waitFor();
        assert.equal((await story.gander.cli('verify', '--json')).code, 0);
      }
      await story.close();
    });
  }
  assert.deepEqual(problems, []);
});

test('five times in one home, and back each time with what was written since (G10, G11)', async (t) => {
  const { context, problems } = await browser(t);
  const story = await Story.begin(t, context);
  for (let round = 0; round < 5; round += 1) {
    await t.test(`upgrade ${round + 1}, and back`, async () => {
      await story.checked(await story.change('apply', round), OLD, NEW);
      // Something new in the new version, which the old one is to have.
      await prompt(story.pages[FINISHED], `/echo written in the new version, ${round}`);
      await story.pages[FINISHED].locator('[data-kind=message]', { hasText: `written in the new version, ${round}` }).waitFor();
      await story.pages[FINISHED].getByTestId('stop').waitFor({ state: 'detached' });
      if (round === 4) return;
      await story.checked(await story.change('rollback', round + 1), NEW, OLD);
      await story.pages[FINISHED].locator('[data-kind=message]', { hasText: `written in the new version, ${round}` }).waitFor();
    });
  }
  await story.close();
  assert.deepEqual(problems, []);
});
