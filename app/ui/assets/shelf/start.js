// The Models tab: what is here, what would fit, downloads. Begins when the tab is shown for the first time.
import '../common/rooms.js';
import { get } from '../common/api.js';
import { on } from '../common/bus.js';
import { make, place } from '../common/dom.js';
import { words } from '../words/shelf.js';
import { CatalogueRow, LocalRow, upstreamRow } from './rows.js';
import { firstRun } from './first_run.js';
import { Lookup } from './lookup.js';
import { Arriving } from './arriving.js';
import { pulls } from './pulls.js';

const LOADING_MS = 1000;

// A row that would look the same stays, and with it what is being pressed or marked there.
const renew = (list, rows) => {
  const before = new Map([...list.children].map((row) => [row.dataset.model, row]));
  place(list, rows.map((row) => (before.get(row.dataset.model)?.isEqualNode(row) ? before.get(row.dataset.model) : row)));
};

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
  #told = null;
  #states = '';
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

  async refresh() {
    clearTimeout(this.#timer);
    try {
      this.#show(await get('/page/shelf'));
      if (this.#lost) this.#complain(null);
      this.#lost = false;
    } catch (error) {
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
    if (!this.#first.firstChild) firstRun(told).then((panel) => panel && this.#first.replaceChildren(panel));
    if (told.models.some(({ state }) => state === 'loading')) this.#timer = setTimeout(() => this.refresh(), LOADING_MS);
  }

  // A download that begins or ends changes what rows offer; in between only its percentage does.
  #progress(list) {
    this.#arriving.update(list);
    const states = list.map(({ model, live }) => `${model} ${live}`).join();
    if (this.#told && states !== this.#states) this.#rows(this.#told);
    this.#states = states;
    for (const pull of list.filter(({ live }) => live)) {
      const state = this.#toFetch.querySelector(`[data-model="${CSS.escape(pull.model)}"] > .state`);
      if (state) state.textContent = words.pulling(pull);
    }
  }

  // What has the focus keeps it, what was unfolded stays so.
  #rows(told) {
    const focus = document.activeElement?.dataset?.key;
    const open = new Set([...this.#toFetch.querySelectorAll('details[open]')].map((fold) => fold.dataset.fold));
    const act = (work) => this.#act(work);
    const toFetch = told.catalogue.map((entry) => new CatalogueRow(entry, told, act).node);
    for (const fold of toFetch.flatMap((row) => [...row.querySelectorAll('details')])) fold.open = open.has(fold.dataset.fold);
    renew(this.#here, told.models.map((model) => new LocalRow(model, act).node));
    renew(this.#toFetch, toFetch);
    if (focus && document.activeElement?.dataset?.key !== focus) document.querySelector(`.shelf [data-key="${CSS.escape(focus)}"]`)?.focus({ preventScroll: true });
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
