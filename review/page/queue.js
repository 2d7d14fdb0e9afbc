// The queue: every raster pair, those that need a person first, the worst first.
import { get } from "/api.js";
import { fixed, h } from "/dom.js";
import { setKeys } from "/keys.js";
import { loader } from "/pictures.js";

const WORDS = { "needs-manual": "needs a person", lapsed: "verdict lapsed", pending: "not aligned yet", accepted: "accepted", rejected: "rejected" };
const OPEN = ["needs-manual", "lapsed"];

/** Return the name of the next raster pair that needs a person, after one of that name. */
export async function nextSite(name = "") {
  const { rows } = await get("/api/sites");
  const open = rows.filter((row) => OPEN.includes(row.status) && row.name !== name);
  const at = rows.findIndex((row) => row.name === name);
  return (open.find((row) => rows.indexOf(row) > at) ?? open[0])?.name;
}

const remembered = { text: "", status: "", at: "" };

export async function showQueue(main, { go }) {
  let rows = [];
  let shown = [];
  let timer;
  const search = h("input", { type: "search", placeholder: "Search site, reason, operator  ( / )", value: remembered.text, oninput: () => ((remembered.text = search.value), draw()) });
  const chips = h("div", { class: "chips", role: "group", "aria-label": "Status" });
  const list = h("div", { class: "list", role: "listbox", "aria-label": "Raster pairs", tabIndex: 0 });
  const pictures = loader(list, 2);
  main.append(h("div", { class: "tools" }, h("h1", {}, "Raster pairs"), chips, search), list);

  const fits = (row) => {
    const said = [row.name, row.reason, row.method, row.verdict?.operator, ...row.operators, WORDS[row.status]].join(" ").toLowerCase();
    return (!remembered.status || row.status === remembered.status) && remembered.text.toLowerCase().split(/\s+/).every((word) => said.includes(word));
  };

  function draw() {
    shown = rows.filter(fits);
    if (!shown.some((row) => row.name === remembered.at)) remembered.at = shown[0]?.name ?? "";
    const counts = Object.entries(WORDS).map(([status, words]) => [status, words, rows.filter((row) => row.status === status).length]);
    chips.replaceChildren(
      ...[["", "all", rows.length], ...counts].filter(([status, , count]) => count || !status).map(([status, words, count]) =>
        h("button", { class: `chip ${status}${status === remembered.status ? " on" : ""}`, onclick: () => ((remembered.status = status), draw()) }, words, h("b", {}, String(count)))),
    );
    list.replaceChildren(...(shown.length ? shown.map(card) : [h("p", { class: "alone" }, rows.length ? "No raster pair matches." : "This workspace has no raster pairs yet: run at least as far as `acquire`.")]));
    for (const image of list.querySelectorAll("img")) pictures.watch(image);
    mark();
  }

  const card = (row) => h("a", { class: `card ${row.status}`, href: `#/site/${row.name}`, role: "option", "data-name": row.name, tabIndex: -1 },
    h("span", { class: "thumbs" }, ["map", "visible"].map((side) => h("img", { "data-src": `/thumbnail/${row.name}/${side}`, alt: "", width: 88, height: 66 }))),
    h("span", { class: "name" }, h("b", {}, row.name), h("small", {}, `${row.size[0]} × ${row.size[1]} px`)),
    h("span", { class: `badge ${row.status}` }, WORDS[row.status], row.verdict?.override ? " (override)" : ""),
    h("span", { class: "why" }, h("span", {}, row.verdict && row.verdict.in_force ? [row.verdict.reason, row.verdict.note].filter(Boolean).join(": ") || row.reason : row.reason), row.failed.length ? h("small", {}, `failed: ${row.failed.join(", ")}`) : null),
    h("span", { class: "figures" }, h("small", {}, row.points ? `${row.points} points` : "no points"), h("small", {}, row.residual_px === null || row.residual_px === undefined ? "" : `residual ${fixed(row.residual_px)} px`)),
    h("span", { class: "who" }, row.verdict ? `${row.verdict.operator}` : row.operators.join(", "), h("small", {}, row.verdict ? row.verdict.date.slice(0, 10) : "")),
  );

  function mark() {
    for (const each of list.children) each.classList.toggle("at", each.dataset.name === remembered.at);
    list.querySelector(".at")?.scrollIntoView({ block: "nearest" });
  }

  function move(step) {
    const at = shown.findIndex((row) => row.name === remembered.at);
    remembered.at = shown[Math.min(Math.max(at + step, 0), shown.length - 1)]?.name ?? "";
    mark();
  }

  async function load() {
    const said = await get("/api/sites");
    if (JSON.stringify(said.rows) !== JSON.stringify(rows)) {
      rows = said.rows;
      draw();
    }
  }

  setKeys([
    ["ArrowDown j", "next row", () => move(1)],
    ["ArrowUp k", "row before", () => move(-1)],
    ["PageDown", "", () => move(8)],
    ["PageUp", "", () => move(-8)],
    ["Enter", "open", () => remembered.at && go(`site/${remembered.at}`)],
    ["/", "search", () => search.focus()],
  ]);
  await load();
  list.focus({ preventScroll: true });
  timer = setInterval(() => document.hidden || load().catch(() => {}), 5000);
  return () => {
    clearInterval(timer);
    pictures.stop();
  };
}
