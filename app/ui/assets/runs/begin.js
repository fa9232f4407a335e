// Begins a run: what a person may choose of it, then the plan as the command line shows it, then the word to begin.
import { post } from '../common/api.js';
import { button, make, openDialog } from '../common/dom.js';
import { words } from '../words/runs.js';

// `told` is GET /page/runs; `traces` are offered first. `onBegun` is given the run.
export const offerRun = (told, traces, onBegun) => new Offer(told, traces, onBegun).open();

class Offer {
  constructor({ students, recipes, recipe_students: made, n_stars: stars, runs }, traces, onBegun) {
    this.onBegun = onBegun;
    this.taken = new Set(runs.flatMap(({ id, name }) => [id, name]));
    this.students = { plain: students, made: ['', ...made] };
    this.recipe = make('select', { id: 'new-recipe', onchange: () => this.#follow() }, ...['', ...recipes].map((name) => make('option', { value: name }, words.recipes[name] ?? name)));
    this.student = make('select', { id: 'new-student', onchange: () => this.#suggest() });
    this.name = make('input', { type: 'text', id: 'new-name', required: true, maxlength: 64, autocomplete: 'off', 'aria-describedby': 'new-name-hint' });
    this.traces = ['stars', 'generated'].map((kind) => {
      const possible = kind !== 'stars' || stars > 0;
      return make('label', { class: 'tick' }, make('input', { type: 'radio', name: 'new-traces', value: kind, disabled: !possible,
        checked: possible && kind === (traces === 'stars' && stars ? 'stars' : 'generated') }), words.tracesOf(kind, stars));
    });
    this.few = make('p', { class: 'soft small' }, stars ? words.fewStars(stars) : '');
    this.said = make('p', { class: 'alarm', role: 'status' });
    this.plan = make('pre', { class: 'plan', tabindex: '0', 'aria-label': words.plan });
    this.body = make('div', {});
    this.ofTraces = [make('span', { id: 'new-traces' }, words.traces), make('div', { role: 'radiogroup', 'aria-labelledby': 'new-traces' }, ...this.traces, this.few)];
    this.#follow();
  }

  open() {
    this.dialog = openDialog(words.beginTitle, this.body, this.said);
    this.dialog.classList.add('wide');
    this.#choose();
  }

  #choose() {
    const form = make('form', { class: 'new-run', onsubmit: (event) => { event.preventDefault(); this.#show(); } },
      make('label', { for: 'new-recipe' }, words.way), this.recipe,
      make('label', { for: 'new-student' }, words.student), this.student,
      make('label', { for: 'new-name' }, words.name), make('div', {}, this.name, make('p', { class: 'soft small', id: 'new-name-hint' }, words.nameHint)),
      ...this.ofTraces,
      make('div', { class: 'buttons' }, make('button', { type: 'submit', class: 'primary' }, words.showPlan), button(words.cancel, () => this.dialog.close())));
    this.body.replaceChildren(form);
    this.recipe.focus();
  }

  #show() {
    return this.#ask(words.planning, async () => {
      const { lines } = await post('/page/runs/plan', this.#choice());
      this.plan.textContent = lines.join('\n');
      const begin = button(words.beginNow, () => this.#begin(), { class: 'primary' });
      this.body.replaceChildren(this.plan, make('div', { class: 'buttons' }, begin,
        button(words.change, () => this.working || this.#choose()), button(words.cancel, () => this.dialog.close(), { class: 'quiet' })));
      begin.focus();
    });
  }

  #begin() {
    return this.#ask(words.beginning, async () => {
      const { run } = await post('/page/runs', this.#choice());
      this.dialog.close();
      this.onBegun(run);
    });
  }

  async #ask(saying, work) {
    if (this.working) return;
    this.working = true;
    // disabled, the one that was pressed would lose the focus
    const buttons = [...this.body.querySelectorAll('button')];
    for (const each of buttons) each.setAttribute('aria-disabled', true);
    this.said.className = 'soft';
    this.said.textContent = saying;
    try {
      await work();
      this.said.textContent = '';
    } catch (error) {
      this.said.className = 'alarm';
      this.said.textContent = error.message;
    }
    for (const each of buttons) each.removeAttribute('aria-disabled');
    this.working = false;
  }

  #choice() {
    const traces = this.traces.map((label) => label.querySelector('input')).find(({ checked }) => checked).value;
    return { recipe: this.recipe.value, student: this.student.value, name: this.name.value.trim(), traces };
  }

  // A recipe makes its student from nothing, and its traces.
  #follow() {
    const recipe = this.recipe.value;
    const names = recipe ? this.students.made : this.students.plain;
    this.student.replaceChildren(...names.map((name) => make('option', { value: name }, words.students[name] ?? name)));
    for (const node of this.ofTraces) node.hidden = Boolean(recipe);
    this.#suggest();
  }

  // A name that is free.
  #suggest() {
    const recipe = this.recipe.value;
    const stem = recipe ? ['my', recipe, this.student.value].filter(Boolean).join('-') : `${this.student.value}-r1`;
    let name = stem;
    for (let n = 2; this.taken.has(name); n += 1) name = `${stem}-${n}`;
    this.name.value = name;
  }
}
