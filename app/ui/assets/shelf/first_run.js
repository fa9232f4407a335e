// The first run: nothing but the demo here, nothing begun. Three models to choose from, with what they take here.
import { get } from '../shared/api.js';
import { emit } from '../shared/bus.js';
import { button, make } from '../shared/dom.js';
import { words } from '../words/shelf.js';
import { needs } from './rows.js';
import { pulls } from './pulls.js';

const CHOICES = ['r1:1.5b', 'r1:7b', 'r1:14b'];

// The panel, or null where there is more than the demo already. `told` is GET /page/shelf, asked for if not given.
export const firstRun = async (told = null) => {
  const shelf = told ?? await get('/page/shelf');
  if (shelf.upstream || shelf.pulls.length || shelf.leftovers.length || shelf.models.some((model) => !model.is_demo)) return null;
  const { conversations } = await get('/page/conversations?limit=1').catch(() => ({ conversations: [] }));
  return conversations.length ? null : panel(shelf);
};

const panel = (shelf) => {
  const said = make('p', { class: 'soft', role: 'status' });
  const entries = CHOICES.map((alias) => shelf.catalogue.find((entry) => entry.alias === alias)).filter(Boolean);
  const node = make('section', { class: 'first-run', 'aria-labelledby': 'first-run-title' },
    make('h2', { id: 'first-run-title' }, words.firstTitle),
    make('p', {}, words.firstText),
    make('p', { class: 'soft' }, words.firstMachine, ': ', [...words.machine(shelf.hardware),
      ...(shelf.hardware.gpus.length ? shelf.hardware.gpus.map(words.card) : [words.noCard])].join(', ')),
    make('div', { class: 'cards' }, ...entries.map((entry) => card(entry, shelf, said))),
    make('p', { class: 'soft small' }, words.paceRule),
    make('div', { class: 'buttons' }, button(words.firstTry, () => {
      node.remove();
      emit('show-room', { name: 'chat' });
    }, { class: 'quiet' })),
    said);
  return node;
};

const card = (entry, { offline, hardware }, said) => {
  const choice = entry.choices[0];
  const why = offline ? words.offlineWhy : choice.disk_short ? words.diskShort(hardware.disk.free) : null;
  const fetch = button(words.fetch, async () => {
    fetch.disabled = true;
    try {
      await pulls.begin(choice.id);
      said.className = 'soft';
      said.textContent = words.firstStarted(choice.id);
    } catch (error) {
      fetch.disabled = false;
      said.className = 'alarm';
      said.textContent = error.message;
    }
  }, { class: 'primary', disabled: Boolean(why), 'data-fetch': choice.id, 'aria-label': words.fetchNamed(choice.id, choice.size_bytes) });
  return make('article', { class: 'card' },
    make('h3', {}, words.firstNames[entry.alias]),
    make('p', {}, words.purposes[entry.alias]),
    make('p', {}, `${words.firstDownload}: ${words.bytes(choice.size_bytes)}`),
    needs(choice.needs),
    why ? make('p', { class: 'soft' }, why) : null,
    fetch);
};
