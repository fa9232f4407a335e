// One or more numbers over steps as a small SVG chart: no library, in the colours of the page. Read by pointer or arrow
// keys.
import { make } from '../common/dom.js';
import { words } from '../words/runs.js';

const SVG = 'http://www.w3.org/2000/svg';
const [LEFT, RIGHT, TOP, BOTTOM] = [56, 12, 12, 28];

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

// The mean of a twentieth of all around each point; the points themselves where there are few.
const smoothed = (points) => {
  if (points.length < 60) return points;
  const half = Math.floor(points.length / 40);
  return points.map(([step], i) => {
    const near = points.slice(Math.max(0, i - half), i + half + 1);
    return [step, near.reduce((sum, [, value]) => sum + value, 0) / near.length];
  });
};

const nearest = (points, step) => points.reduce((best, point) => (Math.abs(point[0] - step) < Math.abs(best[0] - step) ? point : best), points[0]);

export class Chart {
  #lines = [];
  #steps = [];
  #name = '';
  #drawn = '';
  #at = null;
  #width = 0;

  // `share`: values are 0..1 and read as percent.
  constructor({ height = 240, share = false } = {}) {
    this.height = height;
    this.say = share ? words.share : words.number;
    this.svg = draw('svg', { role: 'img', tabindex: '0', height });
    this.readout = make('p', { class: 'readout soft small' });
    this.node = make('figure', { class: 'chart' }, this.svg, this.readout);
    // A chart that slides under or away from a pointer at rest is not being read by it.
    this.svg.addEventListener('pointermove', (event) => { if (event.movementX || event.movementY) this.#point(event.offsetX); });
    this.svg.addEventListener('pointerleave', () => { if (!this.svg.matches(':focus-visible')) this.#read(null); });
    this.svg.addEventListener('blur', () => this.#read(null));
    this.svg.addEventListener('keydown', (event) => this.#key(event));
    new ResizeObserver(() => this.#draw(false)).observe(this.node);
  }

  // `lines` are { label, points, kind }: points [step, value] with steps rising, kind main, second or pale.
  show(name, lines) {
    const drawn = JSON.stringify([name, lines.map(({ label, points }) => [label, points.length, points.at(-1)])]);
    if (drawn === this.#drawn) return;
    const steps = [...new Set(lines.flatMap(({ points }) => points.map(([step]) => step)))].sort((a, b) => a - b);
    this.#at = name === this.#name && this.#at !== null ? Math.min(this.#at, steps.length - 1) : null;
    [this.#drawn, this.#name, this.#lines, this.#steps] = [drawn, name, lines, steps];
    this.#draw(true);
  }

  #draw(anew) {
    const width = Math.floor(this.node.clientWidth);
    if (!this.#steps.length || !width || (!anew && width === this.#width)) return;
    this.#width = width;
    this.svg.setAttribute('width', width);
    this.svg.setAttribute('viewBox', `0 0 ${width} ${this.height}`);
    this.svg.setAttribute('aria-label', this.#told());
    this.#scale(width);
    this.mark = draw('g', { class: 'mark' });
    this.svg.replaceChildren(...this.#axes(width), ...this.#lines.flatMap((line) => this.#line(line)), this.mark);
    this.#read(this.#at);
  }

  #scale(width) {
    const values = this.#lines.flatMap(({ points }) => points.map(([, value]) => value));
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const spare = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
    // what begins near nothing begins at nothing
    this.low = low >= 0 && low <= (high - low) * 0.4 ? 0 : low - spare;
    this.high = high + spare;
    [this.first, this.last] = [this.#steps[0], Math.max(this.#steps.at(-1), this.#steps[0] + 1)];
    this.x = (step) => LEFT + ((step - this.first) / (this.last - this.first)) * (width - LEFT - RIGHT);
    this.y = (value) => TOP + ((this.high - value) / (this.high - this.low)) * (this.height - TOP - BOTTOM);
  }

  #axes(width) {
    const across = ticks(this.low, this.high, 4).flatMap((value) => [
      draw('line', { class: 'grid', x1: LEFT, x2: width - RIGHT, y1: this.y(value), y2: this.y(value) }),
      draw('text', { class: 'tick', x: LEFT - 8, y: this.y(value) + 4, 'text-anchor': 'end' }, this.say(value)),
    ]);
    const along = ticks(this.first, this.last, Math.max(2, Math.floor(width / 90))).map((step) => (
      draw('text', { class: 'tick', x: this.x(step), y: this.height - 8, 'text-anchor': 'middle' }, words.number(step))));
    return [...across, ...along];
  }

  // A pale line is noise with its mean over it.
  #line({ points, kind = 'main' }) {
    if (points.length === 1) return [draw('circle', { class: `dot ${kind}`, cx: this.x(points[0][0]), cy: this.y(points[0][1]), r: 3 })];
    const path = (drawn, name) => draw('path', { class: name, d: drawn.map(([step, value], i) => `${i ? 'L' : 'M'}${this.x(step).toFixed(1)} ${this.y(value).toFixed(1)}`).join('') });
    if (this.#lines.length === 1) return [path(points, 'line')];
    const mean = smoothed(points);
    return [...(mean === points ? [] : [path(points, `line noise ${kind}`)]), path(mean, `line ${kind}`)];
  }

  #told() {
    if (this.#lines.length === 1) return words.chartOf(this.#name, this.#lines[0].points);
    return `${this.#name}: ${this.#lines.map(({ label, points }) => words.fromTo(label, this.say(points[0][1]), this.say(points.at(-1)[1]))).join(', ')}`;
  }

  #point(offset) {
    if (!this.#steps.length) return;
    const step = this.first + ((offset - LEFT) / (this.#width - LEFT - RIGHT)) * (this.last - this.first);
    let at = 0;
    this.#steps.forEach((each, i) => { if (Math.abs(each - step) < Math.abs(this.#steps[at] - step)) at = i; });
    this.#read(at);
  }

  #key(event) {
    const moves = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
    if (!(event.key in moves) || !this.#steps.length) return;
    event.preventDefault();
    const from = this.#at ?? (moves[event.key] > 0 ? -1 : this.#steps.length);
    this.#read(Math.max(0, Math.min(this.#steps.length - 1, from + moves[event.key])));
  }

  #read(at) {
    if (!this.#steps.length) return;
    this.#at = at;
    if (at === null) {
      this.mark?.replaceChildren();
      this.readout.textContent = this.#lines.length === 1 ? this.#told() : '';
      return;
    }
    const step = this.#steps[at];
    const read = this.#lines.map(({ label, points, kind = 'main' }) => ({ label, kind, point: nearest(points, step) }));
    this.mark.replaceChildren(
      draw('line', { class: 'cross', x1: this.x(step), x2: this.x(step), y1: TOP, y2: this.height - BOTTOM }),
      ...read.map(({ kind, point: [x, y] }) => draw('circle', { class: `dot ${kind}`, cx: this.x(x), cy: this.y(y), r: 3.5 })));
    this.readout.textContent = read.length === 1 ? words.readout(step, read[0].point[1])
      : words.readouts(step, read.map(({ label, point }) => `${label} ${this.say(point[1])}`));
  }
}
