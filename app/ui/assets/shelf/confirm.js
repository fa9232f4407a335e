// Asks before something is deleted; the dialog opens on the choice that keeps it.
import { button, make, openDialog } from '../common/dom.js';
import { words } from '../words/shelf.js';

export const confirm = (title, text, doIt, work) => {
  const keep = button(words.cancel, () => dialog.close());
  const go = button(doIt, () => { dialog.close(); work(); }, { class: 'danger' });
  const dialog = openDialog(title, make('p', {}, text), make('div', { class: 'confirm' }, keep, go));
  keep.focus();
};
