// Keeps a scrolled box at its end until the reader moves up, and again once they are back at the end.
const NEAR = 48;

export class Follower {
  // `source` tells of scrolling: the box itself, or the window for the page's own box.
  constructor(box, source = box) {
    this.box = box;
    this.isStuck = true;
    this.top = box.scrollTop;
    source.addEventListener('scroll', () => this.look(), { passive: true });
  }

  // Growing text moves the end away without anybody having scrolled: only a move up unsticks.
  look() {
    const { scrollTop, scrollHeight, clientHeight } = this.box;
    if (scrollHeight - scrollTop - clientHeight < NEAR) this.isStuck = true;
    else if (scrollTop < this.top - 1) this.isStuck = false;
    this.top = scrollTop;
  }

  // To be called after the box has grown.
  follow() {
    if (!this.isStuck) return;
    this.box.scrollTop = this.box.scrollHeight;
    this.top = this.box.scrollTop;
  }

  toEnd() {
    this.isStuck = true;
    this.follow();
  }
}
