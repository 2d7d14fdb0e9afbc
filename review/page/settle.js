// Dialogs of a raster pair: reject with a reason, accept against a failed test, conflicts, history.
import { get } from "/api.js";
import { ask, fixed, h } from "/dom.js";
import { PLACES } from "/merge.js";

/** Ask why a raster pair, or pairs of tiles, are rejected. Resolves to {reason, note} or null. */
export function askReason(title, reasons) {
  return ask(title, (close) => {
    const note = h("textarea", { rows: 2, maxLength: 2000, placeholder: "Note (needed for “other”)" });
    const choices = reasons.map((reason, at) => h("label", { class: "choice" }, h("input", { type: "radio", name: "reason", value: reason, checked: at === 0 }), h("kbd", {}, String(at + 1)), ` ${reason}`));
    const form = h("form", { method: "dialog", onsubmit: (event) => {
      const reason = form.elements.reason.value;
      if (reason === "other" && !note.value.trim()) {
        event.preventDefault();
        note.focus();
        return;
      }
      close({ reason, note: note.value.trim() });
    }, onkeydown: (event) => {
      const at = Number(event.key) - 1;
      if (event.target !== note && choices[at]) {
        choices[at].firstChild.checked = true;
        choices[at].firstChild.focus();
      }
    } }, h("fieldset", {}, choices), note, h("menu", {}, h("button", { type: "button", onclick: () => close(null) }, "Cancel"), h("button", { class: "bad" }, "Reject")));
    return form;
  });
}

/** Ask whether to accept against a failed test. Resolves to the note, null for no. */
export function askOverride(failed) {
  return ask("The tests fail", (close) => {
    const note = h("textarea", { rows: 3, maxLength: 2000, required: true, placeholder: "Why is it right all the same? The manifest will say that it was accepted against a failed test, and by whom.", autofocus: true });
    return h("form", { method: "dialog", onsubmit: (event) => (note.value.trim() ? close(note.value.trim()) : event.preventDefault()) },
      h("p", { class: "failed" }, failed), note, h("menu", {}, h("button", { type: "button", onclick: () => close(null) }, "Cancel"), h("button", { class: "bad" }, "Accept all the same")));
  });
}

/** Say that the last changes cannot be saved. Resolves to whether they are given up. */
export async function askGiveUp(why) {
  const given = await ask("Not saved", (close) => h("div", {},
    h("p", { class: "failed" }, `The server does not save the last changes of the points: ${why}`),
    h("menu", {}, h("button", { class: "bad", onclick: () => close(true) }, "Leave without them"), h("button", { onclick: () => close(null), autofocus: true }, "Try again"))));
  return given === true;
}

/** Show points that two people changed; resolves to the names of those of which theirs is taken. */
export async function askConflict(conflicts) {
  const theirs = await ask("Somebody else changed the same points", (close) => {
    const chosen = new Set();
    const said = (point) => (point ? h("span", {}, `${PLACES.map((key) => point[key].toFixed(2)).join(", ")}`, h("small", {}, ` ${point.operator} ${point.date.slice(0, 10)}`)) : h("em", {}, "removed"));
    const rows = conflicts.map(([name, mine, their]) => h("tr", {}, h("th", {}, name), ...[["mine", mine], ["theirs", their]].map(([whose, point]) =>
      h("td", {}, h("label", {}, h("input", { type: "radio", name: `of-${name}`, value: whose, checked: whose === "mine", onchange: () => (whose === "theirs" ? chosen.add(name) : chosen.delete(name)) }), " ", said(point))))));
    return h("form", { method: "dialog", onsubmit: () => close([...chosen]) }, h("p", {}, "All other changes were merged. Choose for each of these points; map x, y, image x, y:"),
      h("table", {}, h("thead", {}, h("tr", {}, h("th"), h("th", {}, "mine"), h("th", {}, "theirs"))), h("tbody", {}, rows)), h("menu", {}, h("button", { autofocus: true }, "Go on")));
  }, "wide conflict");
  return theirs ?? [];
}

/** Show who changed what; resolves to the entry to go back to, with `latest`, the newest of its kind, or null. */
export async function askHistory(name, writable) {
  const entries = await get(`/api/sites/${name}/history`);
  const latest = (tiles) => entries.find((entry) => (entry.action === "tiles") === tiles);
  const words = { points: "points", verdict: "verdict", revert: "reverted", outside: "outside the page", tiles: "pairs of tiles" };
  return ask(`History of ${name}`, (close) => h("div", {},
    entries.length ? h("div", { class: "scroll" }, h("table", { class: "history" }, h("thead", {}, h("tr", {}, ["when", "who", "what", "", ""].map((word) => h("th", {}, word)))), h("tbody", {}, entries.map((entry) => h("tr", {},
      h("td", {}, entry.time.replace("T", " ").slice(0, 19)), h("td", {}, entry.operator || "–"), h("td", {}, words[entry.action] ?? entry.action), h("td", {}, entry.summary),
      h("td", {}, !writable || entry === latest(entry.action === "tiles") ? "" : h("button", { onclick: () => close({ ...entry, latest: latest(entry.action === "tiles").number }) }, "Go back to this"))))))) : h("p", {}, "Nothing was changed here yet."),
    h("menu", {}, h("button", { onclick: () => close(null), autofocus: true }, "Close"))), "wide");
}

/** The sentences of a fit: what it is, and what fails. */
export function fitWords(fit, count) {
  if (!fit || !count) return [h("p", { class: "quiet" }, "No points yet. Press A, then click the same place on map and image.")];
  const figures = [["model", fit.model ?? "–"], ["rms", `${fixed(fit.rms_px)} px`], ["agreeing", `${fit.agreeing} of ${count}`], ["corner error", fit.corner_error_px === null ? "–" : fit.corner_error_px > 999 ? "> 999 px" : `≤ ${fixed(fit.corner_error_px, 1)} px`]];
  return [
    h("dl", { class: "figures" }, figures.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
    fit.accepted ? h("p", { class: "good" }, "The points alone pass all tests.") : h("ul", { class: "failing" }, fit.checks.filter((check) => !check.passed).map((check) => h("li", {}, check.text))),
  ];
}
