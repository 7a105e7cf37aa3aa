import type { Entry } from '../backend/types';
import { diffOf, type FileDiff } from '../conversation/diff';
import { bodyOf, toolCallOf } from '../conversation/entry';

export interface TouchedFile {
  path: string;
  read: number;
  edited: number;
  added: number;
  removed: number;
  /** The last entry that touched it. */
  seq: number;
  changes: { seq: number; at: string; before: string; after: string; diff: FileDiff }[];
}

/** The files that a conversation's tool calls name, edited ones first. */
export function touchedFiles(entries: readonly Entry[]): TouchedFile[] {
  const files = new Map<string, TouchedFile>();
  const of = (path: string): TouchedFile => {
    let file = files.get(path);
    if (!file) files.set(path, (file = { path, read: 0, edited: 0, added: 0, removed: 0, seq: 0, changes: [] }));
    return file;
  };
  for (const entry of entries) {
    if (entry.kind !== 'tool_call' || !entry.body) continue;
    const call = toolCallOf(bodyOf(entry).data);
    const diffs = call.content.filter((c) => c.type === 'diff' && c.path);
    for (const diff of diffs) {
      const file = of(diff.path ?? '');
      const counted = diffOf(diff);
      file.edited += 1;
      file.added += counted.added;
      file.removed += counted.removed;
      file.seq = entry.seq;
      file.changes.push({ seq: entry.seq, at: entry.at, before: diff.oldText ?? '', after: diff.newText ?? '', diff: counted });
    }
    for (const place of call.locations) {
      if (diffs.some((d) => d.path === place.path)) continue;
      const file = of(place.path);
      if (call.kind === 'edit' || call.kind === 'delete' || call.kind === 'move') file.edited += 1;
      else file.read += 1;
      file.seq = entry.seq;
    }
  }
  return [...files.values()].sort((a, b) => Number(b.edited > 0) - Number(a.edited > 0) || b.seq - a.seq);
}
