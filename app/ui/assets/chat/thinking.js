// Whether and how long it thinks: a switch of the chat, with a budget where one is wanted.
import { make } from '../common/dom.js';
import { words } from '../words/chat.js';

const MODES = ['auto', 'budget', 'off'];
// The slider goes in quarters of powers of two; the number beside it takes any budget.
const STEPS = 4;
const SMALLEST = 5;
const LARGEST = 15;
const MOST = 131072;

export class ThinkingSwitch {
  // `onChange` gets {thinking, budget} when the person has chosen.
  constructor(onChange) {
    this.onChange = onChange;
    const { thinking } = words;
    this.radios = MODES.map((value) => make('input', { type: 'radio', name: 'thinking', value, onchange: () => this.tell() }));
    const choices = this.radios.map((radio) => make('label', { title: thinking.why[radio.value] }, radio,
      make('span', {}, thinking[radio.value])));
    this.slider = make('input', { type: 'range', min: SMALLEST * STEPS, max: LARGEST * STEPS, step: 1, 'aria-label': thinking.slider,
      oninput: () => this.slid(), onchange: () => { this.slid(); this.tell(); } });
    this.number = make('input', { type: 'number', min: 1, max: MOST, 'aria-label': thinking.number, onchange: () => this.typed() });
    this.budget = make('span', { class: 'budget' }, this.slider, this.number, make('span', { class: 'soft' }, thinking.unit));
    this.node = make('fieldset', { class: 'thinking', onkeydown: (event) => this.onKey(event) }, make('legend', {}, thinking.legend),
      make('span', { class: 'modes' }, ...choices), this.budget);
    this.show({ thinking: 'auto', budget: 1024 });
  }

  get value() {
    return { thinking: this.radios.find(({ checked }) => checked)?.value ?? 'auto', budget: this.tokens };
  }

  show({ thinking, budget }) {
    this.tokens = budget;
    for (const radio of this.radios) radio.checked = radio.value === thinking;
    // What is being typed is not taken away.
    if (document.activeElement !== this.number) this.number.value = budget;
    if (document.activeElement !== this.slider) this.slider.value = Math.round(Math.log2(budget) * STEPS);
    this.slider.setAttribute('aria-valuetext', words.thinking.tokens(budget));
    this.budget.hidden = thinking !== 'budget';
  }

  // Enter means this field and not the question's form.
  onKey(event) {
    if (event.key !== 'Enter') return;
    event.preventDefault();
    if (event.target === this.number) this.typed();
  }

  slid() {
    this.tokens = Math.round(2 ** (this.slider.value / STEPS));
    this.number.value = this.tokens;
    this.slider.setAttribute('aria-valuetext', words.thinking.tokens(this.tokens));
  }

  typed() {
    const wanted = Math.round(Number(this.number.value));
    if (wanted >= 1) this.tokens = Math.min(MOST, wanted);
    this.number.value = this.tokens;
    this.tell();
  }

  tell() {
    this.show(this.value);
    this.onChange(this.value);
  }
}
