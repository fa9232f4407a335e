// Arrows between the versions of a question or a reply.
import { button, make } from '../common/dom.js';
import { words } from '../words/chat.js';

// Null where there is one version only. `choose` gets the id of the version to show, and gives whether it is to be had.
export const branches = (message, what, choose) => {
  const all = message.siblings ?? [];
  const at = all.indexOf(message.id);
  if (all.length < 2 || at < 0) return null;
  let aim = at; // where the presses lead to: one may come before the version of the last one is there
  const go = async (by) => {
    if (!all[aim + by]) return;
    aim += by;
    if (!await choose(all[aim])) aim = at;
  };
  const step = (sign, name, by) => button(sign, () => go(by),
    { class: 'quiet', 'aria-label': name, title: name, disabled: !all[at + by] });
  return make('span', { class: 'branches', role: 'group', 'aria-label': words.branches.label(words.branches[what]) },
    step('‹', words.branches.before, -1),
    make('span', { class: 'at' }, words.branches.at(at + 1, all.length)),
    step('›', words.branches.after, 1));
};
