// The story that is to be impossible: five windows, two of them untouched new chats, one with a half-typed draft, one in the middle
// of an answer; the user upgrades, and a session is gone or its name is on another. Two real versions, a signed package, a
// migration of the journal, and back again.

import assert from 'node:assert/strict';
import test from 'node:test';
import { browser, picture, prompt } from './lib/browser.js';
import { temporaryHome } from './lib/places.js';
import { BUSY, FINISHED, Story, UNTOUCHED } from './lib/story.js';
import { Upgradable } from './lib/upgrade.js';

const OLD = '0.1.0';
const NEW = '0.2.0';

/** Five windows on the old version. */
function begin(t, context) {
  const home = temporaryHome();
  return Story.begin(context, new Upgradable(t, home), home);
}

/** Upgrades or goes back, which waits for the answer's end; in every second round the answer is interrupted, which would never end. */
function change(story, what, round) {
  const interrupt = round % 2 === 1;
  return story.change((finish) => (interrupt ? story.gander.upgrade(what, '--interrupt') : story.gander.upgradeAfter(what, finish)), { interrupt });
}

test('five times, each in a fresh home: everything is where it was (G5, G6, G7, G10)', async (t) => {
  const { context, problems } = await browser(t);
  for (let round = 0; round < 5; round += 1) {
    await t.test(`upgrade ${round + 1}`, async (t) => {
      const story = await begin(t, context);
      const status = await change(story, 'apply', round);
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
  const story = await begin(t, context);
  // A round begins with what the one before it left: after one that failed there is nothing to be said of the next.
  let whole = true;
  for (let round = 0; whole && round < 5; round += 1) {
    whole = false;
    await t.test(`upgrade ${round + 1}, and back`, async () => {
      await story.checked(await change(story, 'apply', round), OLD, NEW);
      // Something new in the new version, which the old one is to have.
      await prompt(story.pages[FINISHED], `/echo written in the new version, ${round}`);
      await story.pages[FINISHED].locator('[data-kind=message]', { hasText: `written in the new version, ${round}` }).waitFor();
      await story.pages[FINISHED].getByTestId('stop').waitFor({ state: 'detached' });
      if (round < 4) {
        await story.checked(await change(story, 'rollback', round + 1), NEW, OLD);
        await story.pages[FINISHED].locator('[data-kind=message]', { hasText: `written in the new version, ${round}` }).waitFor();
      }
      whole = true;
    });
  }
  await story.close();
  assert.deepEqual(problems, []);
});
