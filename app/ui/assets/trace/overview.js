// The thought at a glance: a strip of its steps by length, and how many of each kind; a kind can be shown alone.
import { button, make } from '../common/dom.js';
import { words } from '../words/trace.js';

const SVG = 'http://www.w3.org/2000/svg';
const WIDTH = 1000;

export class Overview {
  // onShow(start of a step), onOnly(kind or null), onNext()
  constructor(thought, onShow, onOnly, onNext) {
    this.thought = thought;
    this.onShow = onShow;
    this.onOnly = onOnly;
    this.chosen = null;
    this.chips = Object.entries(words.kinds)
      .filter(([kind]) => thought.counts[kind])
      .map(([kind, { legend, tells }]) => this.chip(kind, legend, tells));
    const next = thought.counts.check
      ? button(words.nextCheck, onNext, { class: 'quiet next', 'aria-keyshortcuts': words.nextCheckKey })
      : null;
    next?.append(make('kbd', { 'aria-hidden': 'true' }, words.nextCheckKey));
    this.node = make('div', { class: 'overview', role: 'group', 'aria-label': words.overview },
      this.strip(), make('div', { class: 'legend' }, ...this.chips, next));
  }

  chip(kind, legend, tells) {
    const n = this.thought.counts[kind];
    const chip = button('', () => this.choose(this.chosen === kind ? null : kind), {
      class: 'chip', 'data-kind': kind, 'aria-pressed': 'false', 'aria-label': words.only(legend, n), title: tells,
    });
    chip.append(make('span', { class: 'dot' }), `${legend} `, make('b', {}, n));
    return chip;
  }

  choose(kind) {
    this.chosen = kind;
    for (const chip of this.chips) chip.setAttribute('aria-pressed', chip.dataset.kind === kind);
    this.onOnly(kind);
  }

  // For the mouse; by keyboard there are the legend, the jump and the sentences.
  strip() {
    const total = this.thought.steps.at(-1).end;
    const svg = document.createElementNS(SVG, 'svg');
    const put = (name, attributes) => {
      const node = document.createElementNS(SVG, name);
      for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
      svg.append(node);
    };
    svg.setAttribute('viewBox', `0 0 ${WIDTH} 10`);
    svg.setAttribute('preserveAspectRatio', 'none');
    for (const { start, end, kind } of this.runs()) {
      put('rect', { x: (start / total) * WIDTH, y: 0, width: ((end - start) / total) * WIDTH, height: 10, class: kind });
    }
    const { first_answer: first } = this.thought;
    if (first) put('rect', { x: first.share * WIDTH - 2, y: 0, width: 4, height: 10, class: 'reached' });
    const strip = make('div', { class: 'strip', 'aria-hidden': 'true', onclick: (event) => this.onStrip(event, total) });
    strip.append(svg);
    return strip;
  }

  // Neighbours of one kind are drawn as one.
  runs() {
    const runs = [];
    for (const { start, end, kind } of this.thought.steps) {
      if (runs.at(-1)?.kind === kind) runs.at(-1).end = end;
      else runs.push({ start, end, kind });
    }
    return runs;
  }

  onStrip(event, total) {
    const { left, width } = event.currentTarget.getBoundingClientRect();
    this.onShow(Math.min(total - 1, Math.max(0, ((event.clientX - left) / width) * total)));
  }
}
