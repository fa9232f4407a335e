// What stands above the steps: where the answer was first reached, and where the thought leaves its language.
import { patch } from '../common/api.js';
import { emit } from '../common/bus.js';
import { button, make } from '../common/dom.js';
import { words } from '../words/trace.js';

// Lines for `thought`; show(character) brings the reader there.
export const notes = (thought, message, show) =>
  [reached(thought, message, show), mixed(thought, show)].filter(Boolean);

const reached = ({ first_answer: first, suggestion }, message, show) => {
  if (!first) return null;
  const line = make('p', { class: 'finding' }, make('span', {}, words.reached(first.share)));
  if (suggestion) line.firstChild.append(`; ${words.suggests(suggestion.budget)}`);
  line.append(button(words.show, () => show(first.char), { class: 'quiet' }));
  if (suggestion && message.conversation) line.append(budgetButton(message.conversation, suggestion.budget));
  return line;
};

const budgetButton = (id, budget) => {
  const set = async () => {
    try {
      await patch(`/page/conversations/${id}`, { settings: { thinking: 'budget', budget } });
      said.replaceChildren(make('span', { class: 'soft' }, words.budgetSet(budget)));
      emit('conversation-changed', { id });
    } catch (error) {
      said.replaceChildren(make('span', { class: 'alarm' }, error.message));
    }
  };
  const said = make('span', { role: 'status' });
  return make('span', {}, button(words.setBudget(budget), set, { class: 'set-budget' }), said);
};

const mixed = ({ languages }, show) => {
  if (!languages) return null;
  const names = [...new Set(languages.places.map((place) => place.language))].join(', ');
  let next = 0;
  const showNext = () => show(languages.places[next++ % languages.places.length].start);
  return make('p', { class: 'finding mixed' }, make('span', {}, words.mixed(names, languages.main, languages.share, languages.n)),
    button(words.showNext, showNext, { class: 'quiet' }));
};
