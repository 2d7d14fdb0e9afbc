// What the points imply just now: the server's fit, asked for again whenever they change, and the homography that holds.
import { post, Refusal } from "/api.js";
import { toast } from "/dom.js";
import { apply } from "/geometry.js";

export class Fit extends EventTarget {
  constructor(path, site, points) {
    super();
    this._path = path;
    this._points = points;
    this._start = site.aligned.homography ?? site.prior;
    this.value = site.fit;
  }

  /** Map -> image px: of the points, else of the alignment moved by the mean offset of the points; null for nothing. */
  homography() {
    if (this.value?.homography) return this.value.homography;
    const start = this._start;
    const { list } = this._points;
    if (!start || !list.length) return start;
    const offsets = list.map((point) => [apply(start, [point.map_x, point.map_y]), [point.visible_x, point.visible_y]]).filter(([a]) => a).map(([a, b]) => [b[0] - a[0], b[1] - a[1]]);
    if (!offsets.length) return start;
    const [dx, dy] = [0, 1].map((axis) => offsets.reduce((sum, offset) => sum + offset[axis], 0) / offsets.length);
    return start.map((row, at) => (at === 2 ? row : row.map((value, column) => value + [dx, dy][at] * start[2][column])));
  }

  /** Ask anew; one request is under way at a time, the newest points come next. */
  async ask() {
    this._again = true;
    if (this._asking) return;
    this._asking = true;
    try {
      while (this._again) {
        this._again = false;
        const said = await post(`${this._path}/fit`, { points: this._points.list });
        if (this._closed) return;
        this.value = said;
        this.dispatchEvent(new Event("change"));
      }
    } catch (error) {
      if (error instanceof Refusal) toast(error.message, "bad");
    } finally {
      this._asking = false;
    }
  }

  close() {
    this._closed = true;
  }
}
