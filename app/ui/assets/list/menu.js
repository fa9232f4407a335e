// A small panel of buttons by the one that opened it. Esc and a click elsewhere close it; arrows go through it.
import { make, overlay } from '../common/dom.js';

const GAP = 4;

const place = (panel, anchor) => {
  const { left, right, bottom, top } = anchor.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = panel;
  const isLow = bottom + GAP + height > innerHeight;
  panel.style.left = `${Math.max(GAP, Math.min(left, innerWidth - width - GAP, Math.max(right - width, left)))}px`;
  panel.style.top = `${isLow ? Math.max(GAP, top - height - GAP) : bottom + GAP}px`;
};

const step = (panel, by) => {
  const items = [...panel.querySelectorAll('button, a, input')];
  const at = items.indexOf(document.activeElement);
  items[(at + by + items.length) % items.length]?.focus();
};

const onKey = (event, panel, close) => {
  if (event.key === 'ArrowDown') step(panel, 1);
  else if (event.key === 'ArrowUp') step(panel, -1);
  else if (event.key === 'Escape') close();
  else return;
  // Esc would stop the reply next.
  event.preventDefault();
  event.stopPropagation();
};

// `items(close)` gives the nodes in it.
export const openMenu = (anchor, label, items) => {
  const panel = make('div', { class: 'view popmenu', popover: 'auto', role: 'group', 'aria-label': label, tabindex: '-1' });
  const close = () => { panel.hidePopover(); anchor.focus?.({ preventScroll: true }); };
  panel.append(...items(close));
  panel.addEventListener('keydown', (event) => onKey(event, panel, close));
  panel.addEventListener('toggle', ({ newState }) => {
    if (newState === 'open') return;
    anchor.setAttribute?.('aria-expanded', false);
    panel.remove();
  });
  overlay().append(panel);
  panel.showPopover();
  place(panel, anchor);
  anchor.setAttribute?.('aria-expanded', true);
  panel.querySelector('button, a, input').focus();
  return panel;
};
