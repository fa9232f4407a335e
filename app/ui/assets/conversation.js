// Draws the conversation. Model text enters as text nodes; `html` is markup the server has made safe.
const find = (selector) => element.querySelector(selector);
const turns = find('.turns');
const status = find('.status');
// A small model thinks a page in a blink; what arrives together appears line by line, so that the eye can follow.
const LATER = (line) => `${Math.min(line, 16) * 60}ms`;
const SILENCE_MS = 3000;
let current = null;
let keepOpen = true;

const make = (tag, className, parent, text) => {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text) node.textContent = text;
  parent.append(node);
  return node;
};

// Keeps a scrolled box at its end unless the reader has moved away from it.
const following = (box, change) => {
  const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 48;
  change();
  if (atEnd) box.scrollTop = box.scrollHeight;
};

// The button that has the focus goes away. On touch screens focus would call the keyboard up unasked.
const rescueFocus = (button) => {
  const { activeElement, body } = document;
  if ((activeElement === body || activeElement.closest(button)) && matchMedia('(pointer: fine)').matches) {
    document.querySelector('#question textarea')?.focus({ preventScroll: true });
  }
};

class TurnView {
  constructor(turn) {
    this.id = turn.id;
    this.shown = { trace: 0, html: '', tail: '' };
    this.since = performance.now();
    this.article = make('article', 'turn', turns);
    const question = make('h2', 'question', this.article, turn.question);
    if (question.scrollHeight > question.clientHeight) question.tabIndex = 0;
    this.trace = make('details', 'trace', this.article);
    this.trace.open = keepOpen;
    this.header = make('span', 'header', make('summary', '', this.trace));
    this.text = make('div', 'text', this.trace);
    this.text.tabIndex = 0;
    this.text.setAttribute('role', 'group');
    this.text.setAttribute('aria-label', 'Reasoning');
    this.text.addEventListener('scroll', () => this.text.classList.toggle('scrolled', this.text.scrollTop > 4));
    this.answer = make('div', 'answer', this.article);
    this.answer.hidden = true;
    this.done = make('div', 'done', this.answer);
    this.tail = make('p', 'tail', this.answer).appendChild(document.createTextNode(''));
    this.note = make('p', 'note', this.article);
    this.error = make('p', 'error', this.article);
    this.trace.querySelector('summary').addEventListener('click', () => { keepOpen = !this.trace.open; });
    this.timer = setInterval(() => this.tick(), 100);
  }

  update(turn) {
    this.heard = performance.now();
    if (turn.state !== this.state) this.enter(turn);
    this.turn = turn;
    following(this.text, () => {
      const lines = this.growTrace(turn.trace);
      if (this.answer.hidden) this.answer.style.animationDelay = LATER(lines);
    });
    this.growAnswer(turn);
    this.note.textContent = turn.note;
    this.error.textContent = turn.error;
    this.tick();
  }

  enter(turn) {
    if (turn.state === 'thinking') this.since = performance.now();
    this.state = turn.state;
    this.article.dataset.state = turn.state;
    status.textContent = {
      waiting: 'Waiting', thinking: 'Thinking', answering: 'Answering',
      done: 'Done. ' + turn.header, stopped: 'Stopped', failed: 'Failed: ' + turn.error,
    }[turn.state];
    if (!turn.live) this.finish(turn);
  }

  // One block per line, so that a new word lays out one line and not the whole trace.
  growTrace(trace) {
    const lines = trace.slice(this.shown.trace).split('\n');
    this.shown.trace = trace.length;
    lines.forEach((line, index) => {
      if (index || !this.line) {
        const block = make('p', '', this.text);
        block.style.animationDelay = LATER(index);
        this.line = block.appendChild(document.createTextNode(''));
      }
      if (line) this.line.appendData(line);
    });
    return lines.length;
  }

  growAnswer({ html, tail }) {
    this.answer.hidden = !html && !tail;
    if (html !== this.shown.html) {
      if (html.startsWith(this.shown.html)) {
        this.done.insertAdjacentHTML('beforeend', html.slice(this.shown.html.length));
      } else {
        this.done.innerHTML = html;
      }
      this.shown.html = html;
    }
    if (tail.startsWith(this.shown.tail)) {
      this.tail.appendData(tail.slice(this.shown.tail.length));
    } else {
      this.tail.data = tail;
    }
    this.shown.tail = tail;
  }

  // Silence may be a long prompt being read, or a server that is gone.
  async probe() {
    this.heard = performance.now();
    const gone = await fetch('/health').then(() => false, () => true);
    if (gone && this.turn.live) {
      const header = this.turn.trace && `Broke off · ${this.turn.tokens} tok`;
      const error = 'The connection to the server was lost. Reload the page when the server is back.';
      this.update({ ...this.turn, live: false, state: 'failed', header: this.turn.header || header, error });
    }
  }

  tick() {
    if (this.turn.live && performance.now() - this.heard > SILENCE_MS) this.probe();
    const { state, header, tokens, trace } = this.turn;
    const seconds = ((performance.now() - this.since) / 1000).toFixed(1);
    const live = { waiting: `Waiting ${seconds} s`, thinking: `Thinking ${seconds} s · ${tokens} tok` };
    this.header.textContent = live[state] ?? header;
    this.trace.hidden = !trace && !live[state];
  }

  finish(turn) {
    clearInterval(this.timer);
    if (turn.answer) this.offerCopy(turn.answer);
    rescueFocus('#stop');
  }

  offerCopy(answer) {
    const button = make('button', 'copy', this.article, 'Copy answer');
    button.type = 'button';
    button.addEventListener('click', async () => {
      await navigator.clipboard.writeText(answer);
      button.textContent = 'Copied';
      setTimeout(() => { button.textContent = 'Copy answer'; }, 1500);
    });
  }
}

const draw = () => {
  const turn = props.value;
  const page = document.scrollingElement;
  find('.welcome').hidden = Boolean(turn.id);
  if (!turn.id) {
    clearInterval(current?.timer);
    current = null;
    turns.replaceChildren();
    status.textContent = '';
    rescueFocus('#new-chat');
  } else if (turn.id === current?.id) {
    following(page, () => current.update(turn));
  } else {
    current = new TurnView(turn);
    current.update(turn);
    page.scrollTop = page.scrollHeight;
  }
};

for (const question of props.examples) {
  const button = make('button', 'example', make('li', '', find('.examples')), question);
  button.type = 'button';
  button.addEventListener('click', () => trigger('example', { question }));
}
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && current?.turn.live) document.querySelector('#stop')?.click();
});
watch('value', draw);
draw();
