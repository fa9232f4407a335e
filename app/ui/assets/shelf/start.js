// The Models tab: what is here, what would fit, downloads. Begins when the tab is shown for the first time.
import '../common/rooms.js';
import { get } from '../common/api.js';
import { on } from '../common/bus.js';
import { make } from '../common/dom.js';
import { words } from '../words/shelf.js';
import { CatalogueRow, LocalRow, renew, upstreamRow } from './rows.js';
import { firstRun } from './first_run.js';
import { Lookup } from './lookup.js';
import { Arriving } from './arriving.js';
import { pulls, statesOf } from './pulls.js';

const LOADING_MS = 1000;

class ShelfView {
  #machine = make('p', { class: 'machine' });
  #note = make('p', { class: 'alarm', hidden: true });
  #said = make('p', { class: 'unseen', role: 'status' });
  #first = make('div');
  #here = make('ul', { class: 'rows', 'aria-label': words.here });
  #toFetch = make('ul', { class: 'rows', 'aria-label': words.toFetch });
  #there = make('ul', { class: 'rows' });
  #body = make('div', { hidden: true });
  #arriving;
  #lookup;
  #timer = null;
  #turn = 0;
  #offering = null;
  #told = null;
  #running = '';
  // What is complained of is that nothing could be read: it passes when something can.
  #lost = false;

  constructor(root) {
    const act = (work) => this.#act(work);
    this.#arriving = new Arriving(act);
    this.#lookup = new Lookup(act);
    this.#body.append(
      this.#first,
      make('section', {}, make('h2', {}, words.here), this.#here),
      this.#arriving.node,
      make('section', {}, make('h2', {}, words.toFetch), make('p', { class: 'soft' }, words.toFetchWhy), this.#toFetch,
        make('p', { class: 'soft small' }, words.paceRule)),
      this.#lookup.node,
    );
    this.#machine.append(words.loadingPage);
    root.append(make('div', { class: 'shelf' }, this.#machine, this.#note, this.#said, this.#there, this.#body));
    pulls.follow((list) => this.#progress(list));
    on('models-changed', ({ arrived, said }) => {
      this.#said.textContent = arrived ? words.arrived(arrived) : said ?? '';
      this.refresh();
    });
    // Shown again after another tab: memory and models may have changed meanwhile.
    new IntersectionObserver(([entry]) => { if (entry.isIntersecting) this.refresh(); }).observe(root);
  }

  // Of several looks the last one that was begun counts.
  async refresh() {
    clearTimeout(this.#timer);
    const turn = ++this.#turn;
    try {
      const told = await get('/page/shelf');
      if (turn !== this.#turn) return;
      this.#show(told);
      if (this.#lost) this.#complain(null);
      this.#lost = false;
    } catch (error) {
      if (turn !== this.#turn) return;
      this.#lost = true;
      this.#complain(error.message);
    }
  }

  #show(told) {
    this.#body.hidden = told.upstream;
    if (told.upstream) {
      this.#machine.replaceChildren(words.upstream(told.where));
      this.#there.replaceChildren(...told.models.map(upstreamRow));
      return;
    }
    const { cores, gpus } = told.hardware;
    const facts = [...words.machine({ ...told.hardware, cores }), ...(gpus.length ? gpus.map(words.card) : [words.noCard])];
    this.#machine.replaceChildren(...facts.map((fact) => make('span', {}, fact)));
    if (told.offline) this.#machine.append(make('span', { class: 'offline' }, words.offlineShort));
    this.#told = told;
    this.#rows(told);
    this.#arriving.leftovers(told.leftovers);
    this.#lookup.disabled(told.offline);
    pulls.take(told.pulls);
    // Once shown it stays, to tell how the download goes.
    if (!this.#first.firstChild) this.#offering ??= this.#offerFirst(told);
    if (told.models.some(({ state }) => state === 'loading')) this.#timer = setTimeout(() => this.refresh(), LOADING_MS);
  }

  async #offerFirst(told) {
    const panel = await firstRun(told);
    if (panel) this.#first.replaceChildren(panel);
    this.#offering = null;
  }

  // A download that begins or ends changes what rows offer; in between only its percentage does.
  #progress(list) {
    this.#arriving.update(list);
    const running = statesOf(list);
    if (this.#told && running !== this.#running) this.#rows(this.#told);
    this.#running = running;
    for (const pull of list.filter(({ live }) => live)) {
      const states = this.#body.querySelectorAll(`.row:not([data-state])[data-model="${CSS.escape(pull.model)}"] > .state`);
      for (const state of states) state.textContent = words.pulling(pull);
    }
  }

  // What was unfolded stays so.
  #rows(told) {
    const open = new Set([...this.#toFetch.querySelectorAll('details[open]')].map((fold) => fold.dataset.fold));
    const act = (work) => this.#act(work);
    const toFetch = told.catalogue.map((entry) => new CatalogueRow(entry, told, act).node);
    for (const fold of toFetch.flatMap((row) => [...row.querySelectorAll('details')])) fold.open = open.has(fold.dataset.fold);
    renew(this.#here, told.models.map((model) => new LocalRow(model, act).node));
    renew(this.#toFetch, toFetch);
  }

  // Does what a button asks for and tells where that fails.
  async #act(work) {
    try {
      this.#complain(null);
      await work();
    } catch (error) {
      this.#complain(error.message);
    }
    await this.refresh();
  }

  #complain(message) {
    this.#note.hidden = message === null;
    this.#note.textContent = message ?? '';
  }
}

export const start = (root) => { new ShelfView(root); };
