// Keeps a scrolled box at its end until the reader moves up, and again once they are back at the end.
const NEAR = 48;
// A scroll so soon after a wheel, a key or a touch is the reader's; any other is layout's.
const SOON_MS = 800;
const BY_HAND = ['wheel', 'touchmove', 'keydown', 'pointerdown', 'pointermove'];

export class Follower {
  // `source` tells of scrolling: the box itself, or the window for the page's own box. That one is scrolled by other
  // rooms, too: `isShown` says whether what is followed can be seen.
  constructor(box, source = box, isShown = () => true) {
    this.box = box;
    this.isShown = isShown;
    this.isStuck = true;
    this.top = box.scrollTop;
    this.touched = -Infinity;
    for (const name of BY_HAND) source.addEventListener(name, (event) => this.touch(event), { passive: true });
    source.addEventListener('scroll', () => this.look(), { passive: true });
  }

  touch(event) {
    if (!this.isShown()) return;
    if (event.type !== 'pointermove' || event.buttons) this.touched = performance.now();
  }

  look() {
    if (!this.isShown()) return;
    const { scrollTop, scrollHeight, clientHeight } = this.box;
    if (scrollHeight - scrollTop - clientHeight < NEAR) this.isStuck = true;
    else if (scrollTop < this.top - 1 && performance.now() - this.touched < SOON_MS) this.isStuck = false;
    this.top = scrollTop;
  }

  // To be called after the box has grown. What comes into view is laid out only then and may grow it once more.
  follow() {
    if (!this.isStuck || !this.isShown()) return;
    this.end();
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      if (this.isStuck && this.isShown()) this.end();
    });
  }

  // It can be seen again: where the reader was.
  resume() {
    if (this.isStuck) this.follow();
    else this.box.scrollTop = this.top;
  }

  end() {
    this.box.scrollTop = this.box.scrollHeight;
    this.top = this.box.scrollTop;
  }

  // The reader is elsewhere, by a way that is no scrolling of theirs.
  release() {
    cancelAnimationFrame(this.frame);
    this.frame = null;
    this.isStuck = false;
  }

  toEnd() {
    this.isStuck = true;
    this.follow();
  }
}
