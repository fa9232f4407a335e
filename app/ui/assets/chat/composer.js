// The box: Enter asks, Shift+Enter breaks the line, and an input method's Enter does neither.
import { button, isComposing, make } from '../common/dom.js';
import { draftOf, keepDraft } from '../common/draft.js';
import { words } from '../words/chat.js';
import { rescueFocus } from './focus.js';
import { ThinkingSwitch } from './thinking.js';

// A question that is on its way, and what was typed since.
const whole = ({ text, since }) => [text, since].filter(Boolean).join('\n');

export class Composer {
  // `onAsk(text)` and `onStop()` may reject with an error that is meant for the person. `onAsk` gives whether the
  // person is still where they asked.
  constructor({ onAsk, onStop, onThinking }) {
    this.onAsk = onAsk;
    this.onStop = onStop;
    this.id = null;
    this.sent = new Map(); // conversation -> { text, since }
    const { composer } = words;
    this.box = make('textarea', { id: 'question', rows: 1, 'aria-label': composer.label, placeholder: composer.placeholder,
      onkeydown: (event) => this.onKey(event), oninput: () => this.typed() });
    this.thinking = new ThinkingSwitch(onThinking);
    this.slot = make('span', { class: 'slot' });
    this.askButton = make('button', { id: 'ask', class: 'primary' }, composer.ask);
    this.stopButton = button(composer.stop, () => this.stop(), { id: 'stop', title: composer.stopKey });
    this.stopButton.hidden = true;
    this.error = make('p', { class: 'alarm', role: 'alert' });
    this.node = make('form', { id: 'composer', onsubmit: (event) => { event.preventDefault(); this.ask(); } },
      this.error,
      make('div', { class: 'card' }, this.box,
        make('div', { class: 'row' }, this.thinking.node, this.slot, this.askButton, this.stopButton)));
  }

  get text() { return this.box.value.trim(); }

  onKey(event) {
    if (event.key !== 'Enter' || event.shiftKey || isComposing(event)) return;
    event.preventDefault();
    this.ask();
  }

  typed() {
    const sent = this.sent.get(this.id);
    if (sent) sent.since = this.box.value;
    keepDraft(this.id, sent ? whole(sent) : this.box.value);
    this.fit();
  }

  fit() {
    this.box.style.height = 'auto';
    this.box.style.height = `${this.box.scrollHeight + 2}px`;
  }

  // Of conversation `id` (null: a new one).
  show(id) {
    if (id === this.id && this.isShown) return;
    this.isShown = true;
    this.id = id;
    this.put(this.sent.get(id)?.since ?? draftOf(id));
    this.fail('');
    this.tell();
  }

  focus() { this.box.focus({ preventScroll: true }); }

  // What is on its way stays a draft until it has arrived: a reload would else lose it.
  async ask(text = this.text) {
    const { id } = this;
    if (!text) return;
    if (this.isLive || this.sent.has(id)) {
      this.fail(words.composer.busy);
      return;
    }
    const sent = { text, since: text === this.text ? '' : this.box.value };
    this.sent.set(id, sent);
    this.fail('');
    this.put(sent.since);
    keepDraft(id, whole(sent));
    this.tell();
    try {
      const isHere = await this.onAsk(text);
      const hasBegun = isHere && id !== this.id;
      keepDraft(id, hasBegun ? '' : sent.since);
      // What was typed meanwhile goes along into the chat that began with it.
      if (hasBegun) this.draft(this.id, sent.since);
    } catch (error) {
      this.draft(id, whole(sent));
      if (id === this.id) this.fail(error.message);
    } finally {
      this.sent.delete(id);
      this.permit();
      this.tell();
    }
  }

  tell() {
    const isSent = this.sent.has(this.id);
    this.askButton.textContent = isSent ? words.composer.sending : words.composer.ask;
    if (isSent) this.askButton.setAttribute('aria-disabled', true);
    else this.askButton.removeAttribute('aria-disabled');
  }

  draft(id, text) {
    keepDraft(id, text);
    if (id === this.id) this.put(text);
  }

  put(text) {
    this.box.value = text;
    this.fit();
  }

  async stop() {
    if (this.stopButton.hasAttribute('aria-disabled')) return;
    this.stopButton.setAttribute('aria-disabled', true);
    this.stopButton.textContent = words.composer.stopping;
    try {
      await this.onStop();
    } catch (error) {
      this.fail(error.message);
      this.ready();
    }
  }

  ready() {
    this.stopButton.removeAttribute('aria-disabled');
    this.stopButton.textContent = words.composer.stop;
  }

  // While a reply is written, Stop stands where Ask was.
  live(isLive) {
    if (isLive === this.isLive) return;
    this.isLive = isLive;
    this.permit();
    if (isLive) rescueFocus(this.askButton, this.box);
    else rescueFocus(this.stopButton);
    this.ready();
    this.askButton.hidden = isLive;
    this.stopButton.hidden = !isLive;
  }

  fail(message) { this.error.textContent = message; }

  // What one was told to wait for is over.
  permit() {
    if (this.error.textContent === words.composer.busy) this.fail('');
  }
}
