// One star, to be looked at by a person: what the gates say, its three texts to read and edit, and the person's word.
import { get, patch, remove } from '../common/api.js';
import { emit } from '../common/bus.js';
import { button, make, markup, openDialog } from '../common/dom.js';
import { draftOf, keepDraft } from '../common/draft.js';
import { words } from '../words/stars.js';
import { changes } from './diff.js';
import { gateList } from './gates.js';

const PARTS = ['question', 'thought', 'answer'];

export class Review {
  id = null;
  #typed = new Map(); // star -> {part or 'gold': text that is being edited}
  #on;
  #saves = 0;
  #star = null;

  constructor(on) {
    this.#on = on;
    this.node = make('section', { class: 'review', 'aria-label': words.review, tabindex: '-1' });
    this.said = make('p', { class: 'alarm', role: 'status' });
    this.show(null);
  }

  // Null: none. What was typed and not saved waits for the star to be shown again, also after a reload.
  async show(id) {
    this.id = id;
    if (!id) {
      this.node.replaceChildren(make('p', { class: 'soft' }, words.choose));
      return;
    }
    try {
      const { star } = await get(`/page/stars/${encodeURIComponent(id)}`);
      if (this.id === id) this.#draw(star);
    } catch (error) {
      if (this.id !== id) return;
      this.id = null;
      this.node.replaceChildren(make('p', { class: 'alarm' }, error.message));
    }
  }

  #drafts({ id }) {
    if (!this.#typed.has(id)) this.#typed.set(id, JSON.parse(draftOf(id) || '{}'));
    return this.#typed.get(id);
  }

  // What is only looked at in its box is no draft.
  #keep(star) {
    const saved = { ...star.turn, gold: star.gold };
    const typed = Object.entries(this.#drafts(star)).filter(([part, text]) => text !== saved[part]);
    keepDraft(star.id, typed.length ? JSON.stringify(Object.fromEntries(typed)) : '');
  }

  focus() {
    this.node.focus({ preventScroll: true });
  }

  #draw(star) {
    this.#star = star;
    const handOn = this.#holdFocus();
    this.said.textContent = '';
    this.node.replaceChildren(
      button(words.back, () => this.#on.onClose(), { class: 'quiet back' }),
      make('div', { class: 'facts' },
        make('span', { class: 'badge', 'data-state': star.state }, words.states[star.state]),
        make('span', { class: 'soft small' }, [words.by(star.source.model), words.when(star.created), star.edited.length ? words.edited : null].filter(Boolean).join(' · '))),
      make('h3', {}, words.gates),
      gateList(star.gates, words.gates),
      this.#word(),
      this.said,
      ...PARTS.map((part) => this.#part(part)),
      ...this.#similar(),
      this.#made(),
      make('div', { class: 'buttons' },
        button(words.openChat, () => { emit('show-room', { name: 'chat' }); emit('open-conversation', { id: star.source.conversation, message: star.source.message }); }),
        button(words.remove, () => this.#askToRemove(), { class: 'danger' })),
    );
    for (const part of PARTS) if (part in this.#drafts(star)) this.#edit(part, this.node.querySelector(`[data-part="${part}"]`));
    handOn();
  }

  // What is drawn anew takes the focus away: it goes to what stands for the same, at the same place of a text.
  #holdFocus() {
    const held = this.node.contains(document.activeElement) ? document.activeElement : null;
    return () => {
      const heir = held?.dataset.key && this.node.querySelector(`[data-key="${held.dataset.key}"]`);
      heir?.focus({ preventScroll: true });
      if (heir?.matches('textarea, [type=text]') && held.matches('textarea, [type=text]')) heir.setSelectionRange(held.selectionStart, held.selectionEnd);
    };
  }

  // What only a person can say.
  #word() {
    const star = this.#star;
    const tick = (name, text) => {
      const box = make('input', { type: 'checkbox', 'data-key': name, checked: star[name], onchange: () => this.#save({ [name]: box.checked }) });
      return make('label', { class: 'tick' }, box, text);
    };
    const drafts = this.#drafts(star);
    const typed = () => { drafts.gold = gold.value; this.#keep(star); };
    const gold = make('input', { type: 'text', id: 'known-answer', 'data-key': 'gold', value: drafts.gold ?? star.gold, autocomplete: 'off',
      'aria-describedby': 'known-answer-hint', oninput: typed });
    const compare = () => {
      gold.value = gold.value.trim();
      typed();
      this.#save({ gold: gold.value });
    };
    const form = make('form', { class: 'gold', onsubmit: (event) => { event.preventDefault(); compare(); } },
      make('label', { for: 'known-answer' }, words.gold), gold, make('button', { type: 'submit', 'data-key': 'compare' }, words.compare),
      make('p', { class: 'soft small', id: 'known-answer-hint' }, words.goldHint));
    const later = star.source.n_before > 0 || star.source.system;
    return make('div', { class: 'word' }, tick('checked', words.checked), later ? tick('alone', words.alone) : null, form);
  }

  #part(part) {
    const star = this.#star;
    const text = star.turn[part];
    const shown = make('div', { class: `text ${part}`, tabindex: '0', role: 'group', 'aria-label': words[part] });
    if (part === 'answer') markup(shown, star.html);
    else shown.textContent = text;
    const edit = button(words.edit, () => this.#edit(part, section).focus(), { class: 'quiet', 'data-key': part, 'aria-label': `${words.edit}: ${words[part]}` });
    const section = make('section', { class: 'part', 'data-part': part }, make('h3', {}, words[part], edit), shown,
      star.edited.includes(part) ? this.#changes(part) : null);
    return section;
  }

  #changes(part) {
    const found = changes(this.#star.original[part], this.#star.turn[part]);
    const body = make('p', { class: 'diff' }, ...(found
      ? found.map(({ kind, text }) => (kind === 'same' ? text : make(kind === 'new' ? 'ins' : 'del', {}, text)))
      : [words.tooLong]));
    return make('details', { class: 'changes', open: true }, make('summary', {}, words.changes), body);
  }

  #edit(part, section) {
    const star = this.#star;
    const drafts = this.#drafts(star);
    const area = make('textarea', { rows: part === 'question' ? 3 : 12, 'data-key': part, 'aria-label': words[part], spellcheck: 'false',
      oninput: () => { drafts[part] = area.value; this.#keep(star); } });
    area.value = drafts[part] ??= star.turn[part];
    const done = () => { delete drafts[part]; this.#keep(star); this.#draw(this.#star); };
    const save = button(words.save, () => this.#save({ [part]: area.value }), { class: 'primary', 'data-key': part });
    section.replaceChildren(make('h3', {}, words[part]), area, make('div', { class: 'buttons' }, save, button(words.cancel, done, { 'data-key': part })));
    return area;
  }

  #similar() {
    const { similar } = this.#star;
    if (!similar.length) return [];
    return [make('section', { class: 'similar' }, make('h3', {}, words.similar), make('ul', {}, ...similar.map((other) => make('li', {},
      button(other.question, () => this.#on.onOpen(other.id), { class: 'quiet' }), ' ', make('span', { class: 'soft small' }, words.alike(other.share))))))];
  }

  #made() {
    const { source } = this.#star;
    const sampling = Object.entries(source.sampling).map(([name, value]) => `${words.sampling[name] ?? name} ${value}`);
    const told = [words.by(source.model), ...(sampling.length ? sampling : [words.serversChoice]),
      source.reply_id ? words.reply(source.reply_id) : null, source.kept_chars ? words.wentOn : null].filter(Boolean);
    return make('p', { class: 'soft small made' }, `${words.madeWith}: ${told.join(', ')}.`);
  }

  // Judging takes its time: another star may be shown by then, or something else be saved of this one.
  async #save(given) {
    const { id } = this;
    const turn = ++this.#saves;
    this.#say(words.saving);
    try {
      const { star } = await patch(`/page/stars/${encodeURIComponent(id)}`, given);
      const drafts = this.#drafts(star);
      // What was typed while it was judged is not saved yet.
      for (const part of Object.keys(given)) if (drafts[part] === given[part]) delete drafts[part];
      this.#keep(star);
      if (this.id === id && turn === this.#saves) this.#draw(star);
      this.#on.onChanged();
    } catch (error) {
      if (this.id !== id) return;
      if (turn === this.#saves) this.#draw(this.#star); // a tick that was not taken is none
      this.#say(error.message, 'alarm');
    }
  }

  #say(text, kind = 'soft') {
    this.said.textContent = text;
    this.said.className = kind;
  }

  #askToRemove() {
    const { id } = this.#star;
    const keep = button(words.cancel, () => dialog.close());
    const go = button(words.remove, async () => {
      dialog.close();
      this.#say(words.saving);
      try {
        await remove(`/page/stars/${encodeURIComponent(id)}`);
        keepDraft(id, '');
        if (this.id === id) this.#on.onClose();
        this.#on.onChanged();
      } catch (error) {
        if (this.id === id) this.#say(error.message, 'alarm');
      }
    }, { class: 'danger' });
    const dialog = openDialog(words.removeTitle, make('p', {}, words.removeText), make('div', { class: 'buttons' }, keep, go));
    keep.focus();
  }
}
