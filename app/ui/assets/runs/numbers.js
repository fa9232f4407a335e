// Any number of a run over its steps: which, is chosen from what it has told so far.
import { get } from '../common/api.js';
import { make } from '../common/dom.js';
import { words } from '../words/runs.js';
import { Chart } from './chart.js';

// First choice of what is shown.
const USUAL = [['sft', 'loss'], ['base', 'loss'], ['generate', 'traces']];
// A bar tells it already.
const UNSHOWN = 'share';

export class Numbers {
  #run = null;
  #known = '';

  constructor() {
    this.choice = make('select', { id: 'run-metric', onchange: () => this.#draw() });
    this.note = make('p', { class: 'soft' });
    this.chart = new Chart();
    this.node = make('section', { class: 'numbers' }, make('div', { class: 'line' }, make('h3', {}, words.numbers),
      make('label', { class: 'unseen', for: 'run-metric' }, words.metricLabel), this.choice), this.note, this.chart.node);
  }

  async show(run, metrics) {
    const fresh = run !== this.#run;
    this.#run = run;
    const told = metrics.filter(({ metric, points }) => metric !== UNSHOWN && points > 1);
    const known = told.map(({ stage, metric }) => `${stage}/${metric}`).join();
    if (fresh || known !== this.#known) this.#offer(told, fresh);
    this.#known = known;
    this.note.textContent = told.length ? '' : words.noNumbers;
    this.choice.hidden = this.chart.node.hidden = !told.length;
    if (told.length) await this.#draw();
  }

  #offer(told, fresh) {
    const before = fresh ? '' : this.choice.value;
    const stages = [...new Set(told.map(({ stage }) => stage))];
    this.choice.replaceChildren(...stages.map((stage) => make('optgroup', { label: words.stage(stage) },
      ...told.filter((each) => each.stage === stage).map(({ metric }) => (
        make('option', { value: JSON.stringify([stage, metric]) }, words.metric(stage, metric)))))));
    const values = [...this.choice.options].map(({ value }) => value);
    this.choice.value = values.includes(before) ? before : USUAL.map((pair) => JSON.stringify(pair)).find((value) => values.includes(value)) ?? values[0] ?? '';
  }

  async #draw() {
    const [run, value] = [this.#run, this.choice.value];
    const [stage, metric] = JSON.parse(value);
    try {
      const query = new URLSearchParams({ stage, metric });
      const { points } = await get(`/page/runs/${encodeURIComponent(run)}/series?${query}`);
      if (run === this.#run && value === this.choice.value) this.chart.show(words.metric(stage, metric), [{ label: '', points }]);
    } catch (error) {
      this.note.textContent = error.message;
    }
  }
}
