// One of several replies: what it does, its thought, its answer, what became of it, and the choice to go on with it.
import { post } from '../common/api.js';
import { button, make } from '../common/dom.js';
import { Answer } from '../chat/answer.js';
import { copyButton } from '../chat/copy.js';
import { words } from '../words/many.js';
import { Tail } from './tail.js';

const SIGNS = { right: '✓', majority: '✓', wrong: '✗', minority: '✗' };
const TONES = { right: 'good', majority: 'good', wrong: 'bad', minority: 'bad' };

const phaseOf = (message) => {
  if (message.state !== 'live') return message.state;
  return message.state2 ?? (message.html || message.tail ? 'answering' : message.reasoning ? 'thinking' : 'waiting');
};

// Most of what is drawn ten times a second is as it was.
const say = (node, text) => { if (node.textContent !== text) node.textContent = text; };

export class Card {
  // `title` names it; `onChoose` makes the conversation go on from it.
  constructor(message, title, onChoose) {
    this.title = title;
    this.name = make('h3', { tabindex: -1, id: `reply-${message.id}` }, title);
    this.state = make('span', { class: 'state' });
    this.mark = make('span', { class: 'mark' });
    this.trace = make('div', { class: 'thought' });
    this.answer = new Answer();
    this.note = make('p', { class: 'note' });
    this.error = make('p', { class: 'alarm' });
    this.copy = copyButton(words.card.copy, 'copy', () => this.message.content);
    this.copy.hidden = true;
    this.choice = button(words.card.choose, onChoose, { class: 'quiet', 'aria-pressed': 'false' });
    this.node = make('section', { class: 'card', 'aria-labelledby': this.name.id },
      make('header', {}, this.name, this.mark), this.state, this.answer.node, this.trace, this.note, this.error,
      make('div', { class: 'actions' }, this.copy, this.choice));
    this.update(message);
  }

  get isLive() { return this.message.state === 'live'; }

  // It came to no end of its own, nor to one that the vote chose for it.
  get isBroken() {
    const { state, finish_reason: reason } = this.message;
    return ['failed', 'interrupted', 'stopped'].includes(state) && reason !== 'stopped';
  }

  // The whole message: new, or as it ended.
  update(message) {
    const before = this.message;
    this.message = { ...message };
    this.answer.update(message.html ?? '', message.tail ?? '');
    if (this.isLive) {
      this.tail = new Tail(message.reasoning ?? '');
      this.trace.replaceChildren(this.tail.node);
    } else if (before?.state !== message.state || before.reasoning_chars !== message.reasoning_chars) {
      // One that is open, with what is typed in it, stays where nothing has changed.
      this.tail = null;
      this.trace.replaceChildren(...this.fold());
      this.copy.hidden = !message.content;
      this.addStar();
    }
    this.draw();
  }

  async addStar() {
    const { message } = this;
    this.star?.remove();
    if (!message.content) return;
    try {
      const { starButton } = await import('../stars/star.js');
      if (this.message.state !== message.state) return;
      this.star = starButton(message);
      this.choice.before(this.star);
    } catch { /* the room of the distil set is not there */ }
  }

  grow({ reasoning = '', html = '', tail = '', ...stands }) {
    Object.assign(this.message, stands);
    if (reasoning) this.tail?.append(reasoning);
    if (html || tail) this.answer.append(html, tail);
    this.draw();
  }

  // A finished thought is opened on demand.
  fold() {
    const { reasoning_chars: n_chars, thinking_s: seconds, reasoning_tokens: tokens } = this.message;
    if (!n_chars) return [];
    const body = make('div', { class: 'body', id: `thought-of-${this.message.id}`, hidden: true, tabindex: 0, role: 'group', 'aria-label': this.title });
    const toggle = button(words.card.trace(seconds, tokens), () => this.toggle(toggle, body),
      { class: 'fold', 'aria-expanded': 'false', 'aria-controls': body.id });
    return [toggle, body];
  }

  async toggle(toggle, body) {
    body.hidden = !body.hidden;
    toggle.setAttribute('aria-expanded', String(!body.hidden));
    // What could not be had is asked for again.
    if (body.hidden || (body.firstChild && !body.querySelector(':scope > .alarm'))) return;
    try {
      const { FinishedThought } = await import('../trace/trace.js');
      const thought = new FinishedThought(this.message, {
        onFork: (at, text) => post(`/page/messages/${this.message.id}/fork`, { at, text }),
      });
      body.replaceChildren(thought.node);
      await thought.open();
    } catch (error) {
      body.replaceChildren(make('p', { class: 'alarm' }, error.message));
    }
  }

  draw() {
    const { message } = this;
    const phase = phaseOf(message);
    const { thinking_s: seconds = 0, reasoning_tokens: n_thought = 0, answer_tokens: n_answer = 0 } = message;
    const said = {
      waiting: () => words.card.waiting(message.position ?? 0),
      thinking: () => words.card.thinking(seconds, n_thought),
      answering: () => words.card.answering(n_answer),
    }[phase] ?? (() => words.card.done(message.total_s ?? 0, n_thought + n_answer));
    if (this.node.dataset.state !== phase) this.node.dataset.state = phase;
    // What is finished says it at its fold.
    say(this.state, this.isLive || !message.reasoning_chars ? said() : '');
    if (this.isLive && this.choice.hidden) return;
    say(this.note, this.isLive ? '' : this.ending());
    say(this.error, message.error ?? '');
    this.choice.hidden = this.isLive || this.isHeld;
  }

  // The choice has to wait, though it has ended.
  hold(isHeld) {
    this.isHeld = isHeld;
    this.choice.hidden = this.isLive || isHeld;
  }

  ending() {
    const { state, finish_reason: reason } = this.message;
    return words.card[{ stopped: 'early', length: 'length' }[reason]] ?? words.card[{ stopped: 'stopped', interrupted: 'interrupted' }[state]] ?? '';
  }

  // `mark`: a word of words.marks, or null where nothing can be said of it.
  show(mark, isChosen) {
    this.node.dataset.tone = TONES[mark] ?? '';
    this.mark.replaceChildren();
    if (mark) this.mark.append(make('span', { 'aria-hidden': 'true' }, SIGNS[mark] ?? '–'), ` ${words.marks[mark]}`);
    this.choice.setAttribute('aria-pressed', String(isChosen));
    this.choice.textContent = isChosen ? words.card.chosen : words.card.choose;
  }
}
