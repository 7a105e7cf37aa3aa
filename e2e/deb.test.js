// The story that is to be impossible, with a package manager: five windows are open (two untouched new chats, one with a half-typed
// draft, one in the middle of an answer, one finished), and `dpkg -i` puts the next version in the program's place.

import assert from 'node:assert/strict';
import test from 'node:test';
import { browser, picture, prompt, ready } from './lib/browser.js';
import { Installation, packages } from './lib/deb.js';
import { temporaryHome } from './lib/places.js';
import { BUSY, FINISHED, Story, UNTOUCHED } from './lib/story.js';
import { until } from './lib/until.js';
import { Upgradable } from './lib/upgrade.js';

const OLD = '0.1.0';
const NEW = '0.2.0';

/** Five windows on an installed Gander. */
async function begin(t, context, environment = {}) {
  const home = temporaryHome();
  const installation = new Installation(home);
  installation.install(packages().old);
  const gander = new Upgradable(t, home, environment);
  gander.program = installation.program;
  const story = await Story.begin(context, gander, home);
  return { installation, gander, story };
}

/** Every window says what is installed. */
async function told(story, state) {
  for (const page of story.pages) await page.locator(`[data-testid=installed][data-state=${state}][data-version="${NEW}"]`).waitFor();
}

/** Waits until another version serves; what `upgrade status` says then. */
async function served(gander, version) {
  await until(`gander ${version}`, async () => {
    gander.attach();
    return (await gander.get('health')).version === version;
  });
  return (await gander.cli('upgrade', 'status', '--json')).json;
}

test('the next package is installed while five windows are open; it takes over when the answer has ended (G5, G6, G7, G10)', async (t) => {
  const { context, problems } = await browser(t);
  const { installation, gander, story } = await begin(t, context);
  const status = await story.change(async (finish) => {
    installation.install(packages().next);
    await told(story, 'waits');
    await picture(story.pages[FINISHED], 'installed-waits');
    await finish();
    return served(gander, NEW);
  });
  await story.checked(status, OLD, NEW);
  assert.equal(installation.version(), `${NEW} installed`);
  for (const page of story.pages) await page.locator('[data-testid=upgrade-result][data-result=committed]').waitFor();
  await picture(story.pages[FINISHED], 'installed-taken-over');
  assert.equal((await gander.ended).code, 0, 'the old process ended by itself');
  // The program serves from where it was installed, so that the next package is not held back.
  assert.equal((await gander.cli('--version')).out.trim(), `gander ${NEW}`);
  assert.deepEqual(status.versions, [OLD], 'the way back is kept');
  await prompt(story.pages[UNTOUCHED], '/echo first words in the new version');
  await story.pages[UNTOUCHED].locator('[data-kind=message]', { hasText: 'first words in the new version' }).waitFor();

  // An older package over a newer Gander that runs: it says so, and nothing else happens.
  installation.install(packages().old);
  const older = await until('the older one', async () => {
    const { installed } = await gander.get('upgrade');
    return installed?.state === 'unfit' && installed;
  });
  assert.equal(older.version, OLD);
  assert.equal((await gander.get('health')).version, NEW);
  await story.close();
  assert.deepEqual(problems, []);
});

test('back by hand and installed again, several times in one home (G10, G11)', async (t) => {
  const { context, problems } = await browser(t);
  const { installation, gander, story } = await begin(t, context);
  // A round begins with what the one before it left: after one that failed there is nothing to be said of the next.
  let whole = true;
  for (let round = 0; whole && round < 3; round += 1) {
    whole = false;
    await t.test(`upgrade ${round + 1}, and back`, async () => {
      const status = await story.change(
        async (finish) => {
          installation.install(packages().next);
          if (round === 0) {
            await told(story, 'waits');
            await story.pages[UNTOUCHED].getByTestId('installed-now').click();
          } else {
            // After somebody went back from it, nothing happens by itself.
            await until('that it is noticed', async () => (await gander.get('upgrade')).installed?.state === 'later');
            await gander.post('upgrade/installed/now');
          }
          // The answer would never end: it is interrupted in a window, to be continued.
          await finish();
          await story.pages[BUSY].getByTestId('handover-interrupt').click();
          return served(gander, NEW);
        },
        { interrupt: true },
      );
      await story.checked(status, OLD, NEW);
      await prompt(story.pages[FINISHED], `/echo written in the new version, ${round}`);
      await story.pages[FINISHED].locator('[data-kind=message]', { hasText: `written in the new version, ${round}` }).waitFor();
      await story.pages[FINISHED].getByTestId('stop').waitFor({ state: 'detached' });
      await story.checked(await story.change((finish) => gander.upgradeAfter('rollback', finish)), NEW, OLD);
      await story.pages[FINISHED].locator('[data-kind=message]', { hasText: `written in the new version, ${round}` }).waitFor();
      // The older package comes back too, while its version runs from where it was kept.
      installation.install(packages().old);
      await until('that the same version is installed', async () => (await gander.get('upgrade')).installed === undefined);
      whole = true;
    });
  }
  await story.close();
  assert.deepEqual(problems, []);
});

test('put off, it takes over at the next start, behind a backup (G10)', async (t) => {
  const { context, problems } = await browser(t);
  const { installation, gander, story } = await begin(t, context);
  // An answer that waits for a yes: it does not take over before that has ended, and by then it is put off.
  await prompt(story.pages[BUSY], '/permission');
  await story.pages[BUSY].getByTestId('permission').waitFor();
  installation.install(packages().next);
  await told(story, 'waits');
  await story.pages[BUSY].getByTestId('installed-later').click();
  for (const page of story.pages) await page.getByTestId('installed').waitFor({ state: 'detached' });
  await story.pages[BUSY].getByTestId('permission-option').first().click();
  await until('the end of the answer', async () => !(await gander.session(story.sessions[BUSY])).running);
  // The settings keep the offer.
  const page = story.pages[FINISHED];
  await page.getByTestId('settings').click();
  await page.getByTestId('installed-note').getByText(`Gander ${NEW} is installed.`).waitFor();
  await picture(page, 'installed-later');
  await page.getByTestId('settings').click();
  await page.getByTestId('composer-text').waitFor();
  const before = await story.journal();
  const root = (await gander.cli('verify', '--json')).json.root;
  await gander.stop();
  await gander.start();
  for (const page of story.pages) await ready(page);
  assert.equal((await gander.get('health')).version, NEW);
  assert.deepEqual(await story.journal(), before);
  const verified = (await gander.cli('verify', '--json')).json;
  assert.deepEqual([verified.root, verified.findings], [root, []]);
  const { backups } = (await gander.cli('backup', 'list', '--json')).json;
  assert.ok(backups.some((backup) => backup.reason === 'migration'), JSON.stringify(backups));
  await story.close();
  assert.deepEqual(problems, []);
});

test('a new version that dies while it takes over: the old one runs on, and does not try again by itself (G10)', async (t) => {
  const { context, problems } = await browser(t);
  // Set for every process: only a version that takes over comes to that point.
  const { installation, gander, story } = await begin(t, context, { GANDER_FAULT: 'check:after' });
  const status = await story.change(async (finish) => {
    installation.install(packages().next);
    await finish();
    await until('the way back', async () => (await gander.cli('upgrade', 'status', '--json')).json.last?.result === 'rolled_back');
    return served(gander, OLD);
  });
  assert.deepEqual([status.last.result, status.last.from, status.last.to], ['rolled_back', OLD, NEW]);
  assert.equal((await until('that it is noticed', async () => (await gander.get('upgrade')).installed)).state, 'later');
  for (const page of story.pages) await page.locator('[data-testid=upgrade-result][data-result=rolled_back]').waitFor();
  await picture(story.pages[FINISHED], 'installed-rolled-back');
  // The commands lead to the version that serves, though another one is installed.
  assert.equal((await gander.cli('upgrade', 'status', '--json')).json.version, OLD);
  assert.equal((await gander.cli('verify', '--json')).code, 0);
  await story.close();
  assert.deepEqual(problems, []);
});

test('cut off between the two versions, the next command ends it (G10)', async (t) => {
  const { context, problems } = await browser(t);
  const { installation, gander, story } = await begin(t, context, { GANDER_FAULT: 'switch:set' });
  const before = await story.journal();
  installation.install(packages().next);
  assert.equal((await gander.ended).code, 0);
  delete gander.environment.GANDER_FAULT;
  await until('the end of the process that drove', () => gander.processes().length === 0);
  await gander.start();
  for (const page of story.pages) await ready(page);
  const status = (await gander.cli('upgrade', 'status', '--json')).json;
  await story.checked(status, OLD, NEW, { drafts: 0 });
  assert.deepEqual(await story.journal(), before);
  await story.close();
  assert.deepEqual(problems, []);
});
