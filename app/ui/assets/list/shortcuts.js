// The sheet of keys. chat/start.js and list.js bind them.
import { button, make, openDialog } from '../common/dom.js';
import { words } from '../words/list.js';

// [[group, [[keys], what]]]
export const KEYS = words.shortcuts.groups;

const line = ([keys, what]) => make('div', {},
  make('dt', {}, ...keys.flatMap((key, at) => (at ? ['+', make('kbd', {}, key)] : [make('kbd', {}, key)]))), make('dd', {}, what));

export const openShortcuts = () => {
  const { title, mac } = words.shortcuts;
  const dialog = openDialog(title,
    ...KEYS.map(([name, keys]) => make('section', { class: 'keys' }, make('h3', {}, name), make('dl', {}, ...keys.map(line)))),
    make('p', { class: 'soft' }, mac),
    make('div', { class: 'ends' }, button(words.shortcuts.close, () => dialog.close())));
  return dialog;
};
