// One row per model: name and purpose, size, what it takes of this machine, its state, and what can be done with it.
import { post } from '../common/api.js';
import { emit } from '../common/bus.js';
import { button, make, place } from '../common/dom.js';
import { words } from '../words/shelf.js';
import { confirm } from './confirm.js';
import { pulls } from './pulls.js';

// Below that a file says nothing about speed: it is not memory that such a model waits for.
const SPEAKS_OF_SPEED = 1e8;

export const keyed = (key, text, onclick, attributes = {}) => button(text, onclick, { 'data-key': key, ...attributes });

// A row that would look the same stays, and with it what is being pressed or marked there. What has the focus keeps it.
export const renew = (list, rows) => {
  const focus = list.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  const before = new Map([...list.children].map((row) => [row.dataset.model, row]));
  place(list, rows.map((row) => (before.get(row.dataset.model)?.isEqualNode(row) ? before.get(row.dataset.model) : row)));
  if (focus && document.activeElement?.dataset?.key !== focus) list.querySelector(`[data-key="${CSS.escape(focus)}"]`)?.focus({ preventScroll: true });
};

// "● fits: needs about 6.8 GB with 32k of context" and "about 3 to 6 tok/s"
export const needs = (told) => {
  const mark = make('span', { class: 'mark', 'aria-hidden': 'true' }, words.marks[told.verdict]);
  const lines = make('div', { class: 'needs', 'data-verdict': told.verdict }, make('p', { title: words.split(told) }, mark, words.verdict(told)));
  if (told.weights > SPEAKS_OF_SPEED && told.verdict !== 'never') lines.append(make('p', { class: 'soft' }, words.speed(told.tokens_per_s)));
  return lines;
};

// A quantisation that could be fetched: its size, needs, state and button. `offline`: nothing can.
export const choiceCells = (choice, { offline, disk }, act) => {
  const pull = pulls.of(choice.id);
  const why = offline ? words.offlineWhy : choice.disk_short ? words.diskShort(disk) : null;
  const state = choice.here ? words.isHere : pull?.live ? words.pulling(pull) : why ?? words.notHere;
  const fetch = keyed(`fetch ${choice.id}`, words.fetch, () => act(() => pulls.begin(choice.id)), {
    disabled: Boolean(why), 'aria-label': words.fetchNamed(choice.id, choice.size_bytes),
  });
  return [
    make('p', { class: 'size' }, words.bytes(choice.size_bytes)),
    needs(choice.needs),
    make('p', { class: 'state soft' }, state),
    make('div', { class: 'buttons' }, choice.here || pull?.live ? null : fetch),
  ];
};

const chatWith = (id) => keyed(`chat ${id}`, words.chat, () => {
  emit('choose-model', { model: id });
  emit('show-room', { name: 'chat' });
}, { 'aria-label': words.onModel(words.chat, id) });

// A model of the server behind this one: it can be chosen, and that is all.
export const upstreamRow = ({ id }) => make('li', { class: 'row there', 'data-model': id },
  make('h3', {}, make('span', { class: 'name' }, id)), make('div', { class: 'buttons' }, chatWith(id)));

export class LocalRow {
  #model;
  #act;

  constructor(model, act) {
    this.#model = model;
    this.#act = act;
    this.node = make('li', { class: 'row', 'data-model': model.id, 'data-state': model.state },
      make('div', { class: 'about' }, this.#title(), make('p', { class: 'soft' }, this.#purpose())),
      make('p', { class: 'size' }, model.size_bytes ? words.bytes(model.size_bytes) : ''),
      model.needs && model.state !== 'loaded' ? needs(model.needs) : make('div'),
      make('p', { class: model.state === 'failed' ? 'state alarm' : 'state' }, this.#state()),
      make('div', { class: 'buttons' }, ...this.#buttons()),
    );
  }

  #title() {
    const { id, is_demo: demo, is_default: byDefault, quant } = this.#model;
    return make('h3', {}, make('span', { class: 'name' }, id),
      demo ? make('span', { class: 'tag' }, words.demoMark) : null,
      byDefault && !demo ? make('span', { class: 'tag' }, words.defaultMark) : null,
      quant && !demo ? make('span', { class: 'tag' }, quant) : null);
  }

  #purpose() {
    const { is_demo: demo, alias, source } = this.#model;
    if (demo) return words.demoPurpose;
    return words.purposes[alias] ?? (source === 'student' ? words.studentPurpose : '');
  }

  #state() {
    const { state, error, memory_bytes: taken, n_ctx: n } = this.#model;
    if (state === 'failed') return error ?? words.states.failed;
    return state === 'loaded' && taken ? words.loadedWith(taken, n) : words.states[state];
  }

  #buttons() {
    const { id, state, removable } = this.#model;
    const named = (key, text, work) => keyed(`${key} ${id}`, text, work, { 'aria-label': words.onModel(text, id) });
    const send = (path) => () => this.#act(async () => {
      const done = post(path, { model: id });
      emit('models-changed');
      await done;
      emit('models-changed');
    });
    return [
      chatWith(id),
      state === 'loaded' ? named('unload', words.unload, send('/page/shelf/unload')) : null,
      state === 'unloaded' || state === 'failed' ? named('load', words.load, send('/page/shelf/load')) : null,
      removable ? named('remove', words.remove, () => this.#remove()) : null,
    ];
  }

  #remove() {
    const { id, size_bytes: size, source } = this.#model;
    const text = source === 'hub' ? words.removeText(size) : words.removeStudent(size);
    confirm(words.removeTitle(id), text, words.removeNow(size), () => this.#act(async () => {
      const { freed } = await post('/page/shelf/remove', { model: id });
      emit('models-changed', { said: words.freed(id, freed) });
    }));
  }
}

// A model of the catalogue: its usual quantisation in the row, the others below it.
export class CatalogueRow {
  constructor(entry, { offline, hardware }, act) {
    const [usual, ...others] = entry.choices;
    const machine = { offline, disk: hardware.disk.free };
    this.node = make('li', { class: offline && !usual.here ? 'row away' : 'row', 'data-model': usual.id },
      make('div', { class: 'about' },
        make('h3', {}, make('span', { class: 'name' }, entry.alias), make('span', { class: 'soft' }, words.parameters(entry.parameters))),
        make('p', {}, words.purposes[entry.alias] ?? ''),
        make('p', { class: 'soft small', title: `${entry.scores_from}. ${entry.licence}` }, words.scores(entry.scores))),
      ...choiceCells(usual, machine, act),
      make('details', { class: 'others', 'data-fold': entry.alias },
        make('summary', {}, words.otherSizes(others.length)),
        make('ul', {}, ...others.map((choice) => choiceRow(choice, machine, act)))),
    );
  }
}

export const choiceRow = (choice, machine, act, suggested = false) => make('li', { class: 'row choice', 'data-model': choice.id },
  make('div', { class: 'about' }, make('span', { class: 'name' }, choice.quant), suggested ? make('span', { class: 'tag' }, words.suggested) : null),
  ...choiceCells(choice, machine, act));
