import { ANSWER, FOLDERS, longDiff, NAMES, PREVIEWS, RTL } from './content';
import { chunk, OPTIONS, tool, type Turns } from './turns';
import { hash, uuid, type World } from './world';

/** What there is at the start, by scene. */
export function seed(world: World, turns: Turns) {
  const { append, draftRevs, fresh, held, later, makeSession, now, scene, windows } = world;
  const { askPermission, begin, prompt, quick, run, showcase } = turns;

  const count = scene === 'first-run' ? 0 : scene === 'many' ? 10_000 : 42;
  for (let n = 0; n < count; n++) {
    const at = now - n * (scene === 'many' ? 400_000 : 7_400_000) - 600_000;
    const name = NAMES[n % NAMES.length] ?? '';
    const h = makeSession(uuid(n + 1), {
      name: n < NAMES.length ? name : `${name} ${Math.floor(n / NAMES.length)}`, named_by: n % 3 ? 'auto' : 'user', agent: n % 4 === 2 ? 'goose' : 'scratch',
      cwd: FOLDERS[n % FOLDERS.length] ?? '/', created_at: new Date(at).toISOString(), last_turn_at: new Date(at).toISOString(), place: at, empty: false,
      preview: PREVIEWS[n % PREVIEWS.length] ?? '', entries: 5, head: { seq: 0, hash: hash(`h${n}`) },
    });
    if (scene === 'many' && n > 60) {
      h.session.head = { seq: 5, hash: hash(`h${n}`) };
      continue;
    }
    if (n === 0) showcase(h, at);
    else quick(h, at, h.session.preview);
    if (n === 1) h.session.unseen = true;
    if (n === 3) h.session.pinned = true;
    if (n === 4) Object.assign(h.session, { running: true, turn: { id: fresh(), state: 'running', permissions: [{ id: 'p', item: 'i', options: OPTIONS }] } });
    if (n === 5) h.session.interrupted = 'x';
    if (n === 6) Object.assign(h.session, { running: true, turn: { id: fresh(), state: 'running', permissions: [] } });
    if (n === 8) h.session.draft = true;
    if (n > 36 && scene !== 'many') h.session.status = n > 38 ? 'archived' : 'trashed';
  }
  const first = held.get(uuid(1));
  if (scene === 'long-names' && first) {
    for (const h of held.values()) if (h.session.status === 'active') h.session.name = 'A name that goes on and on because somebody pasted the whole error message into it, thread panicked at src/witness.rs:88 called Result::unwrap() on an Err value: Behind { journal: 01930000, witness: 812 }'.slice(0, 200);
  }
  const ids = ['11111111-1111-7111-8111-111111111111', '22222222-2222-7222-8222-222222222222', '33333333-3333-7333-8333-333333333333'];
  ids.forEach((id, n) =>
    windows.push({ id, ordinal: n + 1, session_id: held.has(uuid(n + 1)) ? uuid(n + 1) : null, open: n < 2, attached: n === 0, geometry: null, scroll: null, draft: null }));
  const here = windows[0];
  if (!here) return;
  if (scene === 'first-run' || scene === 'empty') {
    const h = makeSession(fresh(), { owner_window: here.id });
    begin(h, now);
    here.session_id = h.session.id;
  }
  if (!first) return;
  if (scene === 'rtl') {
    const h = makeSession(fresh(), { name: 'מה קורה אחרי קריסה?', named_by: 'user', empty: false, preview: 'הזנב נבדק בנפרד', last_turn_at: new Date(now).toISOString() });
    begin(h, now - 60_000);
    const turn = fresh();
    prompt(h, 'למה קובץ העד מפגר בגרסה אחת אחרי חידוש? תסתכל קודם על `src/witness.rs`.', turn, now - 50_000);
    append(h, 'message', { turn, item: fresh(), ord: 1, by: 'agent', data: chunk(RTL) }, now - 40_000, true);
    append(h, 'turn_ended', { turn, by: 'gander', data: { state: 'ended' } }, now - 39_000, true);
    here.session_id = h.session.id;
  }
  if (scene === 'interrupted' || scene === 'errors') {
    const turn = fresh();
    prompt(first, 'Now write the test for a truncated tail.', turn, now - 90_000);
    append(first, 'tool_call', { turn, item: fresh(), ord: 1, by: 'agent', data: tool('c1', 'Read tests/it/audit.rs', 'read', {}, { status: 'failed', content: [{ type: 'content', content: { type: 'text', text: 'No such file: tests/it/audit.rs' } }] }) }, now - 80_000, true);
    append(first, 'message', { turn, item: fresh(), ord: 2, by: 'agent', data: chunk('The test needs a journal whose last page was cut. I would write 200 entries, stop the process, and truncate the file at the page that holds'), interrupted: true }, now - 70_000, true);
    append(first, 'turn_ended', { turn, by: 'gander', data: scene === 'errors' ? { state: 'not_sent', error: { message: 'The agent goose did not start: exit status 127, "goose: command not found".' }, reason: 'agent_failed' } : { state: 'interrupted', reason: 'Gander was stopped while the agent was answering.' } }, now - 60_000, true);
    first.session.interrupted = turn;
  }
  if (scene === 'erased') for (const e of first.entries.filter((e) => ['prompt', 'message', 'tool_call'].includes(e.kind)).slice(0, 4)) Object.assign(e, { body: null, salt: null, erased: true });
  if (scene === 'folder-gone') first.session.cwd = '/home/mira/moved/gander';
  if (scene === 'elsewhere') {
    const turn = fresh();
    prompt(first, 'And now the changelog, please.', turn, now - 90_000);
    append(first, 'prompt', { turn: null, item: fresh(), ord: 1, by: 'import', elsewhere: true, data: chunk('Rename root_at to root_until.', 'user_message_chunk') }, now - 89_000, true);
    append(first, 'message', { turn: null, item: fresh(), ord: 2, by: 'import', elsewhere: true, data: chunk('Renamed in 3 files. The tests pass.') }, now - 89_000, true);
    append(first, 'message', { turn, item: fresh(), ord: 1, by: 'agent', data: chunk('Added two lines under **Unreleased**.') }, now - 80_000, true);
    append(first, 'turn_ended', { turn, by: 'gander', data: { state: 'ended' } }, now - 60_000, true);
  }
  if (scene === 'continued') {
    const turn = fresh();
    append(first, 'prompt', { turn, by: 'user', data: { content: [{ type: 'text', text: `Your last answer was interrupted. Go on from where it was cut off; do not repeat it. This is what I have of it:\n\n${ANSWER}` }], continues: { turn: fresh(), how: 'continue' } } }, now - 90_000, true);
    append(first, 'message', { turn, item: fresh(), ord: 1, by: 'agent', data: chunk('the position that was witnessed, and the rest follows.') }, now - 80_000, true);
    append(first, 'turn_ended', { turn, by: 'gander', data: { state: 'ended' } }, now - 60_000, true);
  }
  if (scene === 'diff') {
    const turn = fresh();
    prompt(first, 'Regenerate the table.', turn, now - 90_000);
    append(first, 'tool_call', { turn, item: fresh(), ord: 1, by: 'agent', data: tool('d1', 'Edit src/generated/table.rs', 'edit', { locations: [{ path: '/home/mira/gander/src/generated/table.rs', line: 1 }] }, { status: 'completed', content: [{ type: 'diff', path: '/home/mira/gander/src/generated/table.rs', ...longDiff(4000) }] }) }, now - 80_000, true);
    append(first, 'message', { turn, item: fresh(), ord: 2, by: 'agent', data: chunk('Regenerated: 571 rows changed.') }, now - 70_000, true);
    append(first, 'turn_ended', { turn, by: 'gander', data: { state: 'ended' } }, now - 60_000, true);
  }
  if (scene === 'huge') {
    for (let n = 0; n < 33_000 / 3; n++) {
      const turn = fresh();
      prompt(first, `Question ${n}: what about case ${n * 7}?`, turn, now - 1000);
      append(first, 'message', { turn, item: fresh(), ord: 1, by: 'agent', data: chunk(n % 9 ? `Answer ${n}. ${'It depends on the position that was witnessed. '.repeat(1 + (n % 5))}` : ANSWER) }, now, true);
      append(first, 'turn_ended', { turn, by: 'gander', data: { state: 'ended' } }, now, true);
    }
  }
  if (scene === 'quarantined') {
    first.session.status = 'quarantined';
    const hurt = first.entries[first.entries.length - 3];
    if (hurt) Object.assign(hurt, { hash: hash('flipped') });
  }
  if (scene === 'queue') {
    first.queue = { items: ['Then update the changelog.', 'And open a pull request with both commits, one for the walk and one for the test.'].map((text, n) => ({ turn_id: fresh(), content: [{ type: 'text', text }], position: n + 1 })), held: true };
    first.session.queue = { count: 2, held: true };
  }
  if (scene === 'permission') askPermission(first, fresh());
  if (scene === 'draft') {
    here.draft = { session_id: first.session.id, rev: 7, text: 'And one more thing: what if the folder is', attachments: [] };
    draftRevs.set(`${here.id}/${first.session.id}`, here.draft);
  }
  if (scene === 'streaming') later(400, () => run(first, 'Explain it once more, slowly.', fresh(), true));
}
