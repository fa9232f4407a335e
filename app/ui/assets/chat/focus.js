// Focus is never lost: what is about to go hands it on.

// On touch screens focus in the box would call the keyboard up unasked.
export const focusBox = () => {
  if (matchMedia('(pointer: fine)').matches) document.querySelector('#question')?.focus({ preventScroll: true });
};

// To be called before `node` is removed, hidden or disabled; `heir` takes the focus instead of the box.
export const rescueFocus = (node, heir = null) => {
  if (!node.contains(document.activeElement)) return;
  if (heir) heir.focus({ preventScroll: true });
  else focusBox();
};

// For a change of `root` that may take the focused part away: to be called before it, and what it gives after it.
// Arrows between versions hand the focus to those of the version they lead to, so that one can go on.
export const holdFocus = (root) => {
  const held = document.activeElement;
  if (!root.contains(held)) return () => {};
  const turn = [...root.children].findIndex((each) => each.contains(held));
  const place = held.closest('.branches') && (held.closest('.asked') ? '.asked' : '.actions');
  return () => {
    if (document.activeElement !== document.body) return;
    const arrows = place ? [...root.children[turn]?.querySelectorAll(`${place} .branches button:enabled`) ?? []] : [];
    const heir = held.isConnected ? held : arrows.find(({ title }) => title === held.title) ?? arrows[0];
    heir?.focus({ preventScroll: true });
    if (document.activeElement !== heir) focusBox();
  };
};
