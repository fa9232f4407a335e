// The stages of a run with a bar each; changed in place, so that nothing jumps while one looks.
import { make } from '../common/dom.js';
import { words } from '../words/runs.js';

// The number that tells most of a stage.
const TELLING = { base: 'loss', generate: 'traces', verify: 'right', sft: 'loss' };
// Of a recipe's steps by their kind, the first that is told.
const TELLING_OF = { stream: ['loss'], sft: ['held_out_accuracy', 'loss'], grpo: ['held_out_accuracy', 'accuracy'] };

export class Stages {
  #rows = new Map();
  #of = '';

  constructor() {
    this.node = make('ol', { class: 'stages' });
  }

  show(run, stages) {
    const of = [run, ...stages.map(({ name }) => name)].join();
    if (of !== this.#of) {
      this.#of = of;
      this.#rows.clear();
      this.node.replaceChildren();
    }
    for (const stage of stages) {
      if (!this.#rows.has(stage.name)) this.#rows.set(stage.name, this.#row(stage));
      this.#update(this.#rows.get(stage.name), stage);
    }
  }

  #row({ name, kind }) {
    const bar = make('progress', { max: 1, value: 0, 'aria-label': words.stageBar(name, kind) });
    const told = make('span', { class: 'told soft small' });
    const node = make('li', { 'data-stage': name }, make('span', { class: 'name', title: kind ? words.kinds[kind] : null }, kind ? name : words.stage(name)), bar, told);
    this.node.append(node);
    return { node, bar, told };
  }

  #update({ node, bar, told }, stage) {
    node.dataset.state = stage.state;
    // without a value the bar says that it moves, and not how far
    if (stage.state === 'running' && stage.share === null) bar.removeAttribute('value');
    else bar.value = stage.share ?? 0;
    told.textContent = this.#said(stage);
  }

  #said({ name, kind, state, share, seconds, left_s: left, numbers }) {
    const metric = (kind ? TELLING_OF[kind] ?? [] : [TELLING[name]]).find((each) => each in numbers);
    const value = metric ? `${words.metricName(metric)} ${words.value(metric, numbers[metric])}` : null;
    if (state === 'done') return [seconds === null ? null : words.duration(seconds), value].filter(Boolean).join(', ');
    if (state === 'waiting') return share === null ? '' : [words.percent(share), value].filter(Boolean).join(', ');
    return [share === null ? words.stageState.running : words.percent(share), left === null ? null : words.left(left), value].filter(Boolean).join(', ');
  }
}
