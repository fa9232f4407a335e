// The server counts characters, JavaScript UTF-16 units: they differ from the first emoji on.
export class CodePoints {
  constructor(text) {
    this.text = text;
    this.points = /[\ud800-\udfff]/.test(text) ? Array.from(text) : null;
  }

  get length() { return (this.points ?? this.text).length; }

  slice(start, end) {
    return this.points ? this.points.slice(start, end).join('') : this.text.slice(start, end);
  }
}
