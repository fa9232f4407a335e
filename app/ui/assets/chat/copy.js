// Text to the clipboard, exactly as it is, and the button that says so.
import { button } from '../common/dom.js';
import { words } from '../words/chat.js';

const SHOWN_MS = 1500;

// Without TLS on another machine's address there is no navigator.clipboard.
const copyByHand = (text) => {
  let isDone = false;
  const fill = (event) => {
    event.clipboardData.setData('text/plain', text);
    event.preventDefault();
    isDone = true;
  };
  document.addEventListener('copy', fill, { once: true });
  document.execCommand('copy');
  document.removeEventListener('copy', fill);
  if (!isDone) throw new Error(words.answer.notCopied);
};

export const copy = async (text) => {
  if (navigator.clipboard) await navigator.clipboard.writeText(text);
  else copyByHand(text);
};

// `read` gives the text, or a promise of it.
export const copyButton = (label, name, read) => {
  const node = button(label, async () => {
    try {
      await copy(await read());
      node.textContent = words.answer.copied;
    } catch (error) {
      node.textContent = error.code ? error.message : words.answer.notCopied;
    }
    setTimeout(() => { node.textContent = label; }, SHOWN_MS);
  }, { class: `quiet ${name}` });
  return node;
};
