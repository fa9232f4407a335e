// How many replies a question gets: one, a vote of several thoughts, or two models. A button with a small panel;
// whoever mounts `node` asks for `value` and tells `asked()` when a question went out.
import { get } from '../common/api.js';
import { on } from '../common/bus.js';
import { button, make, onPressOutside } from '../common/dom.js';
import { words } from '../words/many.js';

const MOST = 8;

export class ManyControl {
  constructor() {
    this.mode = 'one';
    this.said = make('span', {}, words.ask.one);
    this.press = make('button', { type: 'button', class: 'quiet', 'aria-haspopup': 'dialog', 'aria-expanded': 'false',
      onclick: () => this.toggle() }, this.said);
    this.count = make('select', { 'aria-label': words.ask.n, onchange: () => this.choose('vote') },
      ...Array.from({ length: MOST - 1 }, (_, index) => make('option', { value: index + 2, selected: index + 2 === 5 }, String(index + 2))));
    this.models = [words.ask.first, words.ask.second].map((label) => make('select', { 'aria-label': label, onchange: () => this.choose('two') }));
    this.gold = make('input', { maxlength: 500, autocomplete: 'off', oninput: () => this.tell(), onkeydown: (event) => this.onGoldKey(event) });
    this.goldRow = make('label', { class: 'right' }, make('span', {}, words.ask.gold), this.gold, make('small', {}, words.ask.goldWhy));
    this.panel = make('div', { class: 'panel', role: 'dialog', 'aria-label': words.ask.legend, hidden: true },
      this.option('one', words.ask.one, words.ask.oneWhy),
      this.option('vote', words.ask.votes, words.ask.voteWhy, this.count),
      this.option('two', words.ask.models, words.ask.modelsWhy, make('span', { class: 'pair' }, ...this.models)),
      this.goldRow, button(words.ask.done, () => this.toggle(false), { class: 'done' }));
    this.node = make('div', { class: 'ask-many', onfocusout: (event) => this.left(event), onkeydown: (event) => this.onKey(event) },
      this.press, this.panel);
    onPressOutside(this.node, () => { if (!this.panel.hidden) this.toggle(false); });
    this.choose('one');
    on('conversation-shown', () => this.asked());
  }

  // Fields for POST /page/many; null: one reply, as ever.
  get value() {
    const gold = this.gold.value.trim();
    if (this.mode === 'vote') return { n: Number(this.count.value), gold };
    if (this.mode === 'two') return { models: this.models.map(({ value }) => value), gold };
    return null;
  }

  // The right answer was of that question alone, and is of no other chat's.
  asked() {
    this.gold.value = '';
    this.tell();
  }

  option(mode, text, why, more = null) {
    const input = make('input', { type: 'radio', name: 'how-many', value: mode, onchange: () => this.choose(mode) });
    const option = make('div', { class: 'option' }, make('label', {}, input, make('span', {}, text)), more, make('small', {}, why));
    this.options = { ...this.options, [mode]: { input, option } };
    return option;
  }

  choose(mode) {
    this.mode = mode;
    for (const [name, { input, option }] of Object.entries(this.options)) {
      input.checked = name === mode;
      option.classList.toggle('chosen', name === mode);
    }
    this.goldRow.hidden = mode === 'one';
    this.tell();
  }

  tell() {
    const many = { one: words.ask.one, vote: words.ask.vote(Number(this.count.value)), two: words.ask.two }[this.mode];
    const gold = this.mode === 'one' ? '' : this.gold.value.trim();
    const said = gold ? words.ask.known(many, gold) : many;
    this.said.textContent = said;
    this.press.setAttribute('aria-label', `${words.ask.button}: ${said}`);
    this.press.classList.toggle('is-many', this.mode !== 'one');
  }

  toggle(open = this.panel.hidden) {
    const hadFocus = this.panel.contains(document.activeElement);
    this.panel.hidden = !open;
    this.press.setAttribute('aria-expanded', String(open));
    if (!open) {
      if (hadFocus) this.press.focus();
      return;
    }
    this.options[this.mode].input.focus();
    this.load();
  }

  async load() {
    let models;
    try {
      ({ models } = await get('/page/state'));
    } catch {
      return; // the rest of the page tells that the server is away
    }
    const names = models.map(({ id }) => id);
    this.models.forEach((select, index) => {
      const before = select.value;
      select.replaceChildren(...names.map((name) => make('option', { value: name }, name)));
      select.value = names.includes(before) ? before : names[index] ?? names[0] ?? '';
    });
    const { input, option } = this.options.two;
    input.disabled = names.length < 2;
    for (const select of this.models) select.disabled = input.disabled;
    option.querySelector('small').textContent = input.disabled ? words.ask.tooFew : words.ask.modelsWhy;
  }

  onKey(event) {
    // Enter means what is chosen here and not the question's form.
    if (event.key === 'Enter' && event.target.matches('[type=radio]')) event.preventDefault();
    if (event.key !== 'Escape' || this.panel.hidden) return;
    event.stopPropagation();
    this.toggle(false);
  }

  // Enter means this field and not the question's form.
  onGoldKey(event) {
    if (event.key !== 'Enter') return;
    event.preventDefault();
    this.toggle(false);
  }

  left({ relatedTarget }) {
    if (!this.panel.hidden && relatedTarget && !this.node.contains(relatedTarget)) this.toggle(false);
  }
}
