// Keys: one table for the whole page and one for the room that is shown; none counts while a text field has the focus.
import { ask, asking, h } from "/dom.js";

const everywhere = [];
let here = [];

/** Set the keys of the page: [key, what it does, action]. A key is as in `name`. */
export const setGlobalKeys = (keys) => everywhere.splice(0, Infinity, ...keys);
/** Set the keys of the room that is shown. */
export const setKeys = (keys) => (here = keys);

/** Return how a key is called here: "Ctrl+Shift+z", "?", "ArrowUp". */
export function name(event) {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const letter = /^[a-z]$/.test(key) || key.length > 1;
  return `${event.ctrlKey || event.metaKey ? "Ctrl+" : ""}${event.altKey ? "Alt+" : ""}${event.shiftKey && letter ? "Shift+" : ""}${key}`;
}

const typing = (target) => target instanceof Element && target.closest("input:not([type=checkbox]):not([type=range]):not([type=radio]), textarea, select, [contenteditable]") !== null;

document.addEventListener("keydown", (event) => {
  if (asking() || event.isComposing) return;
  const pressed = name(event);
  if (typing(event.target)) {
    if (pressed === "Escape") event.target.blur();
    return;
  }
  if ((pressed === "Enter" || pressed === " ") && event.target instanceof Element && event.target.closest("button, a, summary, input")) return;
  for (const [key, , action] of [...here, ...everywhere]) {
    if (key.split(" ").includes(pressed)) {
      event.preventDefault();
      action(event, pressed);
      return;
    }
  }
});

/** Show the keys. */
export function help() {
  const table = (keys) => h("table", { class: "keys" }, keys.filter(([, what]) => what).map(([key, what]) => h("tr", {}, h("td", {}, key.split(" ").map((each) => h("kbd", {}, readable(each)))), h("td", {}, what))));
  return ask("Keys", (close) => h("div", {}, h("div", { class: "columns scroll" }, table(here), table(everywhere)), h("menu", {}, h("button", { onclick: () => close(null), autofocus: true }, "Close"))), "wide");
}

const readable = (key) => key.replace("Arrow", "").replace("Up", "↑").replace("Down", "↓").replace("Left", "←").replace("Right", "→").replace(/\+([a-z])$/, (_, letter) => `+${letter.toUpperCase()}`).replace(/^[a-z]$/, (letter) => letter.toUpperCase()).replace(/^ $/, "Space");
