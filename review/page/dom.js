// Building elements, and the two ways of telling a person something: a toast and a dialog.

/** Make an element: properties, `on...` listeners, `class`, `data-...` and `aria-...` attributes, then children. */
export function h(tag, given = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name.includes("-") || name === "for" || name === "role" || name === "colspan") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.flat(4).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Make a button that says which key does the same, where one does. */
export const button = (words, key, action, given = {}) => h("button", { onclick: action, title: key ? `${words} (${key})` : words, ...given }, words, key ? h("kbd", {}, key) : null);

export const byId = (id) => document.getElementById(id);

let fading;
/** Say something that needs no answer. */
export function toast(text, kind = "") {
  const element = byId("toast");
  element.textContent = text;
  element.className = `shown ${kind}`;
  clearTimeout(fading);
  fading = setTimeout(() => (element.className = ""), kind === "bad" ? 7000 : 3000);
}

/**
 * Ask in a dialog. `build(close)` returns its content; `close(value)` ends it. Resolves to the value, null on Escape.
 */
export function ask(title, build, kind = "") {
  return new Promise((resolve) => {
    let answer = null;
    const dialog = h("dialog", { class: kind, onclose: () => (dialog.remove(), resolve(answer)) });
    const close = (value) => {
      answer = value;
      dialog.close();
    };
    dialog.append(h("h2", {}, title), build(close));
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Whether a dialog is open: the keys are its own then. */
export const asking = () => document.querySelector("dialog[open]") !== null;

/** Offer a text as a file. */
export function download(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  const link = h("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

export const fixed = (value, digits = 2) => (value === null || value === undefined ? "–" : value.toFixed(digits));
