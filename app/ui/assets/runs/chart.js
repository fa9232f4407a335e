// One number over steps as a small SVG chart: no library, in the colours of the page. Read by pointer or arrow keys.
import { make } from '../common/dom.js';
import { words } from '../words/runs.js';

const SVG = 'http://www.w3.org/2000/svg';
const [LEFT, RIGHT, TOP, BOTTOM] = [56, 12, 12, 28];
const HEIGHT = 240;

const draw = (tag, attributes = {}, text = null) => {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== null) node.textContent = text;
  return node;
};

// Round numbers between two, about `n` of them.
export const ticks = (low, high, n) => {
  if (!(high > low)) return [low];
  const rough = (high - low) / n;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * power).find((size) => size >= rough);
  const found = [];
  for (let at = Math.ceil(low / step); at * step <= high + step * 1e-9; at += 1) found.push(at * step);
  return found;
};

export class Chart {
  #points = [];
  #name = '';
  #at = null;
  #width = 0;

  constructor() {
    this.svg = draw('svg', { role: 'img', tabindex: '0', height: HEIGHT });
    this.readout = make('p', { class: 'readout soft small' });
    this.node = make('figure', { class: 'chart' }, this.svg, this.readout);
    this.svg.addEventListener('pointermove', (event) => this.#point(event.offsetX));
    this.svg.addEventListener('pointerleave', () => this.#read(null));
    this.svg.addEventListener('blur', () => this.#read(null));
    this.svg.addEventListener('keydown', (event) => this.#key(event));
    new ResizeObserver(() => this.#draw(false)).observe(this.node);
  }

  // `points` are [step, value], steps rising.
  show(name, points) {
    const same = name === this.#name && points.length === this.#points.length && String(points.at(-1)) === String(this.#points.at(-1));
    if (same) return;
    this.#at = name === this.#name && this.#at !== null ? Math.min(this.#at, points.length - 1) : null;
    [this.#name, this.#points] = [name, points];
    this.#draw(true);
  }

  #draw(anew) {
    const width = Math.floor(this.node.clientWidth);
    if (!this.#points.length || !width || (!anew && width === this.#width)) return;
    this.#width = width;
    this.svg.setAttribute('width', width);
    this.svg.setAttribute('viewBox', `0 0 ${width} ${HEIGHT}`);
    this.svg.setAttribute('aria-label', words.chartOf(this.#name, this.#points));
    this.#scale(width);
    this.mark = draw('g', { class: 'mark' });
    this.svg.replaceChildren(...this.#axes(width), this.#line(), this.mark);
    this.#read(this.#at);
  }

  #scale(width) {
    const steps = this.#points.map(([step]) => step);
    const values = this.#points.map(([, value]) => value);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const spare = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
    // what begins near nothing begins at nothing
    this.low = low >= 0 && low < (high - low) * 0.4 ? 0 : low - spare;
    this.high = high + spare;
    [this.first, this.last] = [steps[0], Math.max(steps.at(-1), steps[0] + 1)];
    this.x = (step) => LEFT + ((step - this.first) / (this.last - this.first)) * (width - LEFT - RIGHT);
    this.y = (value) => TOP + ((this.high - value) / (this.high - this.low)) * (HEIGHT - TOP - BOTTOM);
  }

  #axes(width) {
    const across = ticks(this.low, this.high, 4).flatMap((value) => [
      draw('line', { class: 'grid', x1: LEFT, x2: width - RIGHT, y1: this.y(value), y2: this.y(value) }),
      draw('text', { class: 'tick', x: LEFT - 8, y: this.y(value) + 4, 'text-anchor': 'end' }, words.number(value)),
    ]);
    const along = ticks(this.first, this.last, Math.max(2, Math.floor(width / 140))).map((step) => (
      draw('text', { class: 'tick', x: this.x(step), y: HEIGHT - 8, 'text-anchor': 'middle' }, words.number(step))));
    return [...across, ...along];
  }

  #line() {
    const path = this.#points.map(([step, value], i) => `${i ? 'L' : 'M'}${this.x(step).toFixed(1)} ${this.y(value).toFixed(1)}`).join('');
    if (this.#points.length > 1) return draw('path', { class: 'line', d: path });
    return draw('circle', { class: 'dot', cx: this.x(this.#points[0][0]), cy: this.y(this.#points[0][1]), r: 3 });
  }

  #point(offset) {
    if (!this.#points.length) return;
    const step = this.first + ((offset - LEFT) / (this.#width - LEFT - RIGHT)) * (this.last - this.first);
    let nearest = 0;
    this.#points.forEach(([at], i) => { if (Math.abs(at - step) < Math.abs(this.#points[nearest][0] - step)) nearest = i; });
    this.#read(nearest);
  }

  #key(event) {
    const moves = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
    if (!(event.key in moves) || !this.#points.length) return;
    event.preventDefault();
    const from = this.#at ?? (moves[event.key] > 0 ? -1 : this.#points.length);
    this.#read(Math.max(0, Math.min(this.#points.length - 1, from + moves[event.key])));
  }

  #read(at) {
    if (!this.#points.length) return;
    this.#at = at;
    if (at === null) {
      this.mark?.replaceChildren();
      this.readout.textContent = words.chartOf(this.#name, this.#points);
      return;
    }
    const [step, value] = this.#points[at];
    this.mark.replaceChildren(
      draw('line', { class: 'cross', x1: this.x(step), x2: this.x(step), y1: TOP, y2: HEIGHT - BOTTOM }),
      draw('circle', { class: 'dot', cx: this.x(step), cy: this.y(value), r: 3.5 }));
    this.readout.textContent = words.readout(step, value);
  }
}
