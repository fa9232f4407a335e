// The chat's parts, laid out and wired. Begins when the tab is shown for the first time.
import '../common/rooms.js';
import { get } from '../common/api.js';
import { on } from '../common/bus.js';
import { make } from '../common/dom.js';
import { words } from '../words/chat.js';
import { words as shared } from '../words/shared.js';
import { Announcer } from './announcer.js';
import { Composer } from './composer.js';
import { current } from './current.js';
import { focusBox } from './focus.js';
import { bindKeys } from './keyboard.js';
import { Session } from './session.js';
import { Toolbar } from './toolbar.js';
import { Transcript, entriesOf } from './transcript.js';
import { Welcome } from './welcome.js';

const LOST_MS = 1200;

class Chat {
  constructor(root) {
    this.root = root;
    this.session = new Session(this);
    this.announcer = new Announcer();
    this.transcript = new Transcript(this.commands(), this.announcer);
    this.composer = new Composer({
      onAsk: (text) => this.ask(text), onStop: () => this.stop(), onThinking: (value) => this.setThinking(value),
    });
    this.welcome = new Welcome((question) => this.composer.ask(question));
    this.toolbar = new Toolbar({
      onList: () => this.toggleList(), onNew: () => this.open(null),
      onSettings: () => this.openSettings(), onShortcuts: () => this.openShortcuts(),
    });
    this.banner = make('p', { class: 'banner', role: 'alert' });
    this.opening = make('p', { class: 'opening soft', role: 'status' });
    this.nav = make('nav', { class: 'list', 'aria-label': words.toolbar.list });
    this.main = make('div', { class: 'pane' }, this.toolbar.node, this.banner, this.opening, this.welcome.node, this.transcript.node,
      this.composer.node, this.announcer.node);
    root.append(this.nav, this.main);
    // What was chosen for a new chat, until it exists; the defaults have the rest.
    this.plans = {};
    this.defaults = {};
  }

  // What turns may ask for; an error is told at the box, wherever it came from.
  commands() {
    const { session } = this;
    // Whether it was taken.
    const told = (name) => async (...args) => {
      try {
        // Another version is read where it stands.
        if (name !== 'choose') this.transcript?.toEnd();
        await session[name](...args);
        return true;
      } catch (error) {
        this.composer.fail(error.message);
        return false;
      }
    };
    return {
      ...Object.fromEntries(['ask', 'regenerate', 'answerAgain', 'goOn', 'choose'].map((name) => [name, told(name)])),
      // Its editor tells what went wrong, and keeps its text.
      fork: async (...args) => {
        this.transcript?.toEnd();
        await session.fork(...args);
      },
      control: (...args) => session.control(...args),
    };
  }

  async ask(text) {
    this.transcript.toEnd();
    // A new chat that gets its name is no step.
    this.isStep = false;
    const isHere = await this.session.ask(text, { settings: this.plans, many: this.many?.value });
    if (isHere) this.many?.asked();
    this.transcript.toEnd();
    return isHere;
  }

  async stop() {
    this.transcript.stopping();
    this.announcer.say(words.said.stopping);
    await this.session.stop();
  }

  // The session's view: all of it.
  show() {
    const { conversation, path, groups } = current();
    const { session } = this;
    this.opening.textContent = session.isShown ? '' : words.opening.now;
    this.welcome.node.hidden = path.length > 0 || !session.isShown;
    this.main.classList.toggle('begun', path.length > 0);
    this.transcript.show(entriesOf(path, groups, (message) => session.together(message)));
    this.toolbar.show(conversation, conversation?.settings.model ?? '');
    this.picker?.show(conversation, this.planned);
    this.picker?.node.toggleAttribute('inert', !session.isShown);
    this.composer.show(session.id);
    this.composer.live(session.live.length > 0);
    if (!this.isSetting) this.composer.thinking.show({ thinking: 'auto', budget: 1024, ...(conversation?.settings ?? this.planned) });
    this.tell();
    if (session.isShown) this.arrived(session.id);
  }

  // What a new chat will be asked with.
  get planned() { return { ...this.defaults, ...this.plans }; }

  tell() {
    if (this.session.live.length) this.transcript.tell(this.session.live.at(-1));
  }

  grow(deltas) {
    this.transcript.grow(deltas);
    this.tell();
  }

  ended(message) {
    this.transcript.tell(message);
  }

  lost(isLost) {
    if (isLost) {
      this.losing ??= setTimeout(() => { this.banner.textContent = words.lost; }, LOST_MS);
    } else if (this.losing) {
      clearTimeout(this.losing);
      this.losing = null;
      this.banner.textContent = '';
      this.composer.fail('');
    }
  }

  // Its address goes with it: the way back would only lead here again.
  gone() {
    this.open(null, { isStep: false });
    this.composer.fail(words.errors.gone);
  }

  arrived(id) {
    this.address(id);
    if (!this.wanted) return;
    if (this.transcript.reveal(this.wanted)) this.wanted = null;
    else if (!this.isSought) {
      // It is on another branch, or gone.
      this.isSought = true;
      this.session.choose(this.wanted).catch(() => {});
    }
  }

  // The address names the conversation, so that a reload, a bookmark and the way back find it.
  address(id) {
    const url = new URL(location.href);
    if (url.searchParams.get('c') === id) return;
    if (id) url.searchParams.set('c', id);
    else url.searchParams.delete('c');
    history[this.isStep ? 'pushState' : 'replaceState'](history.state, '', url);
    this.isStep = false;
  }

  // `message`: the one to be brought into sight.
  open(id, { message = null, isStep = true } = {}) {
    this.announcer.clear();
    this.plans = {};
    this.wanted = message;
    this.isSought = false;
    this.isStep = isStep;
    this.transcript.toEnd();
    this.session.open(id);
    this.composer.show(id);
    // A reply that is still in sight is another chat's.
    if (!this.session.isShown) this.composer.live(false);
    this.showList(false);
    focusBox();
  }

  openAddressed() { this.open(new URL(location.href).searchParams.get('c'), { isStep: false }); }

  // A slider that is moved wants many values one after another: the last one counts, and what is not it yet is not shown.
  async setThinking(value) {
    if (!this.session.id) {
      this.plans = { ...this.plans, ...value };
      return;
    }
    const { session } = this;
    this.chosen = { value, visit: session.visit };
    if (this.isSetting) return;
    this.isSetting = true;
    while (this.chosen) {
      const { value: next, visit } = this.chosen;
      this.chosen = null;
      if (session.visit !== visit) continue;
      try {
        await session.update({ settings: next });
        if (!this.chosen && session.visit === visit) await this.limit(next);
      } catch (error) {
        this.composer.fail(error.message);
      }
    }
    this.isSetting = false;
    this.show();
  }

  // What is being thought already follows: a budget ends it there, Auto lifts that, and Off ends it now.
  async limit({ thinking, budget }) {
    for (const { id } of this.session.live) {
      if (thinking === 'off') await this.session.control(id, 'answer_now');
      else await this.session.control(id, 'budget', thinking === 'budget' ? budget : null);
    }
    this.transcript.limit(thinking === 'budget' ? budget : null);
  }

  answerNow() {
    const press = this.root.querySelector('.turn:last-child .answer-now');
    if (!press || press.closest('[hidden]')) return false;
    press.click();
    return true;
  }

  escape() {
    const opener = this.root.querySelector('[aria-haspopup][aria-expanded=true]');
    if (opener) opener.click();
    else if (this.nav.classList.contains('over')) this.showList(false);
    else if (this.composer.isLive) this.composer.stop();
    else return false;
    return true;
  }

  toggleList() { this.showList(!this.nav.classList.contains('over')); }

  showList(isOver) {
    this.nav.classList.toggle('over', isOver);
    this.toolbar.list.setAttribute('aria-expanded', isOver);
  }

  // Of a chat that does not exist yet: those of new ones.
  async openSettings() {
    if (!this.session.isShown) {
      this.composer.fail(words.opening.wait);
      return;
    }
    try {
      const { openSettings } = await import('../list/settings.js');
      await openSettings(current().conversation);
    } catch (error) {
      this.composer.fail(error.code ? error.message : shared.unreachable);
    }
  }

  async openShortcuts() {
    try {
      const { openShortcuts } = await import('../list/shortcuts.js');
      openShortcuts();
    } catch {
      this.composer.fail(shared.unreachable);
    }
  }

  async begin() {
    this.openAddressed();
    on('open-conversation', ({ id, message }) => this.open(id ?? null, { message }));
    window.addEventListener('popstate', () => this.openAddressed());
    bindKeys({
      'Ctrl+.': () => this.answerNow(),
      Escape: () => this.escape(),
      'Ctrl+Shift+O': () => this.open(null),
      'Ctrl+/': () => { this.openShortcuts(); },
      '?': () => { this.openShortcuts(); },
    }, () => this.root.offsetParent !== null);
    this.addRooms();
    on('defaults-changed', () => this.readDefaults());
    await this.readDefaults();
    const { models = [], default_model: name } = await get('/page/state');
    this.welcome.demo(models.some((model) => model.id === name && model.source === 'bundled'));
  }

  // What new chats are asked with, where nothing else was said.
  async readDefaults() {
    ({ settings: this.defaults } = await get('/page/settings'));
    this.show();
  }

  async addRooms() {
    const { ManyControl } = await import('../many/ask.js');
    this.many = new ManyControl();
    this.composer.slot.append(this.many.node);
    const { ModelPicker } = await import('../shelf/picker.js');
    this.picker = new ModelPicker({ onChoose: (model) => { if (!current().conversation) this.plans = { ...this.plans, model }; } });
    this.toolbar.model.replaceWith(this.picker.node);
    this.picker.show(current().conversation, this.planned);
    try {
      const { startList } = await import('../list/list.js');
      startList(this.nav);
    } catch { this.root.classList.add('alone'); }
  }
}

export const start = (root) => new Chat(root).begin();
