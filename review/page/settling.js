// The verdict on a raster pair: what stands, accept, reject, skip, and the alignment that is tried before.
import { call, get, post, put, Refusal } from "/api.js";
import { button, h, toast } from "/dom.js";
import { nextSite } from "/queue.js";
import { askOverride, askReason } from "/settle.js";

const WORDS = { rejected: "rejected by a person", lapsed: "verdict lapsed", "needs-manual": "needs a person", pending: "not aligned yet" };

export class Settling extends EventTarget {
  /** `again(words)` shows the raster pair anew, and says why. */
  constructor({ path, site, about, saver, go, again }) {
    super();
    Object.assign(this, { _path: path, _site: site, _about: about, _saver: saver, _go: go, _again: again });
    this._writable = about.writable !== false;
    this._trial = site.trial;
    this._verdict = site.document.verdict;
    this._holds = site.holds;
    this.element = h("section", { class: "card verdict" });
    if (this._trial.state === "running") this._watch();
  }

  /** Take what the server says of the document: its verdict, and whether it is in force. */
  take({ document, holds }) {
    this._verdict = document.verdict;
    this._holds = holds ?? this._holds;
    this._changed();
  }

  /** The class of the badge: accepted, rejected, lapsed, needs-manual, pending. */
  get status() {
    if (this._verdict) return this._holds ? this._verdict.verdict : "lapsed";
    return { done: "accepted", rejected: "needs-manual" }[this._site.state] ?? "pending";
  }

  get words() {
    if (this.status !== "accepted") return WORDS[this.status];
    return this._verdict ? (this._verdict.override ? "accepted (override)" : "accepted by a person") : "accepted";
  }

  _changed() {
    this.draw();
    this.dispatchEvent(new Event("change"));
  }

  draw() {
    const [verdict, trial, off] = [this._verdict, this._trial, { disabled: !this._writable }];
    const said = verdict
      ? h("p", {}, h("b", {}, verdict.operator), ` ${verdict.verdict}`, verdict.reason ? `: ${verdict.reason}` : "", verdict.note ? ` (${verdict.note})` : "", h("small", {}, ` ${verdict.date.slice(0, 10)}`))
      : h("p", {}, h("b", {}, "Alignment: "), this._site.reason || (this._site.state === "done" ? `accepted (${this._site.aligned.method})` : "not run yet"));
    const running = trial.state === "running";
    this.element.replaceChildren(
      said, trial.state === "ended" ? triedWords(trial) : "",
      h("div", { class: "buttons" },
        button("Accept", "Y", () => this.accept(), { class: "good", ...off }), button("Reject", "B", () => this.reject(), { class: "bad", ...off }), button("Skip", "N", () => this.skip()),
        button(running ? "Aligning… stop" : "Align now", "", () => (running ? this._stop() : this.align()), off), verdict ? button("Take back", "", () => this._settle(null), off) : null),
    );
  }

  /** Save the points; say so where they cannot be saved, since what follows would be about others. */
  async _saved() {
    await this._saver.flush();
    if (this._saver.dirty) toast(`The points are not saved: ${this._saver.message}`, "bad");
    return !this._saver.dirty;
  }

  accept() {
    return this._settle({ verdict: "accepted" });
  }

  async reject() {
    if (!this._writable) return;
    const why = await askReason(`Reject ${this._site.name}`, this._about.reasons);
    if (why) await this._settle({ verdict: "rejected", ...why });
  }

  async skip() {
    const next = await nextSite(this._site.name);
    if (next) this._go(`site/${next}`);
    else toast("Nothing else is left that needs a person.");
  }

  async _settle(verdict) {
    if (!(await this._saved())) return;
    try {
      const said = await put(`${this._path}/verdict`, { verdict, alignment: this._site.alignment }, this._saver.tag);
      this._saver.adopt(said.tag, said.document.points);
      toast(verdict ? `${verdict.verdict}` : "taken back", verdict?.verdict === "rejected" ? "" : "good");
      this.take(said);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (error.status === 412) await this._again(`${error.message}: look again.`);
      else if (error.value.failed) {
        const note = await askOverride(error.value.failed);
        if (note) await this._settle({ ...verdict, override: true, note });
      } else toast(error.message, "bad");
    }
  }

  /** Align with the points as they are; nothing is recorded. */
  async align() {
    if (!(await this._saved())) return;
    try {
      this._trial = await post(`${this._path}/align`, {});
      this.draw();
      this._watch();
    } catch (error) {
      toast(error.message, "bad");
    }
  }

  async _stop() {
    this._trial = await call("DELETE", `${this._path}/align`);
    this.draw();
  }

  async _watch() {
    while (!this._closed && this._trial.state === "running") {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      this._trial = await get(`${this._path}/align`);
    }
    if (!this._closed) this.draw();
  }

  close() {
    this._closed = true;
  }
}

function triedWords({ error, alignment }) {
  if (error) return h("p", { class: "failed" }, `Align now: ${error}`);
  const residual = alignment.residual_px === null ? "" : `, residual ${alignment.residual_px.toFixed(2)} px`;
  return h("p", { class: alignment.verdict === "accepted" ? "good" : "failed" }, `Align now: ${alignment.verdict}`, alignment.reason ? `, ${alignment.reason}` : "", residual);
}
