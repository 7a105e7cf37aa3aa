/** What the fake's conversations say: enough of everything for the UI to be looked at. */
import type { UpgradeRun } from '../types';

export const NAMES = [
  'Witness file lags behind after resume', 'Port the importer to streaming', 'Rename column without a rewrite', 'Flaky test on macOS runners',
  'Why does fsync take 40 ms here?', 'Plan the 0.4 release notes', 'Trim the Docker image', 'Queue holds after an agent crash',
  'Explain the hash chain to newcomers', 'Bisect the memory growth', 'Draft the security page', 'Keyboard map for the palette',
  'CSV export with stable ordering', 'Replace the retry loop', 'Read-only open of newer formats', 'Loopback origin check',
];
export const PREVIEWS = [
  'The tail is compared only up to its position, so a resumed …', 'Done: 14 files changed, tests pass.', 'I would keep the old column until the next release.',
  'It fails only when two runners share a cache key.', 'Which of the two folders should I use?', 'Interrupted while reading src/store/tail.rs',
];
export const FOLDERS = ['/home/mira/gander', '/home/mira/site', '/home/mira/notes', '/srv/importer'];

export const ANSWER = `The witness is written **after** the commit, so a crash between the two leaves it one revision behind. That is fine: the check at start only asks whether the entries *up to its position* still give its root.

What goes wrong is the resume path. It takes the witness's position as the end of the journal and ignores the tail:

\`\`\`rust
fn audit(&self, witness: &Witness) -> Result<Audit, OpenError> {
    // Everything up to the witnessed position must be there, unchanged.
    let root = self.root_at(witness.position)?;
    if root != witness.root {
        return Err(OpenError::Behind { journal: self.id, witness: witness.clone() });
    }
    self.verify_tail(witness.position..)
}
\`\`\`

Three things follow from that:

1. \`root_at\` has to walk heads **by position**, not by session.
2. The tail is verified too, it is just not compared.
3. A journal *behind* its witness takes a new id, so old cursors reset.

| case | witness | journal | answer |
|---|---:|---:|---|
| clean stop | 812 | 812 | open |
| crash after commit | 811 | 812 | open, verify the tail |
| older copy put back | 812 | 640 | new journal id, finding |

> The tail is never trusted because it is new. It is verified because it is there.

See the [SQLite notes on WAL](https://www.sqlite.org/wal.html) for why the order matters. ![diagram](https://example.com/diagram.png)
`;

export const SHORT = 'Done. The tail is verified on every start now, and `cargo nextest run -p gander-journal` passes (41 tests).';

export const RTL = `הקובץ נכתב **אחרי** ה־commit, ולכן קריסה ביניהם משאירה אותו בגרסה אחת מאחור.

- בודקים את השורש עד למיקום שנרשם
- הזנב נבדק בנפרד, גם אם הוא חדש
- הפונקציה \`root_at\` עוברת לפי מיקום

\`\`\`sql
SELECT position, hash FROM heads ORDER BY position;
\`\`\`

هذا السطر بالعربية، ويجب أن يبدأ من اليمين.`;

export const OLD_CODE = `use crate::{Hash, Seq};

/// Walks the chain of one session and checks every link.
pub fn verify(session: &SessionId, entries: &[Entry]) -> Result<Head, Damage> {
    let mut previous = Hash::ZERO;
    for entry in entries {
        if entry.previous() != previous {
            return Err(Damage::Broken(entry.seq));
        }
        previous = entry.hash;
    }
    Ok(Head { seq: entries.last().seq, hash: previous })
}
`;
export const NEW_CODE = `use crate::{Hash, Seq};

/// Walks the chain of one session and checks every link, from a head that is trusted already.
pub fn verify(session: &SessionId, from: Head, entries: &[Entry]) -> Result<Head, Damage> {
    let mut head = from;
    for entry in entries {
        if entry.seq != head.seq.next() {
            return Err(Damage::Missing { expected: head.seq.next(), found: entry.seq });
        }
        if entry.hash != entry_hash(session, entry, head.hash) {
            return Err(Damage::Broken(entry.seq));
        }
        head = Head { seq: entry.seq, hash: entry.hash };
    }
    Ok(head)
}
`;

export function longDiff(lines: number): { oldText: string; newText: string } {
  const before: string[] = [];
  const after: string[] = [];
  for (let n = 1; n <= lines; n++) {
    const line = `    row(${n}, "value ${n}", Kind::${['Text', 'Blob', 'Real'][n % 3]}),`;
    before.push(line);
    if (n % 7 === 0) after.push(line.replace('value', 'changed value'));
    else if (n % 31 === 0) continue;
    else after.push(line);
    if (n % 40 === 0) after.push(`    // checkpoint ${n / 40}`);
  }
  return { oldText: before.join('\n'), newText: after.join('\n') };
}

export const TERMINAL = `\u001b[32m   Compiling\u001b[0m gander-journal v0.1.0
\u001b[32m    Finished\u001b[0m test profile in 6.41s
\u001b[1m────────────\u001b[0m
 Nextest run ID 2f9c with nextest profile: default
    Starting 41 tests across 1 binary
        \u001b[32mPASS\u001b[0m [   0.021s] g03_moved_entry_fails
        \u001b[32mPASS\u001b[0m [   0.034s] g04_tail_is_verified
        \u001b[31mFAIL\u001b[0m [   0.112s] g12_audit_counts_orphans
  \u001b[31massertion failed: left == right\u001b[0m
     left: 214
    right: 213
     Summary [   1.402s] 41 tests run: 40 passed, 1 failed
`;

/** An upgrade that is over: taken into use, or rolled back by its own check. */
export function ranUpgrade(committed: boolean, now: number): UpgradeRun {
  const root = '7c1f0e5ab94d22e8c3f6a1b07d5e9c4418a2f6d3b5c7e9f1a3b5d7f9e1c3a5b7';
  const at = (seconds: number) => new Date(now - 300_000 + seconds * 1000).toISOString();
  const phases = ['stage', 'drill', 'prepare', 'seal', 'switch', 'start', 'check', ...(committed ? ['commit'] : ['rollback', 'rolled_back'])];
  const same = (n: number) => ({ before: n, after: n });
  return {
    id: `upgrade-${committed}`, kind: 'upgrade', from: '0.1.0', to: '0.2.0', phase: phases.at(-1) ?? '', result: committed ? 'committed' : 'rolled_back', migrated: committed, rollback: false, seen: false,
    frozen_ms: committed ? 840 : null, steps: phases.map((phase, n) => ({ phase, at: at([0, 2, 9, 31, 31, 32, 32, 33, 35][n] ?? 0) })),
    backup: { snapshot: '01a2059e-6bb1-7e41-9d55-0f6a1c2b3d4e', place: '/home/mira/.local/share/gander/vault', sessions: 42, entries: 1204, verified: true },
    exports: { folder: '/home/mira/.local/share/gander/exports/2026-11-23-before-0.2.0' },
    checks: {
      ok: committed, windows: same(5), sessions: same(42), drafts: same(1), queue: same(0), open_items: same(0), root: { before: root, after: committed ? root : `e${root.slice(1)}` },
      documents: { before: root.slice(9), after: root.slice(9) }, differences: committed ? [] : ['The store root differs: session 01930000-0000-7000-8000-000000000003 has 4 entries instead of 5.'],
    },
    error: committed ? null : { what: 'The new version did not find what was written down before it started.', safe: 'Everything. Gander 0.1.0 runs on what it had; the new version had written nothing.', todo: 'Go on working. `gander upgrade status` has the details.' },
    warnings: [], started_at: at(0), ended_at: at(35),
  };
}
