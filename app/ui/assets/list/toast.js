// What just happened, and the way back, for a while. It stays as long as somebody is at it.
import { button, make } from '../common/dom.js';
import { words } from '../words/list.js';

const SHOWN_MS = 10000;

export class Toast {
  constructor() {
    this.text = make('span', { role: 'status' });
    this.alarm = make('span', { role: 'alert', class: 'alarm' });
    this.actions = make('span', { class: 'actions' });
    this.node = make('div', { class: 'view toast' }, this.text, this.alarm, this.actions);
    this.node.hidden = true;
    for (const name of ['mouseleave', 'focusout']) this.node.addEventListener(name, () => this.leaveLater());
    for (const name of ['mouseenter', 'focusin']) this.node.addEventListener(name, () => clearTimeout(this.leaving));
    this.node.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape') return;
      event.preventDefault();
      event.stopPropagation();
      this.hide();
    });
  }

  // One that `stays` tells of what is under way: the next word ends it.
  say(text, stays = false) {
    this.show(text, '');
    this.stays = stays;
    if (stays) clearTimeout(this.leaving);
  }

  fail(text) { this.show('', text, this.dismiss()); }

  // `act` undoes; what it fails with is told here. The focus goes to its button, and from there to `back`.
  offer(text, name, act, back) {
    const undo = button(name, async () => {
      this.hide();
      try { await act(); } catch (error) { this.fail(error.message); }
    }, { class: 'primary' });
    this.show(text, '', undo, this.dismiss());
    this.back = back;
    this.isOffering = true;
    if (back) undo.focus();
  }

  dismiss() { return button('×', () => this.hide(), { class: 'quiet', 'aria-label': words.dismiss }); }

  show(text, alarm, ...actions) {
    this.node.hidden = false;
    this.text.textContent = text;
    this.alarm.textContent = alarm;
    this.actions.replaceChildren(...actions);
    this.back = null;
    this.isOffering = this.stays = false;
    this.leaveLater();
  }

  leaveLater() {
    clearTimeout(this.leaving);
    if (this.alarm.textContent || this.stays) return;
    this.leaving = setTimeout(() => { if (!this.node.contains(document.activeElement)) this.hide(); }, SHOWN_MS);
  }

  hide() {
    clearTimeout(this.leaving);
    if (this.node.contains(document.activeElement)) this.back?.focus({ preventScroll: true });
    this.node.hidden = true;
    this.isOffering = false;
  }
}
