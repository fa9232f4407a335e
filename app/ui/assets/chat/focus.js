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
