// A small menu that names the conversation's model and lets another be chosen: loaded ones, those here, and the way
// to more. Whoever mounts `node` calls `show` with the conversation, and with the settings planned for a new one.
import { get, patch, post } from '../common/api.js';
import { emit, on } from '../common/bus.js';
import { make, onPressOutside } from '../common/dom.js';
import { words } from '../words/shelf.js';
import { pulls } from './pulls.js';

const LOADING_MS = 1000;
const KEYS = { ArrowDown: 1, ArrowUp: -1 };

export class ModelPicker {
  #conversation = null;
  #model = '';
  #shelf = null;
  #timer = null;
  #isPressed = false;
  #onChoose;
  #name = make('span', { class: 'name' });
  #state = make('span', { class: 'soft' });
  #said = make('p', { class: 'alarm', role: 'status', hidden: true });
  #button;
  #menu;

  // `onChoose(model)` is called once a choice holds, for the plans of a new chat; '' is the server's default model.
  constructor({ onChoose = () => {} } = {}) {
    this.#onChoose = onChoose;
    this.#button = make('button', { type: 'button', class: 'quiet', 'aria-haspopup': 'menu', 'aria-expanded': 'false',
      onclick: () => this.#toggle(), onkeydown: (event) => { if (event.key in KEYS) { event.preventDefault(); this.#toggle(true); } } },
    this.#name, this.#state);
    this.#menu = make('div', { class: 'menu', role: 'menu', hidden: true, onkeydown: (event) => this.#key(event), onpointerdown: () => this.#press() });
    this.node = make('div', { class: 'model-picker', onfocusout: (event) => this.#left(event) }, this.#button, this.#menu, this.#said);
    onPressOutside(this.node, () => { if (!this.#menu.hidden) this.#toggle(false); });
    on('choose-model', ({ model }) => this.choose(model));
    on('models-changed', () => this.refresh());
    pulls.look();
    this.refresh();
  }

  get model() { return this.#model; }

  // The conversation that is shown, as the server tells it; null for a new one.
  show(conversation, plans = {}) {
    this.#conversation = conversation;
    this.#model = (conversation?.settings ?? plans).model ?? '';
    this.#draw();
  }

  // The name and its state come cheaply; what else there is, is asked while the menu is open.
  async refresh() {
    clearTimeout(this.#timer);
    const isBrief = this.#menu.hidden;
    try {
      const told = isBrief ? served(await get('/page/state')) : await get('/page/shelf');
      // Opened meanwhile, the menu has asked for more.
      if (isBrief && !this.#menu.hidden && this.#shelf?.catalogue) return;
      this.#shelf = told;
    } catch {
      return; // the rest of the page tells that the server is away
    }
    this.#draw();
    if (this.#shelf.models.some(({ state }) => state === 'loading')) this.#timer = setTimeout(() => this.refresh(), LOADING_MS);
  }

  // The model of that name for this conversation; what is not in memory begins to load at once.
  async choose(id) {
    const found = this.#found(id);
    const model = found?.is_default ? '' : id;
    const conversation = this.#conversation;
    this.#tell(null);
    try {
      if (conversation) {
        await patch(`/page/conversations/${conversation.id}`, { settings: { model } });
        emit('conversation-changed', { id: conversation.id });
      }
      // Somebody may have gone to another chat meanwhile.
      if (this.#conversation?.id === conversation?.id) {
        this.#model = model;
        this.#onChoose(model);
        this.#draw();
      }
      if (found?.state === 'unloaded') await this.#load(id);
    } catch (error) {
      this.#tell(error.message);
    }
  }

  async #load(id) {
    const loading = post('/page/shelf/load', { model: id });
    this.#timer = setTimeout(() => this.refresh(), LOADING_MS);
    await loading.finally(() => emit('models-changed'));
  }

  #found(id) {
    return this.#shelf?.models.find((model) => (id ? model.id === id || model.aliases?.includes(id) : model.is_default));
  }

  #draw() {
    const model = this.#found(this.#model);
    const id = this.#model || model?.id || words.pickerDefault;
    this.#name.textContent = id;
    this.#state.textContent = this.#shelf && !model && this.#model ? words.pickerGone : model?.state === 'loading' ? words.states.loading : '';
    this.#button.setAttribute('aria-label', `${words.picker(id)} ${this.#state.textContent}`.trim());
    if (!this.#menu.hidden && !this.#isPressed) this.#fill();
  }

  // What is replaced between press and release is not clicked: until then the menu stays as it is.
  #press() {
    this.#isPressed = true;
    const over = new AbortController();
    const release = () => {
      over.abort();
      setTimeout(() => {
        this.#isPressed = false;
        this.#draw();
      });
    };
    for (const ended of ['pointerup', 'pointercancel']) window.addEventListener(ended, release, { signal: over.signal });
  }

  #fill() {
    const focus = this.#menu.contains(document.activeElement) ? document.activeElement.dataset.model : null;
    const { models = [], catalogue = [], offline = false } = this.#shelf ?? {};
    const loaded = models.filter(({ state }) => state === 'loaded' || state === 'loading');
    const away = offline ? catalogue.map(({ choices }) => choices[0]).filter(({ here }) => !here) : [];
    this.#menu.replaceChildren(
      ...group(words.pickerLoaded, loaded.map((model) => this.#item(model))),
      ...group(words.pickerHere, models.filter((model) => !loaded.includes(model)).map((model) => this.#item(model))),
      ...group(words.pickerAway, away.map((choice) => item(choice.id, words.offlineWhy, { role: 'menuitem', 'aria-disabled': 'true' }))),
      item(words.pickerMore, '', { role: 'menuitem', class: 'more', onclick: () => { this.#toggle(false); emit('show-room', { name: 'shelf' }); } }),
    );
    if (focus) this.#items().find((node) => node.dataset.model === focus)?.focus();
    this.#place();
  }

  // Within the window, below the button or above it.
  #place() {
    const { style, classList } = this.#menu;
    classList.toggle('up', this.#button.getBoundingClientRect().top > window.innerHeight / 2);
    style.insetInlineStart = '';
    const over = this.#menu.getBoundingClientRect().right + 8 - document.documentElement.clientWidth;
    if (over > 0) style.insetInlineStart = `${-over}px`;
  }

  #item(model) {
    const isChosen = model === this.#found(this.#model);
    const told = [model.size_bytes ? words.bytes(model.size_bytes) : null, model.state === 'unloaded' ? null : words.states[model.state],
      model.is_default ? words.pickerDefault : null].filter(Boolean).join(', ');
    return item(model.id, told, { role: 'menuitemradio', 'aria-checked': String(isChosen), onclick: () => {
      this.#toggle(false);
      this.choose(model.id);
    } });
  }

  #items() { return [...this.#menu.querySelectorAll('button')]; }

  #toggle(open = this.#menu.hidden) {
    const hadFocus = this.#menu.contains(document.activeElement);
    this.#menu.hidden = !open;
    this.#button.setAttribute('aria-expanded', String(open));
    if (!open) {
      if (hadFocus) this.#button.focus();
      return;
    }
    this.#fill();
    (this.#menu.querySelector('[aria-checked=true]') ?? this.#items()[0]).focus();
    this.refresh();
  }

  #key(event) {
    if (event.key === 'Escape') {
      event.stopPropagation();
      this.#toggle(false);
    }
    const items = this.#items();
    const at = { Home: 0, End: items.length - 1 }[event.key]
      ?? (event.key in KEYS ? (items.indexOf(document.activeElement) + KEYS[event.key] + items.length) % items.length : null);
    if (at === null) return;
    event.preventDefault();
    items[at].focus();
  }

  #left({ relatedTarget }) {
    if (!this.#menu.hidden && relatedTarget && !this.node.contains(relatedTarget)) this.#toggle(false);
  }

  #tell(message) {
    this.#said.hidden = message === null;
    this.#said.textContent = message ?? '';
  }
}

const served = ({ models, default_model: name }) => ({ models: models.map((model) => ({ ...model, is_default: model.id === name })) });

const group = (label, items) => (items.length ? [make('div', { role: 'group', 'aria-label': label }, make('p', { class: 'soft', 'aria-hidden': 'true' }, label), ...items)] : []);

const item = (name, told, attributes) => make('button', { type: 'button', tabindex: '-1', 'data-model': name, ...attributes },
  make('span', { class: 'name' }, name), told ? make('span', { class: 'soft' }, told) : null);
