// The person's downloads, asked for as long as one of them runs; views attach with `follow`, tabs come and go.
import { get, post, remove } from '../common/api.js';
import { emit } from '../common/bus.js';

const EVERY_MS = 1000;
const LOST_MS = 4000;

// What rows offer depends on no more of the downloads than this.
export const statesOf = (list) => list.map(({ model, live }) => `${model} ${live}`).join();

class Pulls {
  #followers = new Set();
  #timer = null;
  #turn = 0;
  list = [];

  // Calls `handler(list)` now and after every change; returns a function that ends it.
  follow(handler) {
    this.#followers.add(handler);
    handler(this.list);
    return () => this.#followers.delete(handler);
  }

  // What runs of the model named so, or is kept of it; undefined where nothing is.
  of(model) {
    return this.list.find((pull) => pull.model === model);
  }

  async look() {
    clearTimeout(this.#timer);
    this.#timer = null;
    const turn = ++this.#turn;
    try {
      const { pulls: list } = await get('/page/shelf/pulls');
      if (turn === this.#turn) this.take(list);
    } catch {
      if (turn === this.#turn) this.#again(LOST_MS);
    }
  }

  // A list that another answer brought along.
  take(list) {
    const arrived = list.filter(({ id, state }) => state === 'done' && this.list.some((old) => old.id === id && old.live));
    this.list = list;
    for (const handler of this.#followers) handler(list);
    for (const { model } of arrived) emit('models-changed', { arrived: model });
    if (list.some(({ live }) => live)) this.#again(EVERY_MS);
  }

  begin(model) { return this.#change(post('/page/shelf/pulls', { model })); }
  stop(id) { return this.#change(post(`/page/shelf/pulls/${id}/stop`)); }
  goOn(id) { return this.#change(post(`/page/shelf/pulls/${id}/go_on`)); }
  forget(id) { return this.#change(remove(`/page/shelf/pulls/${id}`)); }

  async #change(request) {
    const told = await request;
    await this.look();
    return told;
  }

  #again(after) {
    this.#timer ??= setTimeout(() => this.look(), after);
  }
}

export const pulls = new Pulls();
