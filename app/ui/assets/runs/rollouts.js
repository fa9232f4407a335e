// What a teacher wrote and what models answered, a problem at a time, side by side.
import { get } from '../common/api.js';
import { button, make, markup } from '../common/dom.js';
import { words } from '../words/runs.js';

const PAGE = 5;

export class Rollouts {
  #run = null;
  #start = 0;

  constructor() {
    this.of = make('select', { 'aria-label': words.rolloutsLabel, onchange: () => this.#turn(0) },
      make('option', { value: 'traces' }, words.ofTraces), make('option', { value: 'answers' }, words.ofAnswers));
    this.notRight = make('input', { type: 'checkbox', onchange: () => this.#turn(0) });
    this.list = make('div', { class: 'problems' });
    this.place = make('span', { class: 'soft small', role: 'status' });
    this.previous = button(words.previous, () => this.#turn(this.#start - PAGE));
    this.next = button(words.next, () => this.#turn(this.#start + PAGE));
    this.node = make('section', {},
      make('div', { class: 'line' }, make('h3', {}, words.rollouts), this.of, make('label', { class: 'tick' }, this.notRight, words.onlyNotRight)),
      this.list, make('div', { class: 'buttons pages' }, this.previous, this.next, this.place));
  }

  // Once there are any: what one reads is not taken away while it grows.
  async show(run, { answers }) {
    if (run === this.#run && this.list.children.length) return;
    if (run !== this.#run) {
      this.of.value = answers ? 'answers' : 'traces';
      this.notRight.checked = false;
    }
    this.#run = run;
    await this.#turn(0);
  }

  async #turn(start) {
    const run = this.#run;
    const query = new URLSearchParams({ of: this.of.value, not_right: this.notRight.checked, start: Math.max(0, start), n: PAGE });
    try {
      const { total, groups } = await get(`/page/runs/${encodeURIComponent(run)}/rollouts?${query}`);
      if (run !== this.#run) return;
      this.#start = Math.max(0, start);
      this.list.replaceChildren(...groups.map(problem));
      this.place.textContent = total ? words.place(this.#start + 1, this.#start + groups.length, total) : words.noRollouts;
      this.previous.disabled = this.#start === 0;
      this.next.disabled = this.#start + PAGE >= total;
    } catch (error) {
      this.place.textContent = error.message;
    }
  }
}

// One column for each that wrote, with one of its samples.
const problem = ({ problem: asked, rows }) => {
  const writers = Map.groupBy ? Map.groupBy(rows, ({ by }) => by) : grouped(rows);
  const columns = [...writers].map(([by, samples]) => new Column(by, samples));
  return make('article', { class: 'problem' },
    make('h4', {}, asked.prompt),
    asked.gold === null ? null : make('p', { class: 'soft small' }, words.gold(asked.gold)),
    make('div', { class: 'columns', tabindex: '0', role: 'group', 'aria-label': asked.prompt.slice(0, 80) }, ...columns.map(({ node }) => node)));
};

const answerOf = (row) => {
  const node = make('div', { class: 'answer', tabindex: '0', role: 'group', 'aria-label': words.answer });
  markup(node, row.html);
  return node;
};

const grouped = (rows) => {
  const found = new Map();
  for (const row of rows) found.set(row.by, [...(found.get(row.by) ?? []), row]);
  return found;
};

class Column {
  constructor(by, samples) {
    const right = samples.filter(({ verdict }) => verdict === 'right').length;
    const judged = samples.some(({ verdict }) => verdict);
    this.body = make('div', {});
    this.node = make('div', { class: 'column' },
      make('div', { class: 'line' }, make('h5', {}, words.by(by)),
        judged && samples.length > 1 ? make('span', { class: 'soft small' }, words.score(right, samples.length)) : null,
        samples.length > 1 ? this.#choice(by, samples) : null),
      this.body);
    this.#show(samples[0]);
  }

  #choice(by, samples) {
    const choice = make('select', { 'aria-label': `${words.sampleLabel}: ${words.by(by)}`, onchange: () => this.#show(samples[Number(choice.value)]) },
      ...samples.map((_, i) => make('option', { value: i }, words.sample(i + 1))));
    return choice;
  }

  #show(row) {
    const facts = [row.n_tokens ? words.tokens(row.n_tokens) : null, row.finish_reason === 'length' ? words.cut : null].filter(Boolean).join(', ');
    this.body.replaceChildren(
      make('p', { class: 'facts' }, row.verdict ? make('span', { class: 'badge', 'data-state': row.verdict }, words.verdict[row.verdict] ?? row.verdict) : null,
        ' ', make('span', { class: 'soft small' }, facts)),
      make('p', { class: 'thought', tabindex: '0', role: 'group', 'aria-label': words.thought }, row.reasoning ?? words.noThought),
      answerOf(row));
  }
}
