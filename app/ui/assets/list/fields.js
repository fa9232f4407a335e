// The fields of the settings: each checks itself and says what is wrong where it is.
import { make } from '../common/dom.js';
import { words } from '../words/list.js';

// As 1,000 is written in English; the comma of 0,6 is a point elsewhere, and only where there may be one.
const GROUPED = /^\d{1,3}(,\d{3})+$/;

let made = 0;

// A label, a control and what it is for, tied together.
export const labelled = (text, control, ...notes) => {
  control.id ||= `field-${made += 1}`;
  const described = notes.filter((note) => note?.matches?.('p')).map((note) => (note.id ||= `note-${made += 1}`));
  if (described.length) control.setAttribute('aria-describedby', described.join(' '));
  return make('div', { class: 'field' }, make('label', { for: control.id }, text), control, ...notes);
};

// A number within `limit` {low, high, whole}, or nothing: null, where `hint` is what applies.
export class NumberField {
  constructor(name, limit, hint, onChange) {
    this.name = name;
    this.limit = limit;
    const [label, what] = words.settings.fields[name];
    this.input = make('input', { inputmode: limit.whole ? 'numeric' : 'decimal', autocomplete: 'off', name, placeholder: hint,
      oninput: () => { this.check(); onChange(); } });
    this.alarm = make('p', { class: 'alarm' });
    this.node = labelled(label, this.input, make('p', { class: 'soft' }, what), this.alarm);
  }

  get text() {
    const text = this.input.value.trim();
    if (!this.limit.whole) return text.replace(',', '.');
    return GROUPED.test(text) ? text.replaceAll(',', '') : text;
  }

  get value() { return this.text === '' ? null : Number(this.text); }

  set value(value) {
    this.input.value = value ?? '';
    this.check();
  }

  get problem() {
    const { settings } = words;
    const { low, high, whole } = this.limit;
    if (this.text === '') return '';
    if (!whole && !Number.isFinite(this.value)) return settings.noNumber;
    if (this.value >= low && this.value <= high && (!whole || Number.isInteger(this.value))) return '';
    return (whole ? settings.rangeWhole : settings.range)(low, high);
  }

  check() {
    const { problem } = this;
    this.alarm.textContent = problem;
    if (problem) this.input.setAttribute('aria-invalid', true);
    else this.input.removeAttribute('aria-invalid');
    return !problem;
  }
}

// Radio buttons that look like one switch.
export const choice = (legend, name, options, value, onChange) => {
  const radio = ([key, text]) => {
    const input = make('input', { type: 'radio', name, value: key, onchange: () => onChange(key) });
    input.checked = key === value;
    return make('label', {}, input, make('span', {}, text));
  };
  return make('fieldset', { class: 'switch' }, make('legend', {}, legend), ...Object.entries(options).map(radio));
};
