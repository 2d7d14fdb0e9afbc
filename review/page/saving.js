// Saving by itself: one save is under way at a time, what changed meanwhile is saved after it, conflicts are merged.
import { put, Refusal } from "/api.js";
import { merge, same } from "/merge.js";

const WAIT = 250; // ms after the last change

export class Saver extends EventTarget {
  /** `conflict(conflicts)` resolves to the names of the points of which theirs is taken. */
  constructor(path, points, tag, conflict, taken) {
    super();
    this._path = path;
    this._points = points;
    this._base = points.list;
    this.tag = tag;
    this._conflict = conflict;
    this._taken = taken;
    this._busy = null;
    this.state = "saved";
    this.paused = false;
    points.addEventListener("change", () => this._changed());
    this._warn = (event) => this.dirty && event.preventDefault();
    addEventListener("beforeunload", this._warn);
  }

  get dirty() {
    return this._busy !== null || !equal(this._points.list, this._base);
  }

  /** Save now what is not saved; resolves when all is, or when the server refuses it. */
  async flush() {
    clearTimeout(this._timer);
    while (this.dirty) {
      await (this._busy ?? this._save());
      if (this.state === "failed") return;
    }
  }

  /** Take a state that the server gave as the one that is saved. */
  adopt(tag, list) {
    this.tag = tag;
    this._base = list;
    this._tell(this.dirty ? "unsaved" : "saved");
  }

  /** Save all and stop. What cannot be saved is given up only if `giveUp(why)` resolves to true. */
  async close(giveUp) {
    do await this.flush();
    while (this.dirty && !(await giveUp(this.message)));
    clearTimeout(this._timer);
    removeEventListener("beforeunload", this._warn);
  }

  _changed() {
    if (equal(this._points.list, this._base) && !this._busy) return this._tell("saved");
    this._tell("unsaved");
    clearTimeout(this._timer);
    if (!this.paused) this._timer = setTimeout(() => this._busy ?? this._save(), WAIT);
  }

  _save() {
    this._busy = this._send().finally(() => {
      this._busy = null;
      if (this.state !== "failed" && this.dirty) this._changed();
    });
    return this._busy;
  }

  async _send() {
    const sent = this._points.list;
    this._tell("saving");
    try {
      const said = await put(`${this._path}/points`, { points: sent }, this.tag);
      this.tag = said.tag;
      this._base = sent;
      this._taken(said);
      this._tell(equal(this._points.list, sent) ? "saved" : "unsaved");
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (error.status !== 412) {
        this._tell("failed", error.message);
        return;
      }
      await this._merge(error.value);
    }
  }

  async _merge(said) {
    const { document, tag } = said;
    const { points, conflicts } = merge(this._base, this._points.list, document.points);
    const mine = this._points.list;
    let merged = points;
    if (conflicts.length) {
      const theirs = new Set(await this._conflict(conflicts));
      const others = new Map(document.points.map((point) => [point.name, point]));
      // What was changed while the question stood is kept: it is merged on the next save.
      merged = points.filter((point) => !theirs.has(point.name) || others.has(point.name)).map((point) => (theirs.has(point.name) ? others.get(point.name) : point));
      for (const name of theirs) if (others.has(name) && !merged.some((point) => point.name === name)) merged.push(others.get(name));
    }
    this.tag = tag;
    this._base = document.points;
    this._taken(said);
    const current = this._points.list === mine ? merged : merge(mine, this._points.list, merged).points;
    this._points.replace(current);
    this.dispatchEvent(new CustomEvent("merged", { detail: conflicts.length }));
  }

  _tell(state, message = "") {
    this.state = state;
    this.message = message;
    this.dispatchEvent(new Event("state"));
  }
}

const equal = (a, b) => a === b || (a.length === b.length && a.every((point, at) => point.name === b[at].name && same(point, b[at])));
