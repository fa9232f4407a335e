// What a student learns while it is trained: accuracy, length and behaviour over steps, of one stage that tells them.
import { get } from '../common/api.js';
import { make } from '../common/dom.js';
import { words } from '../words/runs.js';
import { Chart } from './chart.js';

// Each chart's numbers; what is held out stands in front.
const CHARTS = [
  { name: 'accuracy', share: true, lines: [['accuracy', 'pale'], ['held_out_accuracy', 'main']] },
  { name: 'length', share: false, lines: [['length', 'pale'], ['held_out_length', 'main']] },
  { name: 'behaviour', share: true, lines: [['check_share', 'main'], ['backtrack_share', 'second']] },
];
const METRICS = CHARTS.flatMap(({ lines }) => lines.map(([metric]) => metric));
// A stage that tells one of these is one that learns.
const TELLING = ['held_out_accuracy', 'check_share'];

export class Learning {
  #run = null;
  #stages = '';

  constructor() {
    this.choice = make('select', { id: 'run-learning', onchange: () => this.#draw() });
    this.label = make('label', { class: 'unseen', for: 'run-learning' }, words.learningLabel);
    this.charts = CHARTS.map((each) => new Panel(each));
    this.node = make('section', { class: 'learning', hidden: true },
      make('div', { class: 'line' }, make('h3', {}, words.learning), this.label, this.choice),
      make('div', { class: 'charts' }, ...this.charts.map(({ node }) => node)));
  }

  async show(run, metrics) {
    const stages = [...new Set(metrics.filter(({ metric }) => TELLING.includes(metric)).map(({ stage }) => stage))];
    const known = `${run}/${stages}`;
    if (known !== this.#stages) {
      this.choice.replaceChildren(...stages.map((stage) => make('option', { value: stage }, words.stage(stage))));
      this.choice.value = stages.at(-1) ?? '';
    }
    [this.#run, this.#stages] = [run, known];
    this.choice.hidden = stages.length < 2;
    this.node.hidden = !stages.length;
    if (stages.length) await this.#draw();
  }

  async #draw() {
    const [run, stage] = [this.#run, this.choice.value];
    const query = new URLSearchParams([['stage', stage], ...METRICS.map((metric) => ['metric', metric])]);
    const { curves } = await get(`/page/runs/${encodeURIComponent(run)}/curves?${query}`);
    if (run !== this.#run || stage !== this.choice.value) return;
    for (const chart of this.charts) chart.show(curves);
  }
}

class Panel {
  constructor({ name, share, lines }) {
    this.name = name;
    this.lines = lines;
    this.chart = new Chart({ height: 190, share });
    this.legend = make('p', { class: 'legend small' });
    this.node = make('div', { class: 'panel' }, make('h4', {}, words.charts[name]), this.legend, this.chart.node);
  }

  show(curves) {
    const lines = this.lines.filter(([metric]) => curves[metric]?.length)
      .map(([metric, kind]) => ({ label: words.lines[metric], kind, points: curves[metric] }));
    this.node.hidden = !lines.length;
    if (!lines.length) return;
    this.legend.replaceChildren(...lines.map(({ label, kind }) => make('span', { class: `key ${kind}` }, label)));
    this.chart.show(words.charts[this.name], lines);
  }
}
