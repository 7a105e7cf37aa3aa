// Five windows with five sessions of a real goose, and everything that may happen to them.
//
// goose keeps no partial answer and gives deleted ids out again: what is asserted here is what Gander adds.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import test from 'node:test';
import { Gander, Shown, answerOf, promptOf } from './lib/gander.js';
import { gooseEnvironment, gooseProcesses, withGoose } from './lib/goose.js';
import { modelServer } from './lib/model.js';
import { GOOSE, projectIn, temporaryHome } from './lib/places.js';
import { until } from './lib/until.js';

const NUMBERS = [1, 2, 3, 4, 5];
const counted = (word, count) => Array.from({ length: count }, (_, index) => `${word}-${index + 1} `).join('');

test('five goose sessions survive whatever is killed', { skip: existsSync(GOOSE) ? false : `no goose for ${process.platform} ${process.arch}` }, async (t) => {
  const home = temporaryHome();
  const model = await modelServer(t);
  const root = join(home, 'goose');
  const environment = gooseEnvironment(home, root, model.url);
  const gander = new Gander(t, home);
  await gander.start();
  await gander.post('agents', { id: 'goose', command: GOOSE, args: ['acp'], env: environment });

  // Every prompt that was acknowledged, by session; at the end each must be there once, in its own session only.
  const acknowledged = new Map();
  const send = async (session, text, more) => {
    const sent = await gander.send(session, text, more);
    acknowledged.set(session, [...(acknowledged.get(session) ?? []), text]);
    return sent.turn_id;
  };
  const finish = async (session, turn) => {
    const end = await gander.ended_turn(session, turn);
    assert.equal(end.state, 'ended', JSON.stringify(end));
    return end;
  };

  // After a cut goose joins the prompt that had no answer with the next one, and with it the order to hold the answer.
  const finishHeld = async (session, turn) => {
    await until('the end of a held answer', async () => {
      await model.release();
      return (await gander.session(session)).turn?.id !== turn;
    });
    return finish(session, turn);
  };

  const ponds = [];
  for (const number of NUMBERS) {
    const cwd = projectIn(home, `pond${number}`);
    const window = await gander.post('windows', { agent: 'goose', cwd });
    ponds.push({ number, cwd, window: window.id, session: window.session_id });
  }
  const [one, two, three, four, five] = ponds;
  const linked = async (pond) => (await gander.entries(pond.session)).filter((entry) => entry.kind === 'linked').map((entry) => entry.body.data);

  await t.test('all five answer at once, each in its own session', async () => {
    for (const pond of ponds) pond.first = await send(pond.session, `Pond${pond.number} geese count [[stream chunks=30 delay_ms=5 word=pond${pond.number}]]`);
    for (const pond of ponds) {
      const end = await finish(pond.session, pond.first);
      assert.equal(end.stop_reason, 'end_turn');
      assert.equal(answerOf(await gander.entries(pond.session), pond.first), counted(`pond${pond.number}`, 30));
    }
  });

  await t.test('each has the name that its own agent gave it (G7)', async () => {
    for (const pond of ponds) {
      const named = await until(`the name of session ${pond.number}`, async () => {
        const session = await gander.session(pond.session);
        return session.name.startsWith('About') && session;
      });
      assert.equal(named.name, `About Pond${pond.number} geese count`);
      assert.equal(named.named_by, 'agent');
    }
    await gander.api('PATCH', `sessions/${two.session}`, { name: 'Mine alone' });
    await finish(two.session, await send(two.session, 'Another word [[stream chunks=3 word=second]]'));
    const session = await gander.session(two.session);
    assert.deepEqual([session.name, session.named_by], ['Mine alone', 'user']);
  });

  const permission = (pond) =>
    until(`a permission request in session ${pond.number}`, async () => (await gander.session(pond.session)).turn?.permissions[0]);
  const option = (asked, kind) => asked.options.find((one) => one.kind === kind).optionId;

  await t.test('a tool call runs when it is allowed, and only then', async () => {
    const proof = join(one.cwd, 'proof.txt');
    const turn = await send(one.session, `[[tool shell ${JSON.stringify({ command: `echo ran > ${proof}; echo the tool ran` })}]]`);
    const asked = await permission(one);
    assert.ok(!existsSync(proof), 'it ran before it was allowed');
    await gander.post(`sessions/${one.session}/permissions/${asked.id}`, { option_id: option(asked, 'allow_once') });
    await finish(one.session, turn);
    assert.equal(readFileSync(proof, 'utf8'), 'ran\n');
    const entries = (await gander.entries(one.session)).filter((entry) => entry.body.turn === turn);
    assert.match(answerOf(entries), /^tool done: .*the tool ran$/);
    const call = entries.find((entry) => entry.kind === 'tool_call').body.data;
    assert.equal(call.findLast((update) => update.status)?.status, 'completed');
    const answer = entries.find((entry) => entry.kind === 'permission').body.data;
    assert.equal(answer.outcome, 'selected');
  });

  await t.test('a tool call that is rejected does not run', async () => {
    const proof = join(three.cwd, 'proof.txt');
    const turn = await send(three.session, `[[tool shell ${JSON.stringify({ command: `echo ran > ${proof}` })}]]`);
    const asked = await permission(three);
    await gander.post(`sessions/${three.session}/permissions/${asked.id}`, { option_id: option(asked, 'reject_once') });
    await gander.ended_turn(three.session, turn);
    assert.ok(!existsSync(proof));
  });

  const shown = new Shown();
  await t.test('SIGKILL of Gander in mid-stream loses nothing that was acknowledged or shown (G1, G5, G9)', async () => {
    const feed = await gander.follow(shown.take);
    const before = (await gander.get('windows')).windows;
    for (const pond of ponds) pond.cut = await send(pond.session, `Pond${pond.number} once more [[hold after=25 delay_ms=8 word=kept${pond.number}]]`);
    const queued = await send(three.session, 'This one waits', { when_busy: 'queue' });
    await gander.api('PUT', `windows/${four.window}/draft`, { session_id: four.session, rev: 1, text: 'half a thou', attachments: [] });
    for (const pond of ponds) await until(`text of session ${pond.number}`, () => shown.text(pond.session, pond.cut).includes(`kept${pond.number}-20 `));
    await gander.kill();
    await feed.close();
    await gander.start();

    const after = (await gander.get('windows')).windows;
    const place = (window) => [window.id, window.ordinal, window.session_id, window.open];
    assert.deepEqual(after.map(place), before.map(place));
    assert.equal(after.find((window) => window.id === four.window).draft.text, 'half a thou');
    for (const pond of ponds) {
      const session = await gander.session(pond.session);
      assert.equal(session.interrupted, pond.cut);
      assert.ok(!session.running);
      const entries = await gander.entries(pond.session);
      const kept = answerOf(entries, pond.cut);
      const seen = shown.text(pond.session, pond.cut);
      assert.ok(kept.startsWith(seen), `shown ${seen.length} characters, kept ${kept.length}`);
      assert.ok(counted(`kept${pond.number}`, 25).startsWith(kept), 'kept text that was never said');
    }
    const queue = await gander.get(`sessions/${three.session}/queue`);
    assert.deepEqual([queue.held, queue.items.map((item) => item.turn_id)], [true, [queued]]);
    assert.equal((await gander.cli('verify')).code, 0);
  });

  await t.test('Continue goes on in the same agent session, whose replay was compared first (G13)', async () => {
    for (const pond of ponds) {
      const [bound] = await linked(pond);
      const turn = randomUUID();
      await gander.post(`sessions/${pond.session}/turns/${pond.cut}/continue`, { new_turn_id: turn, how: 'continue' });
      await finishHeld(pond.session, turn);
      assert.equal((await gander.session(pond.session)).interrupted, null);
      const links = await linked(pond);
      assert.equal(links.at(-1).agent_session_id, bound.agent_session_id);
      // What the model was asked holds this pond's words, and no other's.
      const asked = (await model.requests()).filter((request) => request.tools.length > 0).at(-1);
      const words = JSON.stringify(asked.messages.filter((message) => message.role !== 'system'));
      for (const other of ponds) assert.equal(words.includes(`pond${other.number}-30`), other === pond, `pond${other.number} in the memory of pond${pond.number}`);
    }
  });

  await t.test('what waited in the queue is sent when it is resumed, once', async () => {
    const [item] = (await gander.get(`sessions/${three.session}/queue`)).items;
    await gander.post(`sessions/${three.session}/queue/resume`);
    await finish(three.session, item.turn_id);
    assert.match(answerOf(await gander.entries(three.session), item.turn_id), /You said: This one waits/);
  });

  await t.test('SIGKILL of an agent in mid-stream interrupts its own session alone', async () => {
    const feed = await gander.follow(shown.take);
    const turn = await send(five.session, 'Once more [[hold after=15 delay_ms=5 word=felled]]');
    const other = await send(four.session, 'Meanwhile [[stream chunks=60 delay_ms=10 word=unmoved]]');
    await until('text of the fifth session', () => shown.text(five.session, turn).includes('felled-15 '));
    const victims = gooseProcesses(root).filter((one) => one.cwd === five.cwd);
    assert.equal(victims.length, 1, `which goose is the fifth's? ${JSON.stringify(gooseProcesses(root))}`);
    process.kill(victims[0].pid, 'SIGKILL');
    assert.equal((await gander.ended_turn(five.session, turn)).state, 'interrupted');
    const kept = answerOf(await gander.entries(five.session), turn);
    assert.ok(kept.startsWith(shown.text(five.session, turn)));
    assert.equal(kept, counted('felled', 15));
    await finish(four.session, other);
    assert.equal(answerOf(await gander.entries(four.session), other), counted('unmoved', 60));
    await feed.close();
    const again = randomUUID();
    await gander.post(`sessions/${five.session}/turns/${turn}/continue`, { new_turn_id: again, how: 'continue' });
    await finishHeld(five.session, again);
  });

  await t.test("goose's own replay agrees with the journal after all that", async () => {
    await gander.stop();
    await until('the end of all agents', () => gooseProcesses(root).length === 0);
    await gander.start();
    for (const pond of ponds) {
      const [link] = (await linked(pond)).slice(-1);
      const entries = await gander.entries(pond.session);
      const heard = await withGoose(environment, async (ask, updates) => {
        await ask('session/load', { sessionId: link.agent_session_id, cwd: pond.cwd, mcpServers: [] });
        return updates.filter((one) => one.sessionId === link.agent_session_id).map((one) => one.update);
      });
      const text = (kind) => heard.filter((update) => update.sessionUpdate === kind).map((update) => update.content.text ?? '');
      const said = answerOf(entries);
      for (const answer of text('agent_message_chunk')) assert.ok(said.includes(answer.trim()), `goose alone has ${JSON.stringify(answer)}`);
      const prompts = entries.filter((entry) => entry.kind === 'prompt').map(promptOf);
      for (const prompt of text('user_message_chunk')) assert.ok(prompts.some((ours) => prompt.includes(ours) || ours.includes(prompt)), `goose alone was asked ${JSON.stringify(prompt)}`);
    }
  });

  await t.test('an id that goose gives out again belongs to one session at a time (G13)', async () => {
    const newest = (await Promise.all(ponds.map(async (pond) => ({ pond, id: (await linked(pond)).at(-1).agent_session_id }))))
      .sort((a, b) => Number(a.id.split('_')[1]) - Number(b.id.split('_')[1]))
      .at(-1);
    await gander.stop();
    await withGoose(environment, (ask) => ask('session/delete', { sessionId: newest.id }));
    await gander.start();
    const cwd = projectIn(home, 'pond6');
    const window = await gander.post('windows', { agent: 'goose', cwd });
    await finish(window.session_id, await send(window.session_id, 'Pond6 is new [[stream chunks=5 word=pond6]]'));
    const again = (await linked({ session: window.session_id })).at(-1);
    assert.equal(again.agent_session_id, newest.id, 'goose gave out another id: this test has lost its trigger');
    const findings = (await gander.get('findings')).findings;
    assert.ok(findings.some((finding) => finding.subject.session === newest.pond.session || JSON.stringify(finding).includes(newest.id)), JSON.stringify(findings));
    // The old session goes on in an agent session of its own.
    const turn = await send(newest.pond.session, 'Still here [[stream chunks=4 word=still]]');
    await finish(newest.pond.session, turn);
    assert.notEqual((await linked(newest.pond)).at(-1).agent_session_id, newest.id);
    assert.ok(!answerOf(await gander.entries(window.session_id)).includes('still-1'));
  });

  await t.test('every acknowledged prompt is there once, in its own session, and everything verifies', async () => {
    const sessions = (await gander.get('sessions?status=all&limit=500')).sessions;
    const everywhere = [];
    for (const session of sessions) {
      const entries = await gander.entries(session.id);
      for (const entry of entries) everywhere.push([session.id, entry]);
      assert.deepEqual(entries.map((entry) => entry.seq), entries.map((_, index) => index + 1));
    }
    for (const [session, texts] of acknowledged) {
      for (const text of texts) {
        const found = everywhere.filter(([, entry]) => entry.kind === 'prompt' && promptOf(entry) === text).map(([id]) => id);
        assert.deepEqual(found, [session], text);
      }
    }
    const messages = everywhere.filter(([, entry]) => entry.kind === 'message');
    for (const pond of ponds) {
      const places = messages.filter(([, entry]) => answerOf([entry]).includes(`pond${pond.number}-30 `)).map(([id]) => id);
      assert.deepEqual(places, [pond.session], `the first answer of pond ${pond.number}`);
    }
    const verified = await gander.cli('verify', '--json');
    assert.equal(verified.code, 0, verified.out);
    assert.equal(verified.json.ok, true);
  });
});
