// One run, looked at: its stages, its numbers over steps, its rollouts, and what can be done with it.
import { get, post } from '../common/api.js';
import { emit } from '../common/bus.js';
import { button, make, once, openDialog } from '../common/dom.js';
import { words } from '../words/runs.js';
import { Learning } from './learning.js';
import { Numbers } from './numbers.js';
import { Rollouts } from './rollouts.js';
import { Stages } from './stages.js';

export class RunView {
  id = null;
  #state = '';
  #turn = 0;
  refused = ''; // what was asked for last, and why not

  constructor({ onChanged, onClose }) {
    this.onChanged = onChanged;
    this.title = make('h2', {});
    this.facts = make('p', { class: 'facts soft' });
    this.verdict = make('p', { class: 'verdict' });
    this.error = make('p', { class: 'alarm', role: 'status' });
    this.buttons = make('div', { class: 'buttons' });
    this.stages = new Stages();
    this.learning = new Learning();
    this.numbers = new Numbers();
    this.rollouts = new Rollouts();
    this.log = make('pre', { class: 'plan', tabindex: '0', 'aria-label': words.log });
    this.said = make('details', { class: 'log', ontoggle: () => this.#readLog() }, make('summary', {}, words.log), this.log);
    this.whole = make('div', { hidden: true }, button(words.back, onClose, { class: 'quiet back' }),
      this.title, this.facts, this.verdict, this.error, this.buttons, this.stages.node, this.learning.node, this.rollouts.node, this.numbers.node, this.said);
    this.none = make('p', { class: 'soft' }, words.choose);
    this.node = make('section', { class: 'run', tabindex: '-1', 'aria-label': words.title }, this.none, this.whole);
  }

  // Also to look again at the run that is shown.
  async show(id) {
    if (id !== this.id) [this.said.open, this.refused, this.log.textContent] = [false, '', ''];
    this.id = id;
    this.whole.hidden = !id;
    this.none.hidden = Boolean(id);
    const turn = ++this.#turn;
    if (!id) return;
    try {
      const { run, metrics, rows } = await get(`/page/runs/${encodeURIComponent(id)}`);
      if (turn !== this.#turn) return; // something else was asked for meanwhile, or done
      this.#draw(run);
      await Promise.all([this.#readLog(), this.learning.show(id, metrics), this.rollouts.show(id, rows), this.numbers.show(id, metrics)]);
    } catch (error) {
      if (turn === this.#turn) this.error.textContent = error.message;
    }
  }

  #draw(run) {
    this.title.textContent = run.name;
    this.facts.replaceChildren(make('span', { class: 'badge', 'data-state': run.state }, words.states[run.state]), ' ',
      [words.now(run), words.recipe(run.recipe), words.of(run), words.begun(run)].filter(Boolean).join(' · '));
    this.verdict.textContent = run.verdict;
    this.error.textContent = this.refused || run.error;
    this.stages.show(run.id, run.stages);
    this.said.hidden = !run.mine;
    const state = [run.id, run.state, run.has_report, run.model].join();
    if (state === this.#state) return;
    this.#state = state;
    this.#put(...this.#actions(run));
  }

  // The focus goes from a button that leaves to what stands there then.
  #put(...nodes) {
    const hadFocus = this.buttons.contains(document.activeElement);
    this.buttons.replaceChildren(...nodes);
    if (hadFocus) (this.buttons.querySelector('button, a') ?? this.node).focus({ preventScroll: true });
  }

  #actions(run) {
    const found = [];
    if (run.model) found.push(button(words.chat, () => this.#chat(run.model), { class: 'primary' }));
    if (run.has_report) {
      found.push(make('a', { class: 'button', href: `/page/runs/${encodeURIComponent(run.id)}/report`, target: '_blank', rel: 'noopener' }, words.report));
    }
    if (run.mine && run.state === 'running') found.push(button(words.stop, () => this.#askToStop(run), { class: 'danger' }));
    if (run.state === 'stopped' || run.state === 'failed') found.push(button(words.goOn, once(() => this.#do('go_on'))));
    return found;
  }

  #chat(model) {
    emit('models-changed'); // it is new to who has the list
    emit('choose-model', { model });
    emit('show-room', { name: 'chat' });
  }

  #askToStop(run) {
    const keep = button(words.cancel, () => dialog.close());
    const stop = button(words.stop, () => { dialog.close(); this.#do('stop', words.stopping); }, { class: 'danger' });
    const dialog = openDialog(words.stopTitle(run.name), make('p', {}, words.stopText), make('div', { class: 'buttons' }, keep, stop));
    keep.focus();
  }

  async #do(action, saying = '') {
    this.error.textContent = this.refused = '';
    if (saying) this.#put(make('p', { class: 'soft' }, saying));
    this.#turn += 1;
    try {
      const { run } = await post(`/page/runs/${encodeURIComponent(this.id)}/${action}`);
      this.#turn += 1;
      if (run.id === this.id) this.#draw(run);
      this.onChanged();
    } catch (error) {
      this.#state = '';
      this.refused = error.message; // until something else is asked for
      await this.show(this.id);
    }
  }

  // Follows what is said for a reader at its end.
  async #readLog() {
    if (!this.said.open) return;
    const { id } = this;
    const { text } = await get(`/page/runs/${encodeURIComponent(id)}/log`).catch((error) => ({ text: error.message }));
    if (id !== this.id || text === this.log.textContent) return;
    const isAtEnd = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 2;
    this.log.textContent = text;
    if (isAtEnd) this.log.scrollTop = this.log.scrollHeight;
  }
}
