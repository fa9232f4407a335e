// The thought of one reply: closed, a peek at its last lines, or open. Plain lines while it is written and peeked
// at; the read one, with its steps and marks, is another room's (assets/trace) and comes when it is opened.
import { get } from '../common/api.js';
import { button, make } from '../common/dom.js';
import { keep, kept } from '../common/kept.js';
import { words } from '../words/chat.js';
import { Follower } from './follow.js';
import { rescueFocus } from './focus.js';
import { Gauge } from './gauge.js';
import { Lines } from './lines.js';

const FOLD = 'r1chat.trace';
const FOLDS = ['closed', 'peek', 'open'];

export const preferredFold = () => (FOLDS.includes(kept(FOLD)) ? kept(FOLD) : 'peek');

export const keepFold = (fold) => keep(FOLD, fold);

export class Thought {
  constructor(message, fold, onFork) {
    this.message = message;
    this.onFork = onFork;
    this.isWhole = false;
    this.build();
    this.lines = new Lines(this.text);
    this.follower = new Follower(this.text);
    this.text.addEventListener('scroll', () => this.shade(), { passive: true });
    // A window that is made narrower lays the same lines out higher.
    new ResizeObserver(() => this.follower.follow()).observe(this.text);
    this.fold(fold);
  }

  build() {
    const { trace } = words;
    this.header = make('span', { class: 'header' });
    this.toggle = make('button', { type: 'button', class: 'fold', onclick: () => this.onToggle() }, this.header);
    this.size = button('', () => this.choose(this.state === 'open' ? 'peek' : 'open'), { class: 'quiet size' });
    this.gauge = new Gauge();
    this.text = make('div', { class: 'text', tabindex: 0, role: 'group', 'aria-label': trace.text });
    this.read = make('div', { class: 'read' });
    this.error = make('p', { class: 'alarm', hidden: true });
    this.foot = make('div', { class: 'foot' },
      button(trace.less, () => this.choose('peek'), { class: 'quiet' }),
      button(trace.fold, () => this.choose('closed'), { class: 'quiet' }));
    this.body = make('div', { class: 'body' }, this.text, this.read, this.error, this.foot);
    this.node = make('section', { class: 'trace', 'aria-label': trace.label },
      make('div', { class: 'bar' }, this.toggle, this.size), this.gauge.node, this.body);
  }

  get isLive() { return this.message.state === 'live'; }

  onToggle() {
    if (this.state === 'closed') this.choose(preferredFold() === 'closed' ? 'peek' : preferredFold());
    else this.choose('closed');
  }

  // What the person chose is remembered for the next thoughts.
  choose(fold) {
    keepFold(fold);
    rescueFocus(this.foot, this.toggle);
    const fromBelow = this.node.getBoundingClientRect().top < 0;
    this.fold(fold);
    if (fromBelow) this.node.scrollIntoView({ block: 'start' });
  }

  fold(state) {
    this.state = this.node.dataset.fold = state;
    this.toggle.setAttribute('aria-expanded', state !== 'closed');
    this.body.hidden = state === 'closed';
    this.size.hidden = state === 'closed';
    this.size.textContent = state === 'open' ? words.trace.less : words.trace.all;
    this.fill();
  }

  // What has ended is loaded when it is looked at, and drawn with its steps when it is open.
  async fill() {
    const isRead = this.state === 'open' && !this.isLive;
    if (isRead) rescueFocus(this.text, this.toggle);
    this.text.hidden = isRead;
    this.read.hidden = !isRead;
    if (isRead) await this.showRead();
    else if (this.state !== 'closed' && !this.isLive && !this.isWhole) await this.load();
    if (this.state !== 'closed') this.follower.follow();
    this.shade();
  }

  async load() {
    this.isWhole = true;
    this.error.hidden = true;
    if (!this.lines.length) this.text.textContent = words.trace.loading;
    try {
      const { reasoning } = await get(`/page/messages/${this.message.id}`);
      if (this.isLive) return; // it goes on, and its stream tells the whole
      if (!this.lines.length) this.lines.clear();
      this.lines.set(reasoning);
    } catch (error) {
      this.isWhole = false;
      if (!this.lines.length) this.lines.clear();
      this.error.hidden = false;
      this.error.textContent = error.message;
    }
  }

  async showRead() {
    if (this.finished) return;
    try {
      const { FinishedThought } = await import('../trace/trace.js');
      if (this.finished || this.isLive) return;
      this.finished = new FinishedThought(this.message, { onFork: this.onFork });
      this.read.replaceChildren(this.finished.node);
      await this.finished.open();
    } catch {
      // The plain text is better than none.
      this.finished = null;
      this.text.hidden = false;
      this.read.hidden = true;
      if (!this.isWhole) await this.load();
    }
  }

  append(piece) {
    this.lines.append(piece);
    if (this.state !== 'closed') this.follower.follow();
  }

  // The message as a whole, when it is first seen, changes its state or was lost sight of.
  update(message) {
    const wasLive = this.isLive;
    const before = this.message;
    this.message = message;
    if (this.isLive) {
      this.finished = null;
      this.error.hidden = true;
      if (!this.lines.length) this.lines.clear(); // of what stands there meanwhile
      this.lines.set(message.reasoning ?? '');
    } else if (wasLive || message.reasoning_chars !== before.reasoning_chars) {
      // It may have gone on and ended elsewhere.
      this.finished = null;
      this.isWhole = this.lines.points === (message.reasoning_chars ?? this.lines.points);
    }
    this.fill();
  }

  shade() {
    this.body.classList.toggle('scrolled', this.state !== 'closed' && this.text.scrollTop > 4);
  }
}
