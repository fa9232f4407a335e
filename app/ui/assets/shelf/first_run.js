// The first run: nothing but the demo here, nothing begun. Three models to choose from, with what they take here.
import { get } from '../common/api.js';
import { emit } from '../common/bus.js';
import { button, make, once } from '../common/dom.js';
import { words } from '../words/shelf.js';
import { needs } from './rows.js';
import { pulls } from './pulls.js';

const CHOICES = ['r1:1.5b', 'r1:7b', 'r1:14b'];

// The panel, or null where there is more than the demo already. `shelf` is GET /page/shelf.
export const firstRun = async (shelf) => {
  if (shelf.upstream || shelf.pulls.length || shelf.leftovers.length || shelf.models.some((model) => !model.is_demo)) return null;
  const { conversations } = await get('/page/conversations?limit=1').catch(() => ({ conversations: [] }));
  return conversations.length ? null : panel(shelf);
};

const panel = (shelf) => {
  const entries = CHOICES.map((alias) => shelf.catalogue.find((entry) => entry.alias === alias)).filter(Boolean);
  const facts = [...words.machine(shelf.hardware), ...(shelf.hardware.gpus.length ? shelf.hardware.gpus.map(words.card) : [words.noCard])];
  const cards = entries.map((entry) => new Card(entry, shelf));
  const leave = () => { unfollow(); node.remove(); emit('show-room', { name: 'chat' }); };
  const node = make('section', { class: 'first-run', 'aria-labelledby': 'first-run-title' },
    make('h2', { id: 'first-run-title' }, words.firstTitle),
    make('p', {}, words.firstText),
    make('p', { class: 'soft' }, `${words.firstMachine}: ${facts.join(', ')}`),
    make('div', { class: 'cards' }, ...cards.map((card) => card.node)),
    make('p', { class: 'soft small' }, words.paceRule),
    make('div', { class: 'buttons' }, button(words.firstTry, leave)));
  const unfollow = pulls.follow((list) => cards.forEach((card) => card.update(list)));
  return node;
};

// One of the three: its numbers and a button, then its progress, then the way to chat with it.
class Card {
  #id;
  #button;
  #isReady = false;
  #bar = make('progress', { max: 100, value: 0, hidden: true });
  #said = make('p', { class: 'soft', hidden: true, tabindex: '-1' });

  constructor(entry, { offline, hardware }) {
    const choice = entry.choices[0];
    const why = offline ? words.offlineWhy : choice.disk_short ? words.diskShort(hardware.disk.free) : null;
    this.#id = choice.id;
    this.#bar.setAttribute('aria-label', choice.id);
    this.#button = button(words.fetch, once(() => this.#fetch()), {
      class: 'primary', disabled: Boolean(why), 'data-fetch': choice.id, 'aria-label': words.fetchNamed(choice.id, choice.size_bytes),
    });
    this.node = make('article', { class: 'card' },
      make('h3', {}, words.firstNames[entry.alias]),
      make('p', {}, words.purposes[entry.alias]),
      make('p', {}, `${words.firstDownload}: ${words.bytes(choice.size_bytes)}`),
      needs(choice.needs),
      this.#bar, this.#said, this.#button);
    if (why) this.#tell(why);
  }

  update(list) {
    const pull = list.find(({ model }) => model === this.#id);
    if (!pull || this.#isReady) return;
    this.#bar.hidden = !pull.live || !pull.bytes_total;
    this.#bar.value = words.percent(pull);
    this.#tell(pull.error ?? words.progress(pull), pull.error ? 'alarm' : 'soft');
    if (pull.live && document.activeElement === this.#button) this.#said.focus();
    this.#button.hidden = pull.live;
    if (pull.state === 'done') this.#ready();
    else if (!pull.live) this.#button.textContent = words.goOn;
  }

  async #fetch() {
    try {
      await pulls.begin(this.#id);
    } catch (error) {
      this.#tell(error.message, 'alarm');
    }
  }

  #ready() {
    this.#isReady = true;
    this.#said.hidden = true;
    const chat = button(words.chat, () => { emit('choose-model', { model: this.#id }); emit('show-room', { name: 'chat' }); }, { class: 'primary' });
    this.#button.replaceWith(chat);
    this.#button = chat;
  }

  #tell(text, kind = 'soft') {
    this.#said.hidden = false;
    this.#said.className = kind;
    this.#said.textContent = text;
  }
}
