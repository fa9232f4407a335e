// Keys that work anywhere in the chat. Esc closes what lies above first: a dialog has it for itself.
import { isComposing } from '../common/dom.js';

const isTyping = (target) => Boolean(target.closest?.('input:not([type=radio], [type=range], [type=checkbox]), textarea, select, [contenteditable]'));

// There Ctrl moves about in the text box, and Cmd is what Ctrl is elsewhere.
const isMac = /^(Mac|iP)/.test(navigator.platform);

const chord = (event) => {
  const { key, ctrlKey, metaKey } = event;
  const [isControl, isOther] = isMac ? [metaKey, ctrlKey] : [ctrlKey, metaKey];
  const name = key.length === 1 ? key.toUpperCase() : key;
  return [isControl && 'Ctrl', isOther && 'Meta', event.altKey && 'Alt', event.shiftKey && key.length > 1 | /[A-Za-z]/.test(key) && 'Shift', name]
    .filter(Boolean).join('+');
};

// `keys`: {'Ctrl+.': f, ...}; f returns false where it had nothing to do, and the key stays the browser's.
// `isShown` says whether the chat can be seen at all.
export const bindKeys = (keys, isShown) => {
  document.addEventListener('keydown', (event) => {
    if (event.defaultPrevented || isComposing(event) || event.repeat || !isShown() || document.querySelector('dialog[open]')) return;
    const pressed = chord(event);
    if (pressed.length === 1 && isTyping(event.target)) return;
    const act = keys[pressed];
    if (act && act() !== false) event.preventDefault();
  });
};
