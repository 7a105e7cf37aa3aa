import type { Backend } from '../backend/backend';
import type { Handover, Installed, UpgradeReport, UpgradeRun } from '../backend/types';
import { Order } from './order';

const NONE: Handover = { state: 'none', from: '', turns: [], drafts: 0, can_cancel: false, safe: '' };
const RELOADED = 'gander.reloaded';
/** A page that is reloaded waits for a pause in the typing, but not for ever. */
const PAUSE_MS = 600;
/** Where nobody was there to see it, an old upgrade is no news. */
const NEWS_MS = 7 * 86_400_000;
const LONGEST_WAIT_MS = 5_000;

/** The version that the page was served by. */
const servedBy = () => document.querySelector<HTMLMetaElement>('meta[name=gander-version]')?.content || null;

/**
 * What an upgrade asks of this window: to be told while it waits and while it is frozen, to come back as a page of the version that
 * answers now, once, and to show afterwards what was checked.
 */
export class Upgrade {
  handover = $state.raw<Handover>(NONE);
  report = $state.raw<UpgradeReport | null>(null);
  /** Another version in the installed program's place. While it takes over, the handover says the rest. */
  installed = $derived.by(() => (this.handover.state === 'none' ? ((this.report?.installed ?? null) as Installed | null) : null));
  /** Another version answers, and reloading did not bring its page: the reader is asked. */
  stale = $state<string | null>(null);
  /** A finished one that nobody has seen yet. */
  news = $derived.by((): UpgradeRun | null => {
    const run = this.report?.last;
    if (!run || run.seen || run.id === this.#seen || run.result === 'abandoned') return null;
    return Date.now() - Date.parse(run.ended_at ?? run.started_at) < NEWS_MS ? run : null;
  });
  /** Prompts and answers wait; drafts are kept. */
  waiting = $derived(this.handover.state !== 'none');
  frozen = $derived(this.handover.state === 'frozen' || this.handover.state === 'sealed');

  #backend: Backend;
  #seen = $state<string | null>(null);
  #own = servedBy();
  #typedAt = 0;
  #handovers = new Order();
  #reports = new Order();

  constructor(backend: Backend) {
    this.#backend = backend;
    addEventListener('keydown', () => (this.#typedAt = Date.now()), { capture: true, passive: true });
  }

  /** The server said which version it is. `keep` saves what a page that goes away would lose. */
  async heard(version: string | undefined, keep: () => Promise<void>): Promise<void> {
    void this.#read();
    if (!version) return;
    this.#own ??= version;
    if (version === this.#own) return;
    const step = `${this.#own} ${version}`;
    if (sessionStorage.getItem(RELOADED) === step) {
      this.stale = version;
      return;
    }
    const since = Date.now();
    while (Date.now() - this.#typedAt < PAUSE_MS && Date.now() - since < LONGEST_WAIT_MS) await new Promise((go) => setTimeout(go, 100));
    await Promise.race([keep(), new Promise((go) => setTimeout(go, 3_000))]);
    // One that is gone again by now would leave the browser's own error page here. It says its version again when it is back.
    if (!(await this.#backend.health().then(() => true, () => false))) return;
    sessionStorage.setItem(RELOADED, step);
    location.reload();
  }

  async #read(): Promise<void> {
    const asked = this.#handovers.ask();
    const handover = this.#backend.handover().then((now) => this.#handovers.counts(asked) && (this.handover = now));
    await Promise.allSettled([handover, this.refresh()]);
  }

  /** Told by the server, or found out by asking again. */
  told(handover: Handover) {
    this.#handovers.told();
    this.handover = handover;
  }

  /** Another version was put in the installed program's place, or what became of it. */
  toldInstalled(installed: Installed | null) {
    if (this.report) this.report = { ...this.report, installed };
    // What is being read is older.
    this.#reports.told();
    this.refresh().catch(() => undefined);
  }

  async refresh(): Promise<void> {
    const asked = this.#reports.ask();
    const report = await this.#backend.upgrade();
    if (this.#reports.counts(asked)) this.report = report;
  }

  seen() {
    const run = this.report?.last;
    if (!run || run.seen || this.#seen === run.id) return;
    this.#seen = run.id;
    this.#backend.upgradeSeen(run.id).catch(() => undefined);
  }
}
