/** Every word of the query stands somewhere in the label, at the start of a word. */
export function matches(label: string, query: string): boolean {
  const words = label.toLowerCase().split(/[\s:]+/);
  return query
    .toLowerCase()
    .split(/\s+/)
    .filter(Boolean)
    .every((part) => words.some((word) => word.startsWith(part)));
}

/** The server marks what matched with two control characters. */
export function snippetParts(snippet: string): { text: string; hit: boolean }[] {
  const parts: { text: string; hit: boolean }[] = [];
  let hit = false;
  // eslint-disable-next-line no-control-regex
  for (const piece of snippet.split(/([\u0002\u0003])/)) {
    if (piece === '\u0002') hit = true;
    else if (piece === '\u0003') hit = false;
    else if (piece) parts.push({ text: piece, hit });
  }
  return parts;
}
