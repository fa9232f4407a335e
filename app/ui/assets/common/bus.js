// How the views tell one another things. Names in use:
//   open-conversation {id | null}   the chat view shows it (null: a new one)
//   conversation-changed {id}       its title, branch or state changed; lists look again
//   show-room {name}                chat, stars, runs, shelf
//   models-changed, stars-changed, defaults-changed
const target = new EventTarget();

export const emit = (name, detail = {}) => target.dispatchEvent(new CustomEvent(name, { detail }));
export const on = (name, handler) => {
  const listener = ({ detail }) => handler(detail);
  target.addEventListener(name, listener);
  return () => target.removeEventListener(name, listener);
};
