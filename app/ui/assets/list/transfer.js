// Conversations into files and back.
import { call } from '../common/api.js';
import { button, make } from '../common/dom.js';
import { words } from '../words/list.js';
import { openMenu } from './menu.js';

// As many as the server takes: MAX_FILE of serve/api/security.py.
const MAX_BYTES = 256 * 2 ** 20;

// Links that download `path` in each format, and whether thoughts go along.
export const exportItems = (path, close) => {
  const { transfer } = words;
  const thoughts = make('input', { type: 'checkbox', onchange: () => aim() });
  thoughts.checked = true;
  const links = Object.entries(transfer.formats).map(([format, [name, what]]) =>
    make('a', { 'data-format': format, download: '', onclick: () => setTimeout(close) }, name, make('small', {}, what)));
  const aim = () => links.forEach((link) => {
    link.href = `${path}?${new URLSearchParams({ format: link.dataset.format, thoughts: thoughts.checked ? 1 : 0 })}`;
  });
  aim();
  return [make('p', { class: 'soft' }, transfer.export), make('label', {}, thoughts, transfer.thoughts), ...links];
};

export const openExport = (anchor, path) => openMenu(anchor, words.transfer.export, (close) => exportItems(path, close));

// A button that takes files, and the same for files dropped on `zone`.
export class Importer {
  constructor(zone, toast, onDone) {
    this.toast = toast;
    this.onDone = onDone;
    this.files = []; // those that are being taken
    const { transfer } = words;
    this.field = make('input', { type: 'file', accept: '.json,.jsonl,application/json', multiple: true, 'aria-label': transfer.importLabel, tabindex: -1,
      onchange: () => this.take(this.field.files) });
    this.field.hidden = true;
    this.node = make('span', {}, button(transfer.import, () => this.field.click(), { class: 'quiet' }), this.field);
    this.bind(zone);
  }

  bind(zone) {
    const hasFiles = (event) => event.dataTransfer.types.includes('Files');
    let depth = 0;
    const over = (by) => {
      depth = Math.max(0, depth + by);
      zone.classList.toggle('dropping', depth > 0);
    };
    zone.dataset.drop = words.transfer.drop;
    zone.addEventListener('dragenter', (event) => { if (hasFiles(event)) over(1); });
    zone.addEventListener('dragleave', (event) => { if (hasFiles(event)) over(-1); });
    zone.addEventListener('dragover', (event) => { if (hasFiles(event)) event.preventDefault(); });
    zone.addEventListener('drop', (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      over(-depth);
      this.take(event.dataTransfer.files);
    });
  }

  // One after another. What is given again meanwhile is taken once: everything in it would be there twice.
  async take(files) {
    const isTaking = this.files.length > 0;
    const given = ({ name, size }) => this.files.some((file) => file.name === name && file.size === size);
    this.files = [...this.files, ...[...files].filter((file) => !given(file))];
    if (!isTaking) await this.takeAll();
  }

  async takeAll() {
    let n = 0;
    const failures = [];
    for (let at = 0; at < this.files.length; at += 1) {
      const file = this.files[at];
      this.toast.say(words.transfer.reading(file.name), true);
      try {
        n += await this.send(file);
      } catch (error) {
        failures.push(words.transfer.failed(file.name, error.message));
      }
    }
    this.files = [];
    this.field.value = '';
    await this.onDone();
    if (failures.length) this.toast.fail(failures.join(' '));
    else this.toast.say(n ? words.transfer.imported(n) : words.transfer.nothing);
  }

  async send(file) {
    if (file.size > MAX_BYTES) throw new Error(words.transfer.large(file.size, MAX_BYTES));
    return (await call('POST', '/page/import', file)).imported;
  }
}
