// The sentences of a thought: one of them is in the tab order, arrow keys go on, a click or Enter shows what can be
// done from there. The tools and the editor stand in the step of their sentence.
import { copy } from '../chat/copy.js';
import { button, isComposing, make } from '../common/dom.js';
import { draftOf, keepDraft } from '../common/draft.js';
import { words } from '../words/trace.js';

const MOVES = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };

export class Sentences {
  // `id` is the message's.
  constructor(id, list, text, onFork) {
    this.id = id;
    this.list = list;
    this.text = text;
    this.onFork = onFork;
    this.all = [...list.querySelectorAll('.sentence')];
    this.tools = this.field = null;
    // start of a sentence -> what was written in its place and not gone on from
    this.drafts = new Map(JSON.parse(draftOf(id) || '[]'));
    if (this.all.length) this.all[0].tabIndex = 0;
    for (const sentence of this.all.slice(1)) sentence.tabIndex = -1;
    list.addEventListener('click', (event) => this.onClick(event));
    list.addEventListener('keydown', (event) => this.onKey(event));
    this.resume();
  }

  // What was being written last is there again.
  resume() {
    const start = [...this.drafts.keys()].at(-1);
    const sentence = this.all.find((each) => this.startOf(each) === start);
    if (!sentence || !this.onFork) return;
    this.open(sentence);
    this.edit(sentence);
  }

  // Null: there is nothing to keep.
  draft(start, text) {
    this.drafts.delete(start);
    if (text !== null) this.drafts.set(start, text);
    keepDraft(this.id, this.drafts.size ? JSON.stringify([...this.drafts]) : '');
  }

  focus(sentence) {
    for (const other of this.list.querySelectorAll('.sentence[tabindex="0"]')) other.tabIndex = -1;
    sentence.tabIndex = 0;
    sentence.focus({ preventScroll: true });
  }

  onClick(event) {
    const sentence = event.target.closest('.sentence');
    if (!sentence || event.target.closest('a')) return;
    // Whoever marks text wants to copy it.
    if (!getSelection().isCollapsed) return;
    // A stray click does not close what was written.
    if (this.field && this.drafts.has(this.startOf(this.chosen))) {
      this.field.focus();
      return;
    }
    this.focus(sentence);
    if (this.chosen === sentence) this.close();
    else this.open(sentence);
  }

  onKey(event) {
    if (isComposing(event)) return;
    if (event.key === 'Escape' && this.tools) {
      event.stopPropagation();
      this.leave();
      return;
    }
    const sentence = event.target.closest('.sentence');
    if (!sentence || event.target !== sentence || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      this.open(sentence);
      this.tools.querySelector('button').focus();
    } else if (event.key in MOVES) {
      event.preventDefault();
      this.move(sentence, MOVES[event.key]);
    }
  }

  move(sentence, direction) {
    let index = this.all.indexOf(sentence) + direction;
    while (this.all[index]?.closest('.step').hidden) index += direction;
    const next = this.all[index];
    if (!next) return;
    this.focus(next);
    next.scrollIntoView({ block: 'nearest' });
  }

  open(sentence) {
    this.close();
    this.chosen = sentence;
    sentence.classList.add('chosen');
    this.failed = make('span', { class: 'alarm', role: 'alert' });
    const forks = this.onFork ? [
      button(words.resample, () => this.fork(this.startOf(sentence), ''), { class: 'do-resample' }),
      button(words.edit, () => this.edit(sentence).focus(), { class: 'do-edit' }),
    ] : [];
    this.tools = make('div', { class: 'from-here', role: 'toolbar', 'aria-label': words.tools },
      ...forks, button(words.copy, (event) => this.copy(event.currentTarget, sentence), { class: 'quiet' }), this.failed);
    this.place(sentence);
  }

  // Below the block that the sentence is in.
  place(sentence) {
    const block = sentence.matches('div') ? sentence : sentence.closest('p');
    block.after(this.tools);
  }

  edit(sentence) {
    const start = this.startOf(sentence);
    const written = this.drafts.get(start) ?? this.textOf(sentence);
    const field = make('textarea', { 'aria-label': words.editLabel, rows: Math.min(12, 2 + Math.ceil(written.length / 70)),
      oninput: () => this.draft(start, field.value) });
    field.value = written;
    const goOn = () => this.fork(start, field.value);
    const cancel = () => { this.draft(start, null); this.leave(); };
    const editor = make('div', { class: 'from-here rewrite', role: 'group', 'aria-label': words.edit },
      field, make('p', { class: 'soft' }, words.editor),
      make('div', { class: 'row' }, button(words.goOn, goOn, { class: 'primary' }), button(words.cancel, cancel), this.failed));
    field.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) goOn();
    });
    this.tools.replaceWith(editor);
    this.tools = editor;
    this.field = field;
    for (const later of this.all.slice(this.all.indexOf(sentence))) later.classList.add('dropped');
    return field;
  }

  // aria-disabled and not disabled: a disabled button would drop the focus.
  async fork(at, text) {
    if (this.isForking) return;
    this.isForking = true;
    const buttons = [...this.tools.querySelectorAll('button')];
    for (const one of buttons) one.setAttribute('aria-disabled', true);
    try {
      await this.onFork(at, text);
      if (this.drafts.get(at) === text) this.draft(at, null);
      if (this.tools?.contains(document.activeElement)) this.leave();
      else this.close();
    } catch (error) {
      this.failed.textContent = error.message;
      for (const one of buttons) one.removeAttribute('aria-disabled');
    }
    this.isForking = false;
  }

  async copy(pressed, sentence) {
    try {
      await copy(this.textOf(sentence));
      pressed.textContent = words.copied;
    } catch (error) {
      this.failed.textContent = error.message;
    }
  }

  leave() {
    const { chosen } = this;
    this.close();
    chosen?.focus({ preventScroll: true });
  }

  close() {
    this.tools?.remove();
    this.chosen?.classList.remove('chosen');
    for (const sentence of this.list.querySelectorAll('.dropped')) sentence.classList.remove('dropped');
    this.tools = this.field = this.chosen = null;
  }

  startOf(sentence) { return Number(sentence.dataset.start); }

  textOf(sentence) { return this.text.slice(this.startOf(sentence), Number(sentence.dataset.end)); }
}
