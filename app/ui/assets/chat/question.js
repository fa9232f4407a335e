// A question, and the box in which it is asked otherwise: that makes a new branch, the old one stays.
import { button, isComposing, make } from '../common/dom.js';
import { draftOf, keepDraft } from '../common/draft.js';
import { words } from '../words/chat.js';
import { branches } from './branches.js';

export class Question {
  constructor(message, commands) {
    this.commands = commands;
    this.text = make('h2', { class: 'question' });
    this.tools = make('div', { class: 'tools' });
    this.node = make('div', { class: 'asked' }, this.text, this.tools);
    this.update(message);
    if (draftOf(message.id)) this.edit();
  }

  update(message) {
    const [before, now] = [this.message, message].map((each) => each && JSON.stringify([each.content, each.siblings]));
    this.message = message;
    if (before === now) return;
    this.text.textContent = message.content;
    this.change = button(words.question.edit, () => this.edit().focus(), { class: 'quiet edit' });
    const versions = branches(message, 'question', (id) => this.commands.choose(id));
    this.tools.replaceChildren(...[versions, this.change].filter(Boolean));
  }

  // Called once it is in the page: a long one scrolls, so the keyboard must reach it.
  settle() {
    if (this.text.scrollHeight > this.text.clientHeight + 1) this.text.tabIndex = 0;
  }

  // What was typed and not sent stays until Cancel: it is there again when the question is, or when Edit is pressed.
  edit() {
    const { id, content, parent } = this.message;
    const box = make('textarea', { rows: 3, 'aria-label': words.question.label, oninput: () => keepDraft(id, box.value === content ? '' : box.value) });
    box.value = draftOf(id) || content;
    const end = () => {
      const hadFocus = form.contains(document.activeElement);
      this.node.replaceChildren(this.text, this.tools);
      this.settle();
      if (hadFocus) this.change.focus();
    };
    const cancel = () => { keepDraft(id, ''); end(); };
    let isSending = false;
    const send = async () => {
      const text = box.value.trim();
      if (isSending) return;
      isSending = true;
      // What was not taken stays to be sent again; what was never answered may be sent as it is.
      const isSame = this.isAnswered && text === content;
      const isDone = !text || isSame || await this.commands.ask(text, { parent });
      isSending = false;
      if (isDone) cancel();
    };
    const form = make('form', { class: 'editing', onsubmit: (event) => { event.preventDefault(); send(); } },
      box, make('div', {}, button(words.question.cancel, cancel), make('button', { class: 'primary' }, words.question.send)));
    form.addEventListener('keydown', (event) => {
      if (isComposing(event)) return;
      if (event.key === 'Enter' && !event.shiftKey && event.target === box) { event.preventDefault(); send(); }
      if (event.key === 'Escape') { event.preventDefault(); event.stopPropagation(); end(); }
    });
    this.node.replaceChildren(form);
    return box;
  }
}
