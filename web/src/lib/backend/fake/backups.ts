import type { Backend } from '../backend';
import type { Backup } from '../types';
import { hash, uuid, type World } from './world';

/** A vault in memory: snapshots that a restore finds two lost sessions in. */
export function backupsOf(world: World): Pick<Backend, 'backups' | 'backUp' | 'verifyBackups' | 'restore' | 'pruneBackups'> {
  const { fresh, held, now, scene, wait } = world;
  const made = (n: number, minutes: number, reason: string, more: Partial<Backup> = {}): Backup => ({
    id: uuid(900 + n), at: new Date(now - minutes * 60_000).toISOString(), reason, root: hash(`root${n}`), sessions: held.size, entries: 1204 - n * 12, new_bytes: n % 3 ? 48_200 * n : 2_310_000,
    journal: uuid(0), own: true, machine: 'mira-laptop', version: '0.1.0', notes: [], ...more,
  });
  let all = scene === 'first-run' ? [] : [made(1, 6, 'timer'), made(2, 41, 'hand'), made(3, 300, 'quit'), made(4, 1500, 'upgrade'), made(5, 2900, 'timer', { own: false, machine: 'mira-desk' }), made(6, 9000, 'restore')];
  const lost = [
    { session_id: uuid(7001), name: 'Why the cache was cold', action: 'added' },
    { session_id: uuid(7002), name: 'Release checklist, second half', action: 'forwarded' },
    { session_id: uuid(7003), name: 'Trim the Docker image', action: 'copied' },
  ];
  return {
    async backups() {
      await wait();
      return { backups: structuredClone(all), place: '/home/mira/.local/share/gander/vault', findings: [] };
    },
    async backUp() {
      await wait(900);
      const backup = { ...made(1, 0, 'hand'), id: fresh(), at: new Date().toISOString() };
      all = [backup, ...all];
      return { snapshot: backup.id, root: backup.root, sessions: backup.sessions, entries: backup.entries, new_bytes: backup.new_bytes, verified: true, findings: [] };
    },
    async verifyBackups() {
      await wait(900);
      return { ok: true, snapshots: all.length, objects: 118, entries: 7204, findings: [] };
    },
    async restore(snapshot, request) {
      await wait(300);
      const steps = all[0]?.id === snapshot ? [] : lost.filter((step) => !request.sessions || request.sessions.includes(step.session_id));
      const of = (action: string) => steps.filter((step) => step.action === action).length;
      return { added: of('added'), forwarded: of('forwarded'), copied: of('copied'), unchanged: held.size - 2, windows: request.windows ? 1 : 0, drafts: 0, queue: 0, open_items: 0, steps, findings: [], before: request.dry_run ? null : fresh() };
    },
    async pruneBackups(request) {
      await wait(120);
      const keep = request.last ?? 4;
      const report = { kept: all.slice(0, keep).map((b) => ({ id: b.id, why: ['last'] })), forgotten: all.slice(keep).map((b) => b.id), removed: 14, removed_bytes: 812_000 };
      if (!request.dry_run) all = all.slice(0, keep);
      return report;
    },
  };
}
