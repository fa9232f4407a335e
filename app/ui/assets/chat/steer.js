// While it thinks: have it answer now, or think on when it would end.
import { button, make } from '../common/dom.js';
import { words } from '../words/chat.js';
import { rescueFocus } from './focus.js';

export class Steer {
  constructor(id, commands) {
    this.id = id;
    this.commands = commands;
    const { steer } = words;
    this.now = button(steer.now, () => this.press(this.now, 'answer_now', steer.ending), { class: 'answer-now', title: steer.nowKey });
    this.more = button(steer.more, () => this.press(this.more, 'think_more', steer.going), { class: 'quiet think-more', title: steer.moreWhy });
    this.error = make('span', { class: 'soft' });
    this.node = make('div', { class: 'steer' }, this.now, this.more, this.error);
    this.node.hidden = true;
  }

  show(isThinking) {
    if (isThinking === !this.node.hidden) return;
    if (!isThinking) rescueFocus(this.node);
    this.node.hidden = !isThinking;
    this.reset();
  }

  reset() {
    this.now.textContent = words.steer.now;
    this.more.textContent = words.steer.more;
    this.error.textContent = '';
    for (const pressed of [this.now, this.more]) pressed.removeAttribute('aria-disabled');
  }

  // aria-disabled and not disabled: a disabled button would drop the focus.
  async press(pressed, action, told) {
    if (pressed.hasAttribute('aria-disabled')) return;
    pressed.setAttribute('aria-disabled', true);
    pressed.textContent = told;
    try {
      const { success } = await this.commands.control(this.id, action);
      if (!success) this.error.textContent = words.steer.late;
    } catch (error) {
      this.reset();
      this.error.textContent = error.message;
    }
  }
}
