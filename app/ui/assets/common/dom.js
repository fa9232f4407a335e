// Small helpers for building the page. Model text enters as text nodes; `markup` takes only what the server has
// made safe.

// make('button', { class: 'copy', type: 'button', 'aria-label': 'Copy', onclick: f }, 'text', child)
export const make = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  // What is typed may be in a script that runs from right to left.
  if (tag === 'textarea' || tag === 'input') node.dir = 'auto';
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, '');
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
};

export const button = (text, onclick, attributes = {}) => make('button', { type: 'button', onclick, ...attributes }, text);

// `nodes` become the children of `parent`. Moving a node drops its scroll position, the focus and a press within, so only
// what is out of place is moved.
export const place = (parent, nodes) => {
  const staying = new Set(nodes);
  for (const node of [...parent.children]) if (!staying.has(node)) node.remove();
  nodes.forEach((node, index) => {
    if (parent.children[index] !== node) parent.insertBefore(node, parent.children[index] ?? null);
  });
};

// For a press that starts something: further ones are ignored until that is through. aria-disabled and not disabled: a
// disabled button would drop the focus.
export const once = (act) => async ({ currentTarget: pressed }) => {
  if (pressed.hasAttribute('aria-disabled')) return;
  pressed.setAttribute('aria-disabled', true);
  try {
    await act();
  } finally {
    pressed.removeAttribute('aria-disabled');
  }
};

// A press outside of `node` is told, also one on what takes no focus.
export const onPressOutside = (node, act) => document.addEventListener('pointerdown', ({ target }) => {
  if (!node.contains(target)) act();
}, { capture: true });

// An input method is at work: its Enter and its Esc are its own. 229 where isComposing is not told (Safari).
export const isComposing = (event) => event.isComposing || event.keyCode === 229;

// HTML that app/ui/markup.py rendered: raw HTML in it is text already.
export const markup = (node, html) => { node.innerHTML = html; };

const MAY_BE_WIDE = ':is(p, .answer :is(ul, ol)):has(math)';

// To be called when `root` is in the page: what has a formula that is wider scrolls, so the keyboard must reach it.
// `known`: so many of its children were looked at before.
export const reachWide = (root, known = 0) => {
  const blocks = [...root.children].slice(known).flatMap((child) => [child, ...child.querySelectorAll(MAY_BE_WIDE)]);
  for (const block of blocks) if (block.matches(MAY_BE_WIDE) && block.scrollWidth > block.clientWidth) block.tabIndex = 0;
};

// Where dialogs and panels go: Gradio gives our styles their full weight only in there.
export const overlay = () => document.querySelector('.gradio-container .contain');

// A native <dialog> over the page; Esc closes it, and the focus goes back to where it was.
export const openDialog = (title, ...children) => {
  const before = document.activeElement;
  const heading = make('h2', { id: `dialog-${Date.now()}` }, title);
  const dialog = make('dialog', { class: 'dialog', 'aria-labelledby': heading.id }, heading, ...children);
  dialog.addEventListener('close', () => { dialog.remove(); before?.focus?.({ preventScroll: true }); });
  overlay().append(dialog);
  dialog.showModal();
  return dialog;
};
