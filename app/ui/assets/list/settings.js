// How a conversation is asked: a dialog with its settings, or with those of new conversations (null).
import { get, patch, put } from '../common/api.js';
import { button, make, openDialog } from '../common/dom.js';
import { emit } from '../common/bus.js';
import { words } from '../words/list.js';
import { current } from '../chat/current.js';
import { ThinkingSwitch } from '../chat/thinking.js';
import { keepFold, preferredFold } from '../chat/thought.js';
import { NumberField, choice, labelled } from './fields.js';
import { contextOf, thoughtTokens } from './usage.js';

const SAMPLED = ['temperature', 'top_p', 'top_k', 'min_p', 'repetition_penalty'];
const FIELDS = [...SAMPLED, 'seed', 'max_tokens'];
const HINTS = { seed: words.settings.byChance, max_tokens: words.settings.byContext };

class SettingsDialog {
  constructor(conversation, state, settings) {
    this.conversation = conversation;
    this.state = state;
    this.before = settings;
    this.path = conversation && current().conversation?.id === conversation.id ? current().path : [];
    this.build();
    this.fill(settings);
  }

  build() {
    const { settings } = words;
    this.error = make('p', { class: 'alarm', role: 'alert' });
    // A chat that there is has its own below its question.
    this.thinking = this.conversation ? null : new ThinkingSwitch(() => {});
    this.form = make('form', { class: 'settings', novalidate: true, onsubmit: (event) => { event.preventDefault(); this.save(); } },
      this.presets(), this.models(), this.thinking?.node, this.system(), this.numbers(), this.thoughts(),
      this.conversation ? this.context() : null, this.traces(),
      this.error, this.ends());
    this.dialog = openDialog(this.conversation ? settings.title : settings.titleNew, this.form);
    this.dialog.classList.add('wide');
    this.preset.focus();
  }

  presets() {
    this.preset = make('select', { onchange: () => this.applyPreset() },
      ...this.state.presets.map(({ id, name }) => make('option', { value: id }, name)));
    this.why = make('p', { class: 'soft' });
    this.warning = make('p', { class: 'warning' });
    return labelled(words.settings.preset, this.preset, this.why, this.warning);
  }

  models() {
    const { settings } = words;
    const { models, default_model: own } = this.state;
    const { model } = this.before;
    this.model = make('select', { onchange: () => this.showContext() }, make('option', { value: '' }, own ? settings.anyModel(own) : settings.noModel),
      ...models.map(({ id }) => make('option', { value: id }, id)),
      model && !models.some(({ id }) => id === model) ? make('option', { value: model }, settings.gone(model)) : null);
    return labelled(settings.model, this.model);
  }

  system() {
    const { settings } = words;
    this.systemBox = make('textarea', { rows: 2, placeholder: settings.systemPlaceholder, maxlength: 100000, oninput: () => this.warn() });
    this.systemWarning = make('p', { class: 'soft' }, settings.systemWhy);
    return labelled(settings.system, this.systemBox, this.systemWarning);
  }

  numbers() {
    // The server by itself asks as the first preset does.
    this.fields = FIELDS.map((name) => new NumberField(name, this.state.limits[name], HINTS[name] ?? this.state.presets[0][name], () => this.warn()));
    return make('fieldset', {}, make('legend', {}, words.settings.sampling), make('div', { class: 'grid' }, ...this.fields.map(({ node }) => node)));
  }

  thoughts() {
    const { settings } = words;
    this.keep = make('input', { type: 'checkbox', onchange: () => this.showKept() });
    this.kept = make('p', { class: 'soft', id: 'kept-thoughts' });
    this.keep.setAttribute('aria-describedby', this.kept.id);
    return make('fieldset', {}, make('legend', {}, settings.thoughts), make('label', { class: 'check' }, this.keep, settings.keep), this.kept);
  }

  context() {
    this.meter = make('meter', { min: 0, low: 0, 'aria-label': words.settings.context });
    this.used = make('p', { class: 'soft' });
    return make('div', { class: 'field' }, make('span', { class: 'name' }, words.settings.context), this.meter, this.used);
  }

  // Kept at once and by this browser: it is no setting of the conversation's.
  traces() {
    const { settings } = words;
    const node = choice(settings.trace, 'trace-fold', settings.traces, preferredFold(), keepFold);
    node.append(make('p', { class: 'soft' }, settings.traceWhy));
    return node;
  }

  ends() {
    const { settings } = words;
    this.forNew = make('input', { type: 'checkbox' });
    return make('div', { class: 'ends' },
      this.conversation ? make('label', { class: 'check' }, this.forNew, settings.forNew) : null,
      button(settings.cancel, () => this.dialog.close()),
      make('button', { class: 'primary' }, settings.save));
  }

  fill(settings) {
    this.preset.value = settings.preset;
    // A preset of old, or of somebody's file.
    if (!this.preset.value) this.preset.value = this.state.presets[0].id;
    this.model.value = settings.model;
    this.systemBox.value = settings.system;
    for (const field of this.fields) field.value = settings[field.name];
    this.keep.checked = settings.keep_thoughts;
    this.thinking?.show(settings);
    this.warn();
    this.showKept();
    this.showContext();
  }

  get chosen() { return this.state.presets.find(({ id }) => id === this.preset.value); }

  applyPreset() {
    for (const field of this.fields) if (SAMPLED.includes(field.name)) field.value = this.chosen[field.name];
    this.warn();
  }

  // Why the preset is what it is, whether it still is, and what there is to warn of.
  warn() {
    const { chosen } = this;
    const isChanged = this.fields.some(({ name, value }) => SAMPLED.includes(name) && value !== null && value !== chosen[name]);
    const option = this.preset.selectedOptions[0];
    for (const each of this.preset.options) each.textContent = this.state.presets.find(({ id }) => id === each.value).name;
    if (isChanged) option.textContent = words.settings.changed(chosen.name);
    this.why.textContent = chosen.why;
    this.warning.textContent = chosen.warning;
    this.systemWarning.className = this.systemBox.value.trim() ? 'warning' : 'soft';
  }

  showKept() {
    const { settings } = words;
    const n = thoughtTokens(this.path);
    this.kept.textContent = this.keep.checked ? settings.keepCost(n) : n ? settings.keepSaved(n) : settings.keepNone;
  }

  showContext() {
    if (!this.meter) return;
    const { settings } = words;
    const { used, size } = contextOf(this.path, this.state, this.model.value);
    this.meter.hidden = !size;
    if (size) Object.assign(this.meter, { max: size, high: size * 0.8, optimum: 0, value: used });
    this.used.textContent = size ? (used ? settings.used(used, size) : settings.sizeOnly(size)) : used ? settings.usedOnly(used) : settings.sizeUnknown;
  }

  get values() {
    return {
      preset: this.preset.value, model: this.model.value, system: this.systemBox.value.trim(), keep_thoughts: this.keep.checked,
      ...this.thinking?.value,
      ...Object.fromEntries(this.fields.map(({ name, value }) => [name, value])),
    };
  }

  async save() {
    const wrong = this.fields.find((field) => !field.check());
    if (wrong) {
      wrong.input.focus();
      return;
    }
    const { values } = this;
    this.error.textContent = '';
    try {
      if (!this.conversation || this.forNew.checked) await this.keepForNew(values);
      if (this.conversation) await patch(`/page/conversations/${encodeURIComponent(this.conversation.id)}`, { settings: values });
    } catch (error) {
      this.error.textContent = error.message;
      return;
    }
    if (this.conversation) emit('conversation-changed', { id: this.conversation.id });
    emit('defaults-changed');
    this.dialog.close();
  }

  // What the dialog of a chat does not ask for stays as it is for new ones: how long they think.
  async keepForNew(values) {
    const { settings } = await get('/page/settings');
    await put('/page/settings', { settings: { ...settings, ...values } });
  }
}

export const openSettings = async (conversation = null) => {
  const [state, fresh] = await Promise.all([
    get('/page/state'),
    conversation ? get(`/page/conversations/${encodeURIComponent(conversation.id)}`).then((opened) => opened.conversation) : get('/page/settings'),
  ]);
  // Who has gone to another chat meanwhile would change the one that was left.
  if ((conversation?.id ?? null) !== (current().conversation?.id ?? null)) return;
  new SettingsDialog(conversation, state, fresh.settings);
};
