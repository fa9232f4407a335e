// What a teacher wrote, what models answered, and what a student answered while it learnt: a problem at a time, side by
// side.
import { get } from '../common/api.js';
import { button, make, markup } from '../common/dom.js';
import { words } from '../words/runs.js';

const PAGE = 5;

export class Rollouts {
  #run = null;
  #known = '';
  #start = 0;
  #asked = 0;
  #isReading = false;
  #missed = null; // where the page begins that was wanted and could not be had
  #written = new Map(); // option -> bytes that there are
  #read = null; // bytes that there were when it was looked at

  constructor() {
    this.of = make('select', { 'aria-label': words.rolloutsLabel, onchange: () => this.#turn(0) });
    this.notRight = make('input', { type: 'checkbox', onchange: () => this.#turn(0) });
    this.list = make('div', { class: 'problems' });
    this.place = make('span', { class: 'soft small', role: 'status' });
    this.previous = button(words.previous, () => this.#turn(this.#start - PAGE));
    this.next = button(words.next, () => this.#turn(this.#start + PAGE));
    this.node = make('section', {},
      make('div', { class: 'line' }, make('h3', {}, words.rollouts), this.of, make('label', { class: 'tick' }, this.notRight, words.onlyNotRight)),
      this.list, make('div', { class: 'buttons pages' }, this.previous, this.next, this.place));
  }

  // `rows` are { step, of, written }: what there is to look at, of which step of a recipe, and how much of it. What one
  // reads is not taken away while it grows, and what has not grown is not asked for again.
  async show(run, rows) {
    const fresh = run !== this.#run;
    this.#run = run;
    this.#written = new Map(rows.map((row) => [valueOf(row), row.written]));
    const known = rows.map(valueOf).join();
    const before = fresh ? null : this.of.value;
    if (fresh || known !== this.#known) {
      this.of.replaceChildren(...rows.map((row) => make('option', { value: valueOf(row) }, words.rowsOf(row))));
      this.of.value = rows.map(valueOf).includes(before) ? before : usual(rows);
    }
    this.#known = known;
    this.node.hidden = !rows.length;
    if (fresh) [this.notRight.checked, this.#asked] = [false, this.#asked + 1];
    if (!rows.length) return;
    if (fresh || this.of.value !== before) await this.#turn(0);
    else if (this.#missed !== null) await this.#turn(this.#missed);
    else if (this.#read !== this.#written.get(before) && !this.#isReading) await this.#grow();
  }

  async #turn(start) {
    // of two questions the later one counts, whichever is answered first
    this.#asked += 1;
    this.#read = null;
    const [asked, written] = [this.#asked, this.#written.get(this.of.value)];
    try {
      const { total, groups } = await this.#page(start, PAGE);
      if (asked !== this.#asked) return;
      this.#start = Math.max(0, start);
      this.#read = written;
      this.#missed = null;
      this.list.replaceChildren(...groups.map(problem));
      this.#tell(total);
    } catch (error) {
      if (asked !== this.#asked) return;
      this.#missed = start;
      this.place.textContent = error.message;
    }
  }

  // What came since to the page that is shown, unless another was asked for meanwhile. One at a time: of two that overlap
  // each would add the same.
  async #grow() {
    const [asked, written] = [this.#asked, this.#written.get(this.of.value)];
    const n = this.list.children.length;
    const { total, groups } = await this.#page(this.#start + n, PAGE - n);
    if (asked !== this.#asked) return;
    this.#read = written;
    this.list.append(...groups.map(problem));
    this.#tell(total);
  }

  async #page(start, n) {
    const asked = this.#asked;
    const [of, step = ''] = this.of.value.split(' ');
    const query = new URLSearchParams({ of, step, not_right: this.notRight.checked, start: Math.max(0, start), n });
    this.#isReading = true;
    try {
      return await get(`/page/runs/${encodeURIComponent(this.#run)}/rollouts?${query}`);
    } finally {
      if (asked === this.#asked) this.#isReading = false;
    }
  }

  #tell(total) {
    const n = this.list.children.length;
    this.place.textContent = total ? words.place(this.#start + 1, this.#start + n, total) : words.noRollouts;
    const ends = new Map([[this.previous, this.#start === 0], [this.next, this.#start + PAGE >= total]]);
    for (const [each, isEnd] of ends) if (!isEnd) each.disabled = false;
    // a disabled button would drop the focus
    if (ends.get(document.activeElement)) ([...ends.keys()].find((each) => !ends.get(each)) ?? this.of).focus();
    for (const [each, isEnd] of ends) each.disabled = isEnd;
  }
}

const valueOf = ({ step, of }) => (step ? `${of} ${step}` : of);

// What shows most of a run: answers that changed while it learnt, else those that were measured.
const usual = (rows) => {
  const newest = [...rows].reverse();
  const best = ['watched', 'answers'].map((kind) => newest.find(({ of }) => of === kind)).find(Boolean) ?? rows[0];
  return best ? valueOf(best) : '';
};

// One column for each that wrote, with one of its samples.
const problem = ({ problem: asked, rows, scores }) => {
  const learnt = rows.some(({ step }) => step !== undefined);
  const columns = learnt ? overSteps(rows) : byWriter(rows, scores);
  return make('article', { class: 'problem' },
    make('h4', {}, asked.prompt),
    asked.gold === null ? null : make('p', { class: 'soft small' }, words.gold(asked.gold)),
    make('div', { class: learnt ? 'columns steps' : 'columns', tabindex: '0', role: 'group', 'aria-label': asked.prompt.slice(0, 80) }, ...columns.map(({ node }) => node)));
};

// `scores`: how many are right, of how many, where not all are among the rows.
const byWriter = (rows, scores = {}) => {
  const writers = Map.groupBy ? Map.groupBy(rows, ({ by }) => by) : grouped(rows);
  return [...writers].map(([by, samples]) => new Column({
    title: words.by(by), samples, score: scores[by] ?? scored(samples), name: (row, i) => words.sample(i + 1), label: `${words.sampleLabel}: ${words.by(by)}`,
  }));
};

// Before, and beside it any later step: the last, at first.
const overSteps = ([first, ...later]) => [
  new Column({ title: words.atStep(first.step), samples: [first] }),
  ...(later.length ? [new Column({
    title: later.length > 1 ? words.later : words.atStep(later[0].step), samples: later, at: later.length - 1, name: ({ step }) => words.atStep(step), label: words.stepLabel,
  })] : []),
];

const scored = (samples) => (samples.some(({ verdict }) => verdict)
  ? [samples.filter(({ verdict }) => verdict === 'right').length, samples.length] : null);

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

// One of `samples` at a time; `name` is what each is called where there are several.
class Column {
  constructor({ title, samples, at = 0, name, label, score = null }) {
    this.body = make('div', {});
    this.node = make('div', { class: 'column' },
      make('div', { class: 'line' }, make('h5', {}, title),
        score && samples.length > 1 ? make('span', { class: 'soft small' }, words.score(...score)) : null,
        samples.length > 1 ? this.#choice(samples, at, name, label) : null),
      this.body);
    this.#show(samples[at]);
  }

  #choice(samples, at, name, label) {
    const choice = make('select', { 'aria-label': label, onchange: () => this.#show(samples[Number(choice.value)]) },
      ...samples.map((row, i) => make('option', { value: i, selected: i === at }, name(row, i))));
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
