import { getContext, setContext, tick } from 'svelte';
import { BackendError, Unreachable, type Backend, type Connection, type Feed } from '../backend/backend';
import type { Agent, AgentCommand, Attachment, Change, Config, ContentBlock, ContinueHow, Draft, Entry, Finding, Handover, Health, Installed, SavingStatus, ScrollPosition, Session, WindowState } from '../backend/types';
import { DraftKeeper } from '../composer/draft.svelte';
import { Conversation } from '../conversation/conversation.svelte';
import { bodyOf } from '../conversation/entry';
import { SessionList } from '../sidebar/sessions.svelte';
import { counted } from '../text/format';
import { uuidv7 } from '../text/ids';
import { isNative, onScreen } from './native';
import { newest, Order } from './order';
import { comeBack, focusAgain, leave } from './return';
import { Toasts } from './toasts.svelte';
import { Upgrade } from './upgrade.svelte';

export type Page = 'backups' | 'upgrade' | 'archived' | 'trashed' | 'empty' | 'findings' | 'settings' | 'windows' | 'quarantined' | 'all';
export type Panel = 'outline' | 'files' | 'details';
export type Overlay = 'palette' | 'keys' | 'windows' | null;

const PAGES = new Set<string>(['backups', 'upgrade', 'archived', 'trashed', 'empty', 'findings', 'settings', 'windows', 'quarantined', 'all']);

/** How long the first picture of a window waits for what belongs in it. */
const FIRST_MS = 250;
/** A window that could not be read is read again. */
const AGAIN_MS = 1000;

/** What this window is doing: its session, its draft, the list, and how things stand with the server. */
export class App {
  readonly backend: Backend;
  readonly windowId: string;
  readonly tab = uuidv7();
  readonly toasts = new Toasts();
  readonly list: SessionList;
  readonly upgrade: Upgrade;

  phase = $state<'loading' | 'ready' | 'failed' | 'unknown-window'>('loading');
  failure = $state.raw<unknown>(null);
  window = $state.raw<WindowState | null>(null);
  conversation = $state.raw<Conversation | null>(null);
  draft = $state.raw<DraftKeeper | null>(null);
  connection = $state<Connection>('connecting');
  saving = $state.raw<SavingStatus>({ saving: true });
  health = $state.raw<Health | null>(null);
  config = $state.raw<Omit<Config, 'agent_idle_minutes' | 'max_agents'>>({ default_agent: 'scratch', default_cwd: '', theme: 'system', remote_images: false });
  agents = $state.raw<Agent[]>([]);
  /** What the agent of this window's session offers after a slash. */
  commands = $state.raw<AgentCommand[]>([]);
  windows = $state.raw<WindowState[]>([]);
  findings = $state.raw<Finding[]>([]);
  taken = $state(false);
  page = $state<Page | null>(null);
  overlay = $state<Overlay>(null);
  panel = $state<Panel | null>(null);
  sidebar = $state(true);
  /** The window has no room for the list beside the conversation: it lies over it. */
  narrow = $state(false);
  /** What the palette begins with. */
  asking = $state('');
  finding = $state(false);
  renaming = $state(false);
  sending = $state(false);
  /** How many chats wait for an answer, shown here or not. */
  waiting = $state(0);
  /** Asked of the conversation's view: bring this entry into sight. */
  wanted = $state.raw<{ seq: number; n: number } | null>(null);
  /** Counts wishes to go to the conversation's end. */
  endWanted = $state(0);
  /** A session that another window shows was asked for. */
  elsewhere = $state.raw<{ session: Session; window: WindowState } | null>(null);
  /** A session for which the reader chooses another window. */
  moving = $state.raw<Session | null>(null);
  /** An address that the reader clicked: shown before anything is opened. */
  link = $state<string | null>(null);
  /** A picture that the reader looks at larger. */
  picture = $state.raw<{ src: string; alt: string } | null>(null);
  /** The session's folder, where it cannot be read any more: asked each time a session is opened or a turn was not sent. */
  lostFolder = $state<string | null>(null);
  /** The reader chooses another folder for the session. */
  relinking = $state(false);
  /** An entry that the reader wants erased: said exactly before it is done. */
  erasing = $state.raw<{ entry: Entry; what: string } | null>(null);
  now = $state(Date.now());
  /** Set by the conversation's view: writes down where the reader is. */
  rememberPlace: (() => Promise<void>) | null = null;

  session = $derived<Session | null>(this.conversation?.session ?? null);
  offline = $derived(this.connection === 'reconnecting');
  /** The last turn never reached its agent, so there is nothing to go on from. */
  unsent = $derived.by(() => {
    const end = this.conversation?.entries.findLast((entry) => entry.kind === 'turn_ended');
    return (end ? (bodyOf(end).data as { state?: string } | null) : null)?.state === 'not_sent';
  });

  /** What an agent is called in a sentence: without what its name says in brackets. */
  agentName(id: string | undefined): string {
    const name = this.agents.find((agent) => agent.id === id)?.name || id || 'the agent';
    return name.replace(/\s*\([^()]*\)$/, '');
  }

  /** Lists beside the main one that are on the screen now. */
  #watched = new Set<SessionList>();
  #feed: Feed | null = null;
  #pending: { turnId: string; content: string; sessionId: string } | null = null;
  #healthTimer: ReturnType<typeof setTimeout> | undefined;
  #asked = 0;
  /** What this window shows, and questions about it. */
  #shown = new Order();
  /** The session that the journal said last that this window shows. */
  #told: string | null | undefined;
  #seeing: string | null = null;
  #asking = new Set<string>();
  #isDrawn: () => void = () => undefined;
  #drawn = new Promise<void>((drawn) => (this.#isDrawn = drawn));

  constructor(backend: Backend, windowId: string) {
    this.backend = backend;
    this.windowId = windowId;
    this.list = new SessionList(backend);
    this.upgrade = new Upgrade(backend);
    setInterval(() => (this.now = Date.now()), 20_000);
    // What happens beside the sessions, a backup by the clock, tells itself to nobody.
    setInterval(() => this.phase === 'ready' && !this.offline && this.#healthLater(), 5 * 60_000);
  }

  async start(): Promise<void> {
    try {
      const window = await this.backend.window(this.windowId);
      this.#feed = this.backend.subscribe(
        { change: (c) => this.#change(c), connection: (c) => this.#connected(c), reset: () => void this.#readAll() },
        window.cursor,
      );
      this.#show(window);
      // Drawn once, with all of it: drawn again after each answer a page takes several times as long. A slow answer comes later.
      const around = Promise.all([this.conversation?.loaded, this.#readList(), this.#readAround()]);
      await Promise.race([around, new Promise((go) => setTimeout(go, FIRST_MS))]);
      this.phase = 'ready';
      await tick();
      const left = comeBack(this.windowId);
      if (left) {
        this.panel = left.panel as Panel | null;
        this.sidebar = left.sidebar;
        focusAgain(left);
      }
      await onScreen();
      this.#isDrawn();
      // What says that it shows this window has it on the screen.
      this.#feed.attach(this.windowId, this.tab);
      await around;
    } catch (failure) {
      this.failure = failure;
      this.phase = failure instanceof BackendError && failure.code === 'not_found' ? 'unknown-window' : 'failed';
      if (failure instanceof Unreachable) setTimeout(() => void this.start(), 1500);
    }
  }

  async #readAround(): Promise<void> {
    await Promise.all([this.#readConfig(), this.#readAgents(), this.#readHealth(), this.#readWindows(), this.#readFindings()]);
  }

  #readConfig = newest(() => this.backend.config(), (config) => (this.config = config));
  #readAgents = newest(() => this.backend.agents(), (agents) => (this.agents = agents));
  #readHealth = newest(() => this.backend.health(), (health) => this.#takeHealth(health));
  #readWindows = newest(() => this.backend.windows(), (windows) => (this.windows = windows));
  #readFindings = newest(() => this.backend.findings(), (findings) => (this.findings = findings));

  /** After a reset nothing read before is trusted. */
  async #readAll(): Promise<void> {
    try {
      const window = await this.backend.window(this.windowId);
      if (window.session_id === this.conversation?.id) {
        this.window = window;
        void this.conversation?.load();
        if (window.draft) this.draft?.changed(window.draft);
      } else this.#answered(window);
    } catch (failure) {
      this.complain(failure, 'This window could not be read again.');
    }
    await Promise.all([this.#readList(), this.#readAround()]);
  }

  /** The list, and who waits for an answer: chats that run are among its first. */
  async #readList(): Promise<void> {
    await this.list.load();
    if (!this.list.filtered) this.#asking.clear();
    for (const session of this.list.items) this.#asks(session);
  }

  #asks(session: Session) {
    if (session.turn && session.turn.permissions.length > 0) this.#asking.add(session.id);
    else this.#asking.delete(session.id);
    this.waiting = this.#asking.size;
  }

  #connected(state: Connection) {
    const back = state === 'live' && this.connection === 'reconnecting';
    this.connection = state;
    if (back) {
      void this.#readAround();
      void this.#readCommands();
    }
    if (state !== 'live') return;
    // What could not be read while nobody served is read now.
    if (this.list.phase === 'failed') void this.#readList();
    if (this.conversation?.phase === 'failed' && this.conversation.failure instanceof Unreachable) void this.conversation.load();
  }

  /** Shows what something asked of the server gave. The answer may be older than what others made the window show meanwhile. */
  #answered(window: WindowState) {
    this.#show(window);
    if (this.#told !== undefined && this.#told !== window.session_id) void this.#follow();
  }

  #show(window: WindowState) {
    this.#shown.told();
    this.window = window;
    const id = window.session_id;
    if (id === null) {
      this.conversation = null;
      this.draft = null;
      return;
    }
    if (this.conversation?.id !== id) {
      this.draft?.close();
      this.conversation = new Conversation(this.backend, id);
      this.draft = new DraftKeeper(this.backend, localStorage, this.windowId, id, window.draft?.session_id === id ? window.draft : null);
      this.lostFolder = null;
      this.commands = [];
      const conversation = this.conversation;
      const loaded = conversation.load();
      // Neither is in a window's first picture.
      void this.#drawn.then(() => this.#readCommands());
      void Promise.all([loaded, this.#drawn]).then(() => this.lookForFolder(conversation.session));
    }
  }

  async #readCommands(): Promise<void> {
    const id = this.conversation?.id;
    if (!id) return;
    const commands = await this.backend.commands(id).catch(() => null);
    if (commands && this.conversation?.id === id) this.commands = commands;
  }

  /** A conversation opens without its folder; its agent does not start without it. */
  async lookForFolder(session: Session | null): Promise<void> {
    if (!session || session.status === 'quarantined') return;
    const { id, cwd } = session;
    const gone = await this.backend.folders(cwd).then(
      () => false,
      (failure: unknown) => failure instanceof BackendError && failure.code === 'not_found',
    );
    if (this.conversation?.id === id && this.session?.cwd === cwd) this.lostFolder = gone ? cwd : null;
  }

  /** The folder was moved, or another one takes its place: an entry says so, and the conversation goes on there. */
  async relink(cwd: string): Promise<void> {
    const session = this.session;
    this.relinking = false;
    if (!session || session.cwd === cwd) return;
    const before = session.cwd;
    const moved = await this.#try('The folder was not changed.', () => this.backend.patchSession(session.id, { cwd }));
    if (!moved) return;
    if (this.conversation?.id === moved.id) this.conversation.heard(moved);
    const wasLost = this.lostFolder !== null;
    await this.lookForFolder(moved);
    this.toasts.show(`The folder is ${cwd} now.`, wasLost ? {} : { action: { label: 'Undo', run: () => void this.relink(before) } });
  }

  #change(change: Change) {
    this.conversation?.apply(change);
    switch (change.type) {
      case 'session':
        this.list.apply(change);
        if (change.data) this.#asks(change.data as Session);
        for (const list of this.#watched) list.apply(change);
        this.#healthLater();
        break;
      case 'window': {
        const window = change.data as WindowState;
        this.windows = this.windows.some((w) => w.id === window.id) ? this.windows.map((w) => (w.id === window.id ? window : w)) : [...this.windows, window];
        if (window.id !== this.windowId) break;
        this.#told = window.session_id;
        if (this.#shown.waits || window.session_id !== this.window?.session_id) void this.#follow();
        break;
      }
      case 'draft':
        if (change.window_id === this.windowId && (change.data as Draft).session_id === this.draft?.sessionId) this.draft.changed(change.data as Draft);
        break;
      case 'entry':
        this.#promptLanded(change);
        // A turn that was not sent, or that moved the folder from another window, says how things stand with it.
        if (change.session_id === this.conversation?.id && ['turn_ended', 'moved'].includes((change.data as Entry).kind)) void this.lookForFolder(this.session);
        break;
      case 'hello':
        this.draft?.again();
        void this.upgrade.heard((change.data as { version?: string } | undefined)?.version, () => this.#leave());
        break;
      case 'handover':
        this.upgrade.told(change.data as Handover);
        if (this.upgrade.handover.failed && !this.upgrade.waiting) this.toasts.show('The upgrade was given up. Gander runs as before.', { tone: 'error', detail: this.upgrade.handover.failed });
        break;
      case 'installed':
        this.upgrade.toldInstalled(change.data as Installed | null);
        break;
      case 'commands':
        if (change.session_id === this.conversation?.id) this.commands = (change.data as { commands: AgentCommand[] }).commands;
        break;
      case 'status':
        this.saving = change.data as SavingStatus;
        break;
      case 'finding':
        void this.#readFindings();
        this.#healthLater();
        break;
      case 'agents':
        void this.#readAgents();
        break;
      case 'config':
        void this.#readConfig();
        break;
      case 'attached':
        this.taken = false;
        break;
      case 'taken':
        this.taken = true;
        break;
    }
  }

  /** This page is about to be loaded again: nothing that was typed, and no place, is lost by it. */
  async #leave(): Promise<void> {
    leave(this.windowId, this.panel, this.sidebar);
    await Promise.allSettled([this.draft?.flush(), this.rememberPlace?.()]);
  }

  /** Shows what the journal says. Of several answers only that to the newest question is shown, whenever they come. */
  async #follow(): Promise<void> {
    const asked = this.#shown.ask();
    const window = await this.backend.window(this.windowId).catch(() => null);
    if (!this.#shown.isLast(asked)) return;
    if (window) this.#show(window);
    else setTimeout(() => this.#shown.isLast(asked) && void this.#follow(), AGAIN_MS);
  }

  #healthLater(ms = 1500) {
    clearTimeout(this.#healthTimer);
    this.#healthTimer = setTimeout(() => void this.#readHealth(), ms);
  }

  #takeHealth = (health: Health) => {
    this.health = health;
    // A new journal is verified for the first time soon after its start.
    if (!health.verified_at) this.#healthLater(15_000);
  };

  watch(list: SessionList) {
    this.#watched.add(list);
  }

  unwatch(list: SessionList) {
    this.#watched.delete(list);
  }

  takeBack() {
    this.taken = false;
    this.#feed?.attach(this.windowId, this.tab);
    void this.#readAll();
  }

  retryNow() {
    this.#feed?.retryNow();
  }

  /** Something went wrong: what happened, what is safe, what to do. */
  complain(failure: unknown, what: string) {
    if (failure instanceof BackendError) {
      const { title, detail, safe, todo } = failure.problem;
      this.toasts.show(detail ?? title, { tone: 'error', detail: [safe, todo].filter(Boolean).join(' ') || what });
    } else if (failure instanceof Unreachable) {
      this.toasts.show(what, { tone: 'error', detail: 'Gander cannot be reached. What was saved is safe; try again when it is back.' });
    } else {
      this.toasts.show(what, { tone: 'error', detail: failure instanceof Error ? failure.message : undefined });
    }
  }

  async #try<T>(what: string, run: () => Promise<T>): Promise<T | undefined> {
    try {
      return await run();
    } catch (failure) {
      this.complain(failure, what);
      return undefined;
    }
  }

  go(page: Page | null) {
    const hash = page ? `#/${page}` : '';
    if (location.hash !== hash) history.pushState(null, '', hash || location.pathname + location.search);
    this.page = page;
  }

  readAddress() {
    const name = location.hash.replace(/^#\//, '');
    this.page = PAGES.has(name) ? (name as Page) : null;
  }

  /** Shows a session here. One that another open window shows is asked about first. */
  async open(session: Session, how: 'ask' | 'here' = 'ask', seq?: number): Promise<void> {
    const other = this.windows.find((w) => w.id !== this.windowId && w.open && w.attached && w.session_id === session.id);
    if (how === 'ask' && other && this.conversation?.id !== session.id) {
      this.elsewhere = { session, window: other };
      return;
    }
    this.elsewhere = null;
    const asked = ++this.#asked;
    if (this.conversation?.id !== session.id) {
      await this.draft?.flush();
      const shown = await this.#try('That session could not be opened. This window still shows what it showed.', () =>
        this.backend.showSession(this.windowId, session.id),
      );
      if (!shown || asked !== this.#asked) return;
      this.#answered(shown.window);
    }
    this.go(null);
    this.finding = false;
    if (seq !== undefined) this.want(seq);
    this.seen();
  }

  want(seq: number) {
    this.wanted = { seq, n: (this.wanted?.n ?? 0) + 1 };
  }

  async rememberScroll(scroll: ScrollPosition): Promise<void> {
    const before = this.window?.scroll;
    if (before?.session_id === scroll.session_id && before.seq === scroll.seq && before.offset === scroll.offset) return;
    if (this.window) this.window = { ...this.window, scroll };
    await this.backend.patchWindow(this.windowId, { scroll }).catch(() => {
      // What was not written down is, the next time.
      if (this.window?.scroll === scroll) this.window = { ...this.window, scroll: before ?? null };
    });
  }

  async focusElsewhere(): Promise<void> {
    const other = this.elsewhere;
    this.elsewhere = null;
    if (!other) return;
    await this.#try('That window could not be brought forward.', () => this.backend.focusWindow(other.window.id));
    if (!isNative) globalThis.open(`/w/${other.window.id}`, `gander-${other.window.id}`);
  }

  /** A session goes to another open window, or to a new one. One that this window shows leaves it, with what is typed for it. */
  async move(session: Session, to?: WindowState): Promise<void> {
    this.moving = null;
    // Opened in the click itself, or the browser takes it for a pop-up. A window that is shown has its tab.
    const tab = isNative || to?.attached ? null : globalThis.open('about:blank', '_blank');
    const there = this.conversation?.id === session.id ? await this.#moveAway(session, to) : await this.#showThere(session, to);
    if (!there) tab?.close();
    else if (tab) tab.location.href = `/w/${there.id}`;
  }

  async #moveAway(session: Session, to?: WindowState): Promise<WindowState | undefined> {
    if (this.draft && !(await this.draft.flush())) {
      this.toasts.show('Not moved: the draft is not saved yet.', { tone: 'error', detail: 'Your text stays here. Try again in a moment.' });
      return undefined;
    }
    await this.rememberPlace?.();
    const moved = await this.#try('The session was not moved. This window still shows it.', () => this.backend.moveSession(this.windowId, session.id, to?.id));
    if (!moved) return undefined;
    this.#answered(moved.from);
    this.go(null);
    const back = async () => {
      const returned = await this.#try('The session was not moved back.', () => this.backend.moveSession(moved.window.id, session.id, this.windowId));
      if (returned) this.#answered(returned.window);
    };
    this.toasts.show(`Moved to window ${moved.window.ordinal}.`, { action: { label: 'Move back', run: () => void back() } });
    return moved.window;
  }

  async #showThere(session: Session, to?: WindowState): Promise<WindowState | undefined> {
    return this.#try('The session was not shown there.', async () => {
      if (!to) return this.backend.openWindow({ session_id: session.id });
      const { window } = await this.backend.showSession(to.id, session.id);
      await this.backend.focusWindow(to.id);
      this.toasts.show(`Shown in window ${window.ordinal}.`);
      return window;
    });
  }

  /** The session that another window shows comes into this one, and leaves that. */
  async moveHere(): Promise<void> {
    const other = this.elsewhere;
    this.elsewhere = null;
    if (!other) return;
    await this.draft?.flush();
    const moved = await this.#try('The session was not moved. That window still shows it.', () => this.backend.moveSession(other.window.id, other.session.id, this.windowId));
    if (!moved) return;
    this.#answered(moved.window);
    this.go(null);
  }

  async newChat(options: { agent?: string; cwd?: string } = {}): Promise<void> {
    await this.draft?.flush();
    const session = await this.#try('A new chat could not be made.', () => this.backend.newChat(this.windowId, options));
    if (!session) return;
    const window = await this.#try('This window could not be read again.', () => this.backend.window(this.windowId));
    if (window) this.#answered(window);
    this.go(null);
    document.querySelector<HTMLTextAreaElement>('[data-testid=composer-text]')?.focus();
  }

  async configureChat(change: { agent?: string; cwd?: string }): Promise<void> {
    const session = this.session;
    if (!session) return;
    await this.#try('That could not be changed.', async () => {
      const changed = await this.backend.patchSession(session.id, change);
      if (this.conversation?.id === changed.id) this.conversation.heard(changed);
      if (change.agent) await this.#readCommands();
    });
  }

  async newWindow(sessionId?: string): Promise<void> {
    // Opened in the click itself, or the browser takes it for a pop-up.
    const tab = isNative ? null : globalThis.open('about:blank', '_blank');
    const window = await this.#try('A new window could not be opened.', () => this.backend.openWindow(sessionId ? { session_id: sessionId } : {}));
    if (!window) tab?.close();
    else if (tab) tab.location.href = `/w/${window.id}`;
    else if (!isNative) location.href = `/w/${window.id}`;
  }

  async reopenWindow(id?: string): Promise<void> {
    const closed = id ?? this.windows.filter((w) => !w.open).pop()?.id;
    if (!closed) {
      this.toasts.show('No window was closed.');
      return;
    }
    const tab = isNative ? null : globalThis.open('about:blank', '_blank');
    const window = await this.#try('That window could not be opened again.', () => this.backend.reopenWindow(closed));
    if (!window) tab?.close();
    else if (tab) tab.location.href = `/w/${window.id}`;
    void this.#readWindows();
  }

  goToWindow(id: string) {
    if (isNative) void this.#try('That window could not be brought forward.', () => this.backend.focusWindow(id));
    else globalThis.open(`/w/${id}`, `gander-${id}`);
  }

  async rename(session: Session, name: string): Promise<void> {
    const wanted = name.trim();
    if (wanted === '' || wanted === session.name) return;
    const renamed = await this.#try('The name was not changed.', () => this.backend.patchSession(session.id, { name: wanted }));
    if (renamed && this.conversation?.id === renamed.id) this.conversation.heard(renamed);
  }

  async setStatus(session: Session, status: 'active' | 'archived' | 'trashed'): Promise<void> {
    const before = session.status;
    const done = await this.#try('Nothing was changed.', () => this.backend.patchSession(session.id, { status }));
    if (!done) return;
    for (const list of [this.list, ...this.#watched]) list.apply({ type: 'session', session_id: session.id, data: done });
    if (this.conversation?.id === done.id) this.conversation.heard(done);
    const said = { active: 'Put back', archived: 'Archived', trashed: 'Moved to the trash' }[status];
    const undo = before === 'quarantined' || before === status ? undefined : { label: 'Undo', run: () => void this.setStatus({ ...session, status }, before) };
    this.toasts.show(`${said}: ${session.name || 'Untitled'}`, { action: status === 'active' ? undefined : undo });
  }

  /** One thing with several sessions, and one undo for all of it. */
  async setStatusOf(sessions: Session[], status: 'active' | 'archived' | 'trashed'): Promise<void> {
    const done: { before: Session; after: Session }[] = [];
    let failure: unknown = null;
    const waiting = [...sessions];
    const work = async () => {
      for (let before = waiting.shift(); before; before = waiting.shift()) {
        try {
          const after = await this.backend.patchSession(before.id, { status });
          done.push({ before, after });
          for (const list of [this.list, ...this.#watched]) list.apply({ type: 'session', session_id: after.id, data: after });
          if (this.conversation?.id === after.id) this.conversation.heard(after);
        } catch (problem) {
          failure ??= problem;
        }
      }
    };
    await Promise.all([work(), work(), work(), work()]);
    const said = { active: 'Put back', archived: 'Archived', trashed: 'Moved to the trash' }[status];
    const undo = async () => {
      for (const before of ['active', 'archived', 'trashed'] as const) {
        const again = done.filter((one) => one.before.status === before).map((one) => one.after);
        if (again.length > 0) await this.setStatusOf(again, before);
      }
    };
    if (failure) this.complain(failure, `${sessions.length - done.length} of ${counted(sessions.length, 'session')} stayed as they were.`);
    if (done.length > 0) this.toasts.show(`${said}: ${counted(done.length, 'session')}`, { action: { label: 'Undo', run: () => void undo() } });
  }

  async pin(session: Session, pinned: boolean): Promise<void> {
    const done = await this.#try('Nothing was changed.', () => this.backend.patchSession(session.id, { pinned }));
    if (done) this.list.apply({ type: 'session', session_id: session.id, data: done });
  }

  /** Erases the bodies of entries, for good. */
  async erase(seqs: number[]): Promise<boolean> {
    const conversation = this.conversation;
    if (!conversation) return false;
    const done = await this.#try('Nothing was erased.', async () => {
      for (const seq of seqs) await this.backend.redact(conversation.id, seq);
      return true;
    });
    // In a fork the entry belongs to another session, whose changes this window does not follow.
    await conversation.reread(seqs);
    if (done) this.toasts.show('Erased. Only its place and its hash are kept.');
    return done === true;
  }

  async fork(seq: number): Promise<void> {
    const session = this.session;
    if (!session) return;
    const fork = await this.#try('The fork was not made.', () => this.backend.fork(session.id, seq));
    if (!fork) return;
    await this.open(fork, 'here');
    this.toasts.show('Forked. The original is untouched.', { action: { label: 'Back to the original', run: () => void this.open(session, 'here') } });
  }

  /** A fork that ends before a prompt, with that prompt's text in the composer to be changed. */
  async forkBefore(seq: number, text: string): Promise<void> {
    const session = this.session;
    if (!session) return;
    const fork = await this.#try('The fork was not made.', () => this.backend.fork(session.id, seq - 1));
    if (!fork) return;
    await this.open(fork, 'here');
    if (this.conversation?.id === fork.id) this.draft?.put(text);
  }

  /** What the reader looks at is seen. */
  seen() {
    const session = this.session;
    if (!session?.unseen || this.page !== null || !document.hasFocus() || this.#seeing === session.id) return;
    this.#seeing = session.id;
    this.backend
      .patchSession(session.id, { seen: true })
      .catch(() => undefined)
      .finally(() => (this.#seeing = null));
  }

  focused() {
    this.#feed?.focus();
    if (this.phase === 'ready') this.#healthLater();
    this.seen();
  }

  async export(sessions: Session[], format: 'markdown' | 'json'): Promise<void> {
    await this.#try('Nothing was exported. The sessions are unchanged.', async () => {
      const { exported } = await import('../conversation/export');
      const file = await exported(this.backend, sessions, format);
      const link = document.createElement('a');
      link.href = URL.createObjectURL(file);
      link.download = file.name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    });
  }

  /** Sends the draft. The text stays in the composer until the server has it; the same turn id is used for every retry. */
  async send(): Promise<void> {
    const { draft, conversation } = this;
    if (!draft || !conversation || draft.empty || this.sending || !this.saving.saving || this.upgrade.waiting || draft.conflict) return;
    this.sending = true;
    try {
      // Pressed before the session was read: what the prompt is said to is known when it was.
      if (!conversation.session) await conversation.loaded;
      if (!conversation.session) {
        this.toasts.show('Not sent: this conversation could not be read.', { tone: 'error', detail: 'Your text stays here. Try again in a moment.' });
        return;
      }
      if (!(await draft.flush())) {
        if (!draft.conflict) this.toasts.show('Not sent: the draft is not saved yet.', { tone: 'error', detail: 'Your text stays here and is kept in this browser. Try again in a moment.' });
        return;
      }
      const text = draft.text;
      const content: ContentBlock[] = [];
      if (text.trim() !== '') content.push({ type: 'text', text });
      for (const a of draft.attachments) content.push({ type: 'blob', hash: a.hash, name: a.name, mime: a.mime, bytes: a.bytes });
      const key = JSON.stringify(content);
      const again = this.#pending?.sessionId === conversation.id && this.#pending.content === key;
      const turnId = again && this.#pending ? this.#pending.turnId : uuidv7();
      this.#pending = { turnId, content: key, sessionId: conversation.id };
      const rev = draft.rev;
      await this.backend.send(conversation.id, { turn_id: turnId, window_id: this.windowId, draft_rev: rev, expected_head: conversation.head, content, when_busy: 'queue' });
      this.#pending = null;
      draft.sent(rev, text);
      this.endWanted += 1;
    } catch (failure) {
      if (failure instanceof BackendError && failure.code === 'head_moved') {
        this.#pending = null;
        await conversation.load();
        this.toasts.show('Not sent: this conversation went on in another window.', { tone: 'error', detail: 'Read what is new, then send again. Your text is still here.' });
      } else this.complain(failure, 'Not sent. Your text is still here.');
    } finally {
      this.sending = false;
    }
  }

  /** An answer that got lost on the way: the prompt is in the journal all the same. */
  #promptLanded(change: Change) {
    const entry = change.data as { kind: string; body: string | null };
    const pending = this.#pending;
    if (entry.kind !== 'prompt' || !pending || change.session_id !== pending.sessionId || !entry.body?.includes(pending.turnId) || this.sending) return;
    this.#pending = null;
    if (this.draft?.sessionId === pending.sessionId) this.draft.sent(this.draft.rev, this.draft.text);
  }

  async cancelUpgrade(): Promise<void> {
    await this.#try('The upgrade was not cancelled.', () => this.backend.cancelHandover());
  }

  async interruptForUpgrade(): Promise<void> {
    await this.#try('The turns were not interrupted.', () => this.backend.interruptForHandover());
  }

  /** The installed version takes over now, or is left alone. */
  async takeOver(when: 'now' | 'later'): Promise<void> {
    await this.#try(when === 'now' ? 'The installed version does not take over.' : 'It was not put off.', () => this.backend.takeOver(when));
  }

  async stop(): Promise<void> {
    const session = this.session;
    if (session?.turn) await this.#try('The turn was not stopped.', () => this.backend.cancel(session.id, session.turn?.id ?? ''));
  }

  async continueTurn(turn: string, how: ContinueHow): Promise<void> {
    const session = this.session;
    if (session) await this.#try('The turn was not continued.', () => this.backend.continueTurn(session.id, turn, how, uuidv7()));
  }

  async answer(permission: string, option: string): Promise<void> {
    const session = this.session;
    if (session) await this.#try('The answer was not saved, so the agent did not get it.', () => this.backend.answerPermission(session.id, permission, option));
  }

  async editQueued(turn: string, patch: { content?: ContentBlock[]; position?: number }): Promise<void> {
    const session = this.session;
    if (session) await this.#try('The queue was not changed.', () => this.backend.patchQueue(session.id, turn, patch));
  }

  async deleteQueued(turn: string): Promise<void> {
    const session = this.session;
    if (session) await this.#try('The prompt is still queued.', () => this.backend.deleteQueue(session.id, turn));
  }

  async resumeQueue(): Promise<void> {
    const session = this.session;
    if (session) await this.#try('The queue is still held.', () => this.backend.resumeQueue(session.id));
  }

  async configure(patch: Partial<Config>): Promise<void> {
    const config = await this.#try('The setting was not saved.', () => this.backend.patchConfig(patch));
    if (config) this.config = config;
  }

  /** A file is for the draft that it was given to, whatever the window shows when it is stored. */
  async attachFile(file: File, draft: DraftKeeper): Promise<void> {
    const stored = await this.#try(`${file.name} was not attached.`, () => this.backend.putBlob(file, file.name || 'pasted image.png'));
    if (stored) (this.draft?.sessionId === draft.sessionId ? this.draft : draft).attach(stored);
  }

  /** Files that a native window's shell stored for a session. */
  attachGiven(sessionId: string | null, attachments: Attachment[]): void {
    const { draft } = this;
    if (draft && draft.sessionId === sessionId) for (const attachment of attachments) draft.attach(attachment);
    else if (attachments.length > 0)
      this.toasts.show('Not attached: this window shows another chat by now.', { tone: 'error', detail: 'The files are unchanged. Drop them again where their chat is.' });
  }
}

const KEY = Symbol('app');
export const provideApp = (app: App) => setContext(KEY, app);
export const useApp = () => getContext<App>(KEY);
