// A thought that has ended, to be read: its steps with quiet markers, an overview of them, and sentences from which
// the model can go on another way. Comes from GET /page/messages/{id}/thought when it is opened.
import { get } from '../common/api.js';
import { CodePoints } from '../common/codepoints.js';
import { make, markup, reachWide } from '../common/dom.js';
import { words } from '../words/trace.js';
import { notes } from './notes.js';
import { Overview } from './overview.js';
import { Sentences } from './sentences.js';

let n_shown = 0;

export class FinishedThought {
  // onFork(at, text): the thought goes on after its first `at` characters and `text`; may return a promise.
  constructor(message, { onFork } = {}) {
    this.message = message;
    this.onFork = onFork;
    this.id = `thought-${++n_shown}`;
    this.node = make('div', { class: 'finished' }, make('p', { class: 'soft' }, words.loading));
  }

  // Loads and draws it, once. Rejects with an ApiError.
  async open() {
    this.opened ??= this.load().catch((error) => { this.opened = null; throw error; });
    await this.opened;
  }

  async load() {
    const thought = await get(`/page/messages/${this.message.id}/thought`);
    if (!thought.steps.length) {
      this.node.replaceChildren(make('p', { class: 'soft' }, words.empty));
      return;
    }
    this.steps = thought.steps.map((step) => this.step(step));
    this.list = make('ol', { class: 'steps', 'aria-label': words.list, 'aria-describedby': `${this.id}-help` }, ...this.steps);
    this.overview = new Overview(thought, (start) => this.showAt(start), (kind) => this.only(kind), () => this.jump(1));
    const show = (start) => this.showAt(start, true);
    this.node.replaceChildren(
      this.overview.node, ...notes(thought, this.message, show), make('p', { class: 'unseen', id: `${this.id}-help` }, words.help),
      this.list, ...(thought.cut ? [make('p', { class: 'soft' }, words.cut(thought.cut))] : []));
    this.sentences = new Sentences(this.message.id, this.list, new CodePoints(thought.text), this.onFork);
    this.markKept(this.message.kept_chars ?? 0);
    reachWide(this.list);
    this.node.addEventListener('keydown', (event) => this.onKey(event));
  }

  step({ start, end, kind, html }) {
    const { marker, tells } = words.kinds[kind];
    const said = make('div', { class: 'said' });
    markup(said, html);
    // Most steps work on it; a word beside each of them would be noise.
    const label = make('span', { class: 'marker', title: kind === 'try' ? null : tells }, kind === 'try' ? '' : marker);
    return make('li', { class: 'step', 'data-kind': kind, 'data-start': start, 'data-end': end, tabindex: -1 }, label, said);
  }

  // What a fork took over from the thought it came from.
  markKept(n_kept) {
    if (!n_kept) return;
    let last = null;
    for (const sentence of this.sentences.all) {
      if (Number(sentence.dataset.start) >= n_kept) break;
      sentence.classList.add('kept');
      last = sentence;
    }
    last?.after(make('span', { class: 'seam' }, words.seam));
  }

  only(kind) {
    for (const step of this.steps) step.hidden = kind !== null && step.dataset.kind !== kind;
  }

  onKey(event) {
    if (event.target.closest('textarea, input') || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key.toLowerCase() !== 'c') return;
    event.preventDefault();
    this.jump(event.shiftKey ? -1 : 1);
  }

  // To the next check after where the reader is, round and round.
  jump(direction) {
    const checks = this.steps.filter((step) => step.dataset.kind === 'check');
    if (!checks.length) return;
    if (checks[0].hidden) this.overview.choose(null);
    const here = this.list.contains(document.activeElement) ? document.activeElement.closest('.step') : this.lastShown;
    const after = here ? this.steps.indexOf(here) : -1;
    const place = (step) => this.steps.indexOf(step);
    const next = direction > 0
      ? checks.find((step) => place(step) > after) ?? checks[0]
      : checks.findLast((step) => place(step) < after) ?? checks.at(-1);
    this.show(next);
  }

  // The sentence at character `start`, or its step.
  showAt(start, exactly = false) {
    const step = this.steps.find((one) => Number(one.dataset.end) > start) ?? this.steps.at(-1);
    if (step.hidden) this.overview.choose(null);
    const sentence = exactly && [...step.querySelectorAll('.sentence')].find((one) => Number(one.dataset.end) > start);
    this.show(step, sentence || step);
  }

  show(step, target = step) {
    this.lastShown = step;
    target.scrollIntoView({ block: 'center' });
    // Steps out of sight get their true height only when they come into it.
    requestAnimationFrame(() => target.scrollIntoView({ block: 'center' }));
    if (target === step) step.focus({ preventScroll: true });
    else this.sentences.focus(target);
    target.classList.add('shown');
    setTimeout(() => target.classList.remove('shown'), 1600);
  }
}
