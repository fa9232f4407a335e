// Any model of the hub by its name or address: its choices and their sizes first, then one of them is fetched.
import { get, post } from '../common/api.js';
import { on } from '../common/bus.js';
import { make } from '../common/dom.js';
import { words } from '../words/shelf.js';
import { pulls, statesOf } from './pulls.js';
import { choiceRow, renew } from './rows.js';

export class Lookup {
  #input = make('input', { type: 'text', id: 'shelf-lookup', placeholder: words.lookUpPlaceholder, autocomplete: 'off', spellcheck: 'false' });
  #button = make('button', { type: 'submit' }, words.lookUp);
  #said = make('p', { role: 'status' });
  #list = make('ul', { class: 'rows' });
  #act;
  #asked = null;
  #turn = 0; // looks that are begun: what an older one finds is not shown any more
  #found = null; // what is shown
  #running = '';

  constructor(act) {
    this.#act = act;
    const form = make('form', { class: 'lookup', onsubmit: (event) => { event.preventDefault(); this.#submit(); } },
      make('label', { for: 'shelf-lookup', class: 'unseen' }, words.lookUpLabel), this.#input, this.#button);
    this.node = make('section', {}, make('h2', {}, words.lookUpTitle), make('p', { class: 'soft' }, words.lookUpHint), form, this.#said, this.#list);
    // What arrives, or goes, changes what the choices say of themselves.
    on('models-changed', () => this.#asked && this.#look(this.#asked));
    pulls.follow((list) => this.#progress(list));
  }

  disabled(offline) {
    this.#input.disabled = offline;
    this.#button.disabled = offline;
    if (offline) this.#said.textContent = words.offlineShort;
  }

  #submit() {
    const model = this.#input.value;
    if (!model.trim()) return;
    this.#tell(words.lookingUp);
    this.#look(model);
  }

  async #look(model) {
    const turn = ++this.#turn;
    this.#asked = model;
    try {
      const [told, { hardware, offline }] = await Promise.all([post('/page/shelf/lookup', { model }), get('/page/shelf')]);
      if (turn === this.#turn) this.#show(told, { offline, disk: hardware.disk.free });
    } catch (error) {
      if (turn !== this.#turn) return;
      this.#asked = this.#found = null;
      this.#list.replaceChildren();
      this.#tell(error.message, 'alarm');
    }
  }

  #show({ repo, choices, suggested }, machine) {
    this.#found = { choices, suggested, machine };
    this.#tell(choices.length ? words.found(repo, choices.length) : words.nothingFound(repo));
    this.#rows();
  }

  #rows() {
    const { choices, suggested, machine } = this.#found;
    const act = async (work) => { await this.#act(work); if (this.#asked) await this.#look(this.#asked); };
    renew(this.#list, choices.map((choice) => choiceRow(choice, machine, act, choice.id === suggested && choices.length > 1)));
  }

  // A download that begins or ends changes what its row offers.
  #progress(list) {
    const running = statesOf(list);
    if (this.#found && running !== this.#running) this.#rows();
    this.#running = running;
  }

  #tell(text, kind = 'soft') {
    this.#said.className = kind;
    this.#said.textContent = text;
  }
}
