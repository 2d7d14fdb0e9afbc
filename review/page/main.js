// The page as a whole: which room is shown, who is here, and the keys that count everywhere.
import { get, post, Refusal } from "/api.js";
import { ask, byId, h, toast } from "/dom.js";
import { help, setGlobalKeys, setKeys } from "/keys.js";
import { showQueue, nextSite } from "/queue.js";
import { showPair } from "/pair.js";
import { showGallery } from "/gallery.js";

let leave = () => {};
let about = { present: [], reasons: [] };

/** Go to a room: "queue", "gallery", or "site/001/1". */
export const go = (where) => (location.hash = `#/${where}`);

let routing = Promise.resolve();
/** Show what the address says, after whatever is being shown: two rooms must not be built into each other. */
const route = () => (routing = routing.then(showRoom, showRoom));
/** Show the room anew, and say why. */
const again = async (words) => {
  await route();
  toast(words, "bad");
};

async function showRoom() {
  const left = leave;
  leave = () => {};
  await left();
  setKeys([]);
  const [room, ...rest] = location.hash.replace(/^#\//, "").split("/");
  const main = byId("room");
  main.replaceChildren();
  main.className = room || "queue";
  for (const link of document.querySelectorAll("#top nav a")) link.classList.toggle("here", link.dataset.room === (room === "site" ? "queue" : room || "queue"));
  const show = { site: showPair, gallery: showGallery }[room] ?? showQueue;
  try {
    leave = (await show(main, { name: rest.join("/"), about, go, again })) ?? (() => {});
  } catch (error) {
    main.replaceChildren(h("p", { class: "alone" }, error.message, h("br"), h("a", { href: "#/queue" }, "to the queue")));
  }
}

function drawTop() {
  const others = about.present.map((each) => `${each.operator}${each.site ? ` at ${each.site}` : ""}`);
  byId("top").replaceChildren(...[
    h("a", { class: "brand", href: "#/queue" }, h("b", {}, "MapData"), " review"),
    h("nav", {}, h("a", { href: "#/queue", "data-room": "queue" }, "Queue"), h("a", { href: "#/gallery", "data-room": "gallery" }, "Gallery")),
    h("span", { class: "workspace", title: "Workspace" }, about.workspace ?? ""),
    about.writable === false && h("span", { class: "badge" }, "read-only"),
    about.run && h("span", { class: "badge running", title: `since ${about.run}` }, "a run is going on"),
    h("span", { class: "space" }),
    h("span", { class: "present", title: others.join("\n") }, others.length ? `here: ${[...new Set(others)].slice(0, 3).join(", ")}` : ""),
    h("span", { class: "me", title: "Whose points and verdicts these are" }, about.operator ?? ""),
    h("button", { onclick: invite, title: "Let another browser in, once" }, "Invite"),
    h("button", { onclick: help, title: "Keys (?)" }, "?"),
  ].filter(Boolean));
  const room = location.hash.replace(/^#\//, "").split("/")[0] || "queue";
  for (const link of document.querySelectorAll("#top nav a")) link.classList.toggle("here", link.dataset.room === (room === "site" ? "queue" : room));
}

async function invite() {
  const operator = await ask("Invite an operator", (close) => {
    const name = h("input", { placeholder: "name of the operator", maxLength: 80, required: true, autofocus: true });
    const form = h("form", { method: "dialog", onsubmit: () => close(name.value.trim()) }, h("p", {}, "The address lets one browser of this machine in, once, as this person."), name, h("menu", {}, h("button", {}, "Make the address")));
    return form;
  });
  if (!operator) return;
  try {
    const { path } = await post("/api/invite", { operator });
    await ask(`For ${operator}`, (close) => h("div", {}, h("p", {}, h("input", { class: "address", readOnly: true, value: location.origin + path, onfocus: (event) => event.target.select() })), h("menu", {}, h("button", { onclick: () => close(null) }, "Close"))));
  } catch (error) {
    toast(error.message, "bad");
  }
}

async function refresh() {
  try {
    const [room, ...rest] = location.hash.replace(/^#\//, "").split("/");
    const said = await get(room === "site" ? `/api/about?at=${encodeURIComponent(rest.join("/"))}` : "/api/about");
    const changed = JSON.stringify(said) !== JSON.stringify(about);
    Object.assign(about, said);
    if (changed) drawTop();
  } catch (error) {
    // What is on the screen may hold work that is not saved yet: it stays.
    if (byId("room").children.length) toast(error.message, "bad");
    else byId("room").replaceChildren(h("p", { class: "alone" }, error.message));
    throw error;
  }
}

setGlobalKeys([
  ["?", "these keys", () => help()],
  ["q", "to the queue", () => go("queue")],
  ["g", "to the gallery", () => go("gallery")],
  ["n", "to the next raster pair that needs a person", () => nextSite(location.hash.split("/").slice(2).join("/")).then((name) => (name ? go(`site/${name}`) : toast("Nothing is left that needs a person")))],
]);

addEventListener("unhandledrejection", (event) => {
  if (!(event.reason instanceof Refusal)) return;
  event.preventDefault();
  toast(event.reason.message, "bad");
});
await refresh();
drawTop();
addEventListener("hashchange", () => {
  route();
  refresh().catch(() => {});
});
await route();
setInterval(() => document.hidden || refresh().catch(() => {}), 4000);
