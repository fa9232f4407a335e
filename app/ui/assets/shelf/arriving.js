// Downloads that run, and those that stopped and can go on; what is shown of one changes in place.
import { post } from '../common/api.js';
import { make } from '../common/dom.js';
import { words } from '../words/shelf.js';
import { confirm } from './confirm.js';
import { pulls } from './pulls.js';
import { keyed } from './rows.js';

class PullRow {
  #bar = make('progress', { max: 100, value: 0 });
  #told = make('p', { class: 'state', tabindex: '-1' });
  #error = make('p', { class: 'alarm', hidden: true });
  #buttons = make('div', { class: 'buttons' });
  #act;
  #shown = '';

  constructor(pull, act) {
    this.#act = act;
    this.#bar.setAttribute('aria-label', pull.model);
    this.node = make('li', { class: 'pull', 'data-pull': pull.model },
      make('h3', {}, make('span', { class: 'name' }, pull.model)), this.#bar, this.#told, this.#buttons, this.#error);
  }

  update(pull) {
    this.node.dataset.state = pull.state;
    this.#bar.value = words.percent(pull);
    this.#bar.hidden = !pull.bytes_total || !(pull.live || pull.bytes_done);
    this.#told.textContent = words.progress(pull);
    this.#error.hidden = !pull.error;
    this.#error.textContent = pull.error ?? '';
    if (this.#shown === pull.state) return;
    this.#shown = pull.state;
    const hadFocus = this.#buttons.contains(document.activeElement);
    this.#buttons.replaceChildren(...this.#actions(pull));
    if (hadFocus) (this.#buttons.querySelector('button') ?? this.#told).focus({ preventScroll: true });
  }

  #actions(pull) {
    const { id, model, state, bytes_done: done } = pull;
    const named = (key, text, work) => keyed(`${key} ${model}`, text, work, { 'aria-label': words.onModel(text, model) });
    if (state === 'stopping') return [];
    if (pull.live) return [named('stop', words.stop, () => this.#act(() => pulls.stop(id)))];
    const forget = () => this.#act(() => pulls.forget(id));
    const discard = () => confirm(words.discardTitle(model), words.discardText(done), words.removeNow(done), forget);
    return [
      named('go-on', words.goOn, () => this.#act(() => pulls.goOn(id))),
      done ? named('discard', words.discard, discard) : named('dismiss', words.dismiss, forget),
    ];
  }
}

export class Arriving {
  #rows = new Map();
  #list = make('ul', { class: 'rows' });
  #left = make('ul', { class: 'rows' });
  #leftTold = '[]';
  #act;

  constructor(act) {
    this.#act = act;
    this.node = make('section', { hidden: true }, make('h2', {}, words.arriving), this.#list, this.#left);
  }

  update(list) {
    const shown = list.filter(({ state }) => state !== 'done');
    for (const pull of shown) {
      if (!this.#rows.has(pull.id)) {
        this.#rows.set(pull.id, new PullRow(pull, this.#act));
        this.#list.append(this.#rows.get(pull.id).node);
      }
      this.#rows.get(pull.id).update(pull);
    }
    for (const [id, row] of this.#rows) {
      if (shown.some((pull) => pull.id === id)) continue;
      row.node.remove();
      this.#rows.delete(id);
    }
    this.#look();
  }

  // Parts of downloads that were begun elsewhere, by `r1chat pull` for one.
  leftovers(list) {
    const told = JSON.stringify(list);
    if (told === this.#leftTold) return;
    this.#leftTold = told;
    this.#left.replaceChildren(...list.map((left) => {
      const free = () => this.#act(() => post('/page/shelf/leftovers/remove', { model: left.repo }));
      const ask = () => confirm(words.discardTitle(left.repo), words.discardText(left.bytes), words.removeNow(left.bytes), free);
      return make('li', { class: 'pull' }, make('p', { class: 'state' }, words.leftover(left)),
        make('div', { class: 'buttons' }, keyed(`discard ${left.repo}`, words.discard, ask)));
    }));
    this.#look();
  }

  #look() {
    this.node.hidden = !this.#rows.size && !this.#left.children.length;
  }
}
