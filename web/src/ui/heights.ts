// Where rows of different heights are: measured ones where they are known, an estimate elsewhere.

export class Heights {
  private sizes: Float32Array = new Float32Array(1024);
  private tops: Float64Array = new Float64Array(1025);
  private length = 0;
  /** The first row whose top is not known to be right. */
  private stale = 0;

  constructor(private readonly estimate: (at: number) => number) {}

  resize(length: number): void {
    if (length > this.sizes.length) {
      const room = Math.max(length, this.sizes.length * 2);
      const sizes = new Float32Array(room);
      sizes.set(this.sizes);
      this.sizes = sizes;
      const tops = new Float64Array(room + 1);
      tops.set(this.tops);
      this.tops = tops;
    }
    for (let at = this.length; at < length; at++) this.sizes[at] = -1;
    this.stale = Math.min(this.stale, this.length, length);
    this.length = length;
  }

  /** Whether it was another before. */
  measure(at: number, size: number): boolean {
    if (at >= this.length || Math.abs((this.sizes[at] ?? 0) - size) < 0.5) return false;
    this.sizes[at] = size;
    this.stale = Math.min(this.stale, at);
    return true;
  }

  /** Forgets what was measured: the rows are others, or as wide as they were not. */
  forget(from = 0): void {
    this.sizes.fill(-1, from, this.length);
    this.stale = Math.min(this.stale, from);
  }

  top(at: number): number {
    this.sum();
    return this.tops[Math.min(at, this.length)] ?? 0;
  }

  total(): number {
    return this.top(this.length);
  }

  /** The row at this distance from the top. */
  at(distance: number): number {
    this.sum();
    let [low, high] = [0, this.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.tops[middle] ?? 0) <= distance) low = middle;
      else high = middle - 1;
    }
    return Math.max(0, low);
  }

  private sum(): void {
    if (this.stale >= this.length) return;
    let top = this.tops[this.stale] ?? 0;
    for (let at = this.stale; at < this.length; at++) {
      const size = this.sizes[at] ?? -1;
      top += size < 0 ? this.estimate(at) : size;
      this.tops[at + 1] = top;
    }
    this.stale = this.length;
  }
}
