// The star below an answer: puts the turn into the distil set, and says what came of it.
import { get, patch, post, remove } from '../common/api.js';
import { emit, on } from '../common/bus.js';
import { button, make, openDialog } from '../common/dom.js';
import { words } from '../words/stars.js';
import { gateList, telling } from './gates.js';
import { openStar } from './opening.js';

// conversation -> promise of {message: {id, state}}; asked for once for all stars of a page
const marks = new Map();
const marksOf = (conversation) => {
  if (!marks.has(conversation)) {
    marks.set(conversation, get(`/page/stars/marks?conversation=${encodeURIComponent(conversation)}`)
      .then((told) => told.marks, () => { marks.delete(conversation); return {}; }));
  }
  return marks.get(conversation);
};
// The page holds the buttons, and nothing else does: with a chat that is left they go.
const buttons = new WeakMap();
on('stars-changed', () => {
  marks.clear();
  for (const node of document.querySelectorAll('.star-place')) buttons.get(node)?.look();
});

class StarButton {
  #mark = null;

  constructor(message) {
    this.message = message;
    this.sign = make('span', { 'aria-hidden': 'true' });
    this.label = make('span', {});
    this.button = make('button', { type: 'button', class: 'quiet star', title: words.starTitle, onclick: () => this.#press() }, this.sign, ' ', this.label);
    this.said = make('span', { class: 'alarm', role: 'status' });
    this.node = make('span', { class: 'star-place' }, this.button, this.said);
    buttons.set(this.node, this);
    this.#show(null);
    this.look();
  }

  // What is under way here tells of its own end.
  async look() {
    const found = await marksOf(this.message.conversation);
    if (!this.button.hasAttribute('aria-disabled')) this.#show(found[this.message.id] ?? null);
  }

  #show(mark) {
    this.#mark = mark;
    this.button.removeAttribute('aria-disabled');
    this.button.dataset.state = mark?.state ?? '';
    this.sign.textContent = mark && mark.state !== 'refused' ? '★' : '☆';
    this.label.textContent = mark ? words.mark[mark.state] : words.star;
    if (mark) this.button.setAttribute('aria-haspopup', 'dialog');
    else this.button.removeAttribute('aria-haspopup');
  }

  #press() {
    return this.#work(async () => {
      if (this.#mark) {
        this.#tell((await get(`/page/stars/${this.#mark.id}`)).star);
        return;
      }
      await this.#star(false);
    });
  }

  async #star(agree) {
    this.label.textContent = words.checking;
    const { star, asks } = await post('/page/stars', { message: this.message.id, agree });
    if (asks) {
      this.#show(null);
      this.#ask();
      return;
    }
    this.#show({ id: star.id, state: star.state });
    emit('stars-changed');
    if (star.state !== 'accepted') this.#tell(star);
  }

  #ask() {
    const yes = button(words.asksYes, () => { dialog.close(); this.#work(() => this.#star(true)); }, { class: 'primary' });
    const dialog = openDialog(words.asksTitle, make('p', {}, words.asksText),
      make('div', { class: 'buttons' }, yes, button(words.asksNo, () => dialog.close())));
    yes.focus();
  }

  // What is to be said of a star, and what can be done about it at once.
  #tell(star) {
    const act = (work) => () => { dialog.close(); this.#work(work); };
    const changed = async (request) => { await request; emit('stars-changed'); };
    const open = (name) => star.gates.some((gate) => gate.name === name && gate.state === 'open');
    const dialog = openDialog(words.states[star.state],
      gateList(telling(star.gates), words.gates),
      make('div', { class: 'buttons' },
        open('answer') ? button(words.checked, act(() => changed(patch(`/page/stars/${star.id}`, { checked: true }))), { class: 'primary' }) : null,
        button(words.review, () => { dialog.close(); openStar(star.id); }),
        button(words.remove, act(() => changed(remove(`/page/stars/${star.id}`))), { class: 'quiet danger' }),
        button(words.cancel, () => dialog.close(), { class: 'quiet' })));
  }

  // aria-disabled and not disabled: a disabled button would drop the focus.
  async #work(work) {
    if (this.button.hasAttribute('aria-disabled')) return;
    this.said.textContent = '';
    this.button.setAttribute('aria-disabled', true);
    try {
      await work();
    } catch (error) {
      this.said.textContent = error.message;
      this.#show(this.#mark);
    }
    this.button.removeAttribute('aria-disabled');
  }
}

export const starButton = (message) => new StarButton(message).node;
