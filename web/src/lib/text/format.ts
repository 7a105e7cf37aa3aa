/** Numbers, times and paths as people read them. */

/** Made when it is wanted first: a page that starts has no millisecond to spare for each of these. */
export function lazy<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}

const clock = lazy(() => new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hour12: false }));
const weekday = lazy(() => new Intl.DateTimeFormat(undefined, { weekday: 'short' }));
const day = lazy(() => new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' }));
const full = lazy(() => new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' }));
const number = lazy(() => new Intl.NumberFormat('en-US'));

export const clockTime = (at: string | null | undefined) => (at ? clock().format(new Date(at)) : '');
export const fullTime = (at: string | null | undefined) => (at ? full().format(new Date(at)) : '');
export const count = (n: number) => number().format(n);

export function counted(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** Calendar days between two moments. */
const daysBefore = (then: Date, now: number) => Math.round((new Date(now).setHours(0, 0, 0, 0) - new Date(then).setHours(0, 0, 0, 0)) / 86_400_000);

/** A moment of today by the clock, an older one by its day: "09:41", "Tue", "3 Nov". `told` days more are told apart elsewhere. */
export function moment(at: string, now = Date.now(), told = 0): string {
  const then = new Date(at);
  const days = daysBefore(then, now);
  if (days < 1 + told) return clock().format(then);
  return days < 7 ? weekday().format(then) : day().format(then);
}

/** Short enough for a list: "now", "4 min", "09:41", "Tue", "3 Nov". */
export function relative(at: string | null | undefined, now = Date.now(), told = 0): string {
  if (!at) return '';
  const then = new Date(at);
  const seconds = (now - then.getTime()) / 1000;
  if (seconds < 60) return 'now';
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return moment(at, now, told);
}

/** What a program said, as a sentence. */
export function sentence(text: string): string {
  const said = text.trim();
  if (said === '') return '';
  return said.charAt(0).toUpperCase() + said.slice(1) + (/[.!?…”"]$/.test(said) ? '' : '.');
}

/** How long something took: "40 ms", "3.2 s", "2 min 5 s", "1 h 12 min". */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  const seconds = ms / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

export function bytes(n: number): string {
  if (n < 1000) return `${n} B`;
  if (n < 1_000_000) return `${(n / 1000).toFixed(n < 10_000 ? 1 : 0)} KB`;
  return `${(n / 1_000_000).toFixed(n < 10_000_000 ? 1 : 0)} MB`;
}

export const baseName = (path: string) => path.replace(/\/+$/, '').split('/').pop() || path;

/** The path below `folder`, or the path itself when it lies elsewhere. */
export function within(path: string, folder: string): string {
  const root = folder.endsWith('/') ? folder : `${folder}/`;
  return path.startsWith(root) ? path.slice(root.length) : path;
}

export const shortHash = (hash: string | undefined) => (hash ? hash.slice(0, 7) : '');
