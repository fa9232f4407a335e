// One reply: its thought, its answer, how it ended and what can be done with it. Lives from its first sign on.
import { get } from '../common/api.js';
import { button, make, once } from '../common/dom.js';
import { words } from '../words/chat.js';
import { Answer } from './answer.js';
import { branches } from './branches.js';
import { copyButton } from './copy.js';
import { rescueFocus } from './focus.js';
import { hasThought, header, phase } from './header.js';
import { canGoOn, notes } from './notes.js';
import { Steer } from './steer.js';
import { Thought } from './thought.js';

const TICK_MS = 250;

const advice = (message) => {
  if (message.finish_reason === 'unsaved') return '';
  return words.errors[canGoOn(message) ? 'kept' : 'again'];
};

export class Reply {
  // `commands` is the session; `fold` is how its thought is shown at first.
  constructor(message, commands, fold) {
    this.commands = commands;
    this.id = message.id;
    this.thought = new Thought(message, fold, (at, text) => commands.fork(message.id, at, text));
    this.answer = new Answer();
    this.steer = new Steer(message.id, commands);
    this.wait = make('p', { class: 'wait', 'aria-hidden': true }, make('span'));
    this.notes = make('div', { class: 'notes' });
    this.error = make('p', { class: 'error' });
    this.actions = make('div', { class: 'actions', role: 'group', 'aria-label': words.answer.actions });
    this.node = make('div', { class: 'reply' }, this.thought.node,
      make('div', { class: 'said' }, this.wait, this.steer.node, this.answer.node, this.error, this.notes, this.actions));
    this.update(message);
  }

  get isLive() { return this.message.state === 'live'; }

  // A record that was seen before knows nothing of what has come since. One that a new stream brings again changes
  // nothing where the reply has ended: what has the focus there, or tells of something, stays.
  see(message) {
    if (message === this.seen) return;
    const isSame = !this.isLive && JSON.stringify(message) === JSON.stringify(this.message);
    this.seen = message;
    if (!isSame) this.update(message);
  }

  // The message as a whole.
  update(message) {
    const goesOn = this.message && this.isLive;
    this.message = this.seen = message;
    this.isStopping = false;
    // While it is written, what was said since holds.
    if (!goesOn) this.budget = message.settings?.thinking === 'budget' ? message.settings.budget : null;
    this.heard = performance.now();
    this.thought.update(message);
    this.answer.update(message.html ?? '', message.tail ?? '');
    if (this.isLive) this.begin();
    else this.finish();
    this.draw();
  }

  // What came since.
  grow(delta) {
    const { reasoning = '', html = '', tail = '', ...stands } = delta;
    Object.assign(this.message, stands);
    this.heard = performance.now();
    if (reasoning) this.thought.append(reasoning);
    if (html || tail) this.answer.append(html, tail);
    this.draw();
  }

  begin() {
    rescueFocus(this.actions);
    this.actions.replaceChildren();
    this.notes.replaceChildren();
    this.error.textContent = '';
    this.timer ??= setInterval(() => this.tick(), TICK_MS);
  }

  finish() {
    this.end();
    const { message } = this;
    this.error.textContent = message.error && [message.error, advice(message)].join(' ').trim();
    this.notes.replaceChildren(...notes(message).map((line) => make('p', {}, line)));
    rescueFocus(this.actions);
    this.actions.replaceChildren(...this.offers());
    if (message.content) this.addStar();
  }

  // To be called when it leaves the page.
  end() {
    clearInterval(this.timer);
    this.timer = null;
  }

  offers() {
    const { message, commands, id } = this;
    const { answer } = words;
    const whole = () => get(`/page/messages/${id}`).then((found) => found.reasoning);
    const offer = (text, name, act) => button(text, once(act), { class: `quiet ${name}` });
    return [
      canGoOn(message) && offer(answer.goOn, 'go-on', () => commands.goOn(id)),
      message.content && copyButton(answer.copy, 'copy', () => message.content),
      hasThought(message) && copyButton(answer.copyThought, 'copy-thought', whole),
      offer(message.state === 'failed' ? answer.retry : answer.again, 'again', () => commands.regenerate(id)),
      hasThought(message) && message.content && offer(answer.sameThought, 'same-thought', () => commands.answerAgain(id)),
      branches(message, 'reply', (other) => commands.choose(other)),
    ].filter(Boolean);
  }

  async addStar() {
    const { message } = this;
    try {
      const { starButton } = await import('../stars/star.js');
      if (this.message === message) this.actions.querySelector('.again').before(starButton(message));
    } catch { /* the room of the distil set is not there */ }
  }

  // Stopping takes effect in a moment; that it was asked for shows at once.
  stopping() {
    this.isStopping = true;
    this.tick();
  }

  // What it was asked with holds all the same: nobody can take that back.
  limit(tokens) {
    const { thinking, budget } = this.message.settings ?? {};
    this.budget = thinking === 'budget' ? Math.min(budget, tokens ?? budget) : tokens;
    this.draw();
  }

  draw() {
    const state = phase(this.message);
    this.node.dataset.state = state;
    const isQuiet = !this.isLive && !hasThought(this.message);
    this.thought.node.hidden = isQuiet;
    this.node.classList.toggle('thoughtless', isQuiet);
    this.wait.hidden = !(state === 'waiting' || state === 'thinking');
    this.steer.show(state === 'thinking');
    this.thought.gauge.show(this.message.reasoning_tokens ?? 0, this.isLive ? this.budget : null);
    this.tick();
  }

  tick() {
    const elapsed = (performance.now() - this.heard) / 1000;
    const text = this.isLive && this.isStopping ? words.header.stopping : header(this.message, elapsed);
    if (text !== this.shown) this.shown = this.thought.header.textContent = text;
  }
}
