// How the views tell one another things. Names in use:
//   open-conversation {id | null, message}  the chat view shows it (null: a new one), with that message in sight
//   conversation-shown {id | null}          it does so now
//   conversation-changed {id}               its title, branch or state changed; lists look again
//   choose-model {model}                    the chat that is shown asks it from now on
//   show-room {name}                        chat, stars, runs, shelf
//   open-star {id}, begin-run               in their rooms
//   models-changed {arrived | said}, stars-changed, defaults-changed
const target = new EventTarget();

export const emit = (name, detail = {}) => target.dispatchEvent(new CustomEvent(name, { detail }));
export const on = (name, handler) => {
  const listener = ({ detail }) => handler(detail);
  target.addEventListener(name, listener);
  return () => target.removeEventListener(name, listener);
};
