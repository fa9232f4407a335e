// A few words per turn for who cannot see it; the transcript itself is no live region.
import { make } from '../common/dom.js';
import { words } from '../words/chat.js';

export class Announcer {
  constructor() {
    this.node = make('p', { class: 'unseen', role: 'status' });
    this.said = '';
  }

  say(text) {
    if (text === this.said) return;
    this.said = this.node.textContent = text;
  }

  clear() {
    this.said = this.node.textContent = '';
  }

  // `state` is a live reply's phase, or how it ended.
  tell(state, message) {
    const { said } = words;
    if (state === 'done') this.say(said.done(message.total_s || 0));
    else if (state === 'failed') this.say(said.failed(message.error));
    else this.say(said[state] ?? '');
  }
}
