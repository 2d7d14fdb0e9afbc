// The gallery of pairs of tiles: a grid of which only what is seen exists, filters, and verdicts on many at once.
import { get, post, put } from "/api.js";
import { ask, h, toast } from "/dom.js";
import { setKeys } from "/keys.js";
import { loader } from "/pictures.js";
import { askReason } from "/settle.js";

const WIDTH = 300; // of a card, at least, px
const GAP = 8;
const PAGE = 60; // rows asked for at once
const BEYOND = 1; // rows of cards beyond what is seen
const KEPT = 40; // pages kept
const TOGETHER = 4; // pictures loaded at once
const remembered = { query: {} };

export async function showGallery(main, { about, go }) {
  const query = remembered.query;
  let summary = { total: 0, found: 0, sites: [], splits: [], rules: {}, statistics: [] };
  let pages = new Map();
  let chosen = new Map(); // ids, and of each which tiles were shown
  let at = 0;
  let columns = 1;
  let height = 200;
  let asked = 0;
  let closed = false;
  const [undone, done] = [[], []]; // steps of the journal that this person can go forth and back by

  const sheet = h("div", { class: "sheet" });
  const grid = h("div", { class: "grid", tabIndex: 0, role: "grid", "aria-label": "Pairs", onscroll: () => requestAnimationFrame(draw) }, sheet);
  const filters = h("div", { class: "filters" });
  const act = h("div", { class: "act" });
  const pictures = loader(grid, TOGETHER);
  main.append(filters, act, grid);

  const parameters = (more = {}) => new URLSearchParams(Object.entries({ ...query, ...more }).filter(([, value]) => value !== "" && value !== undefined)).toString();

  function drawFilters() {
    const choice = (name, words, options) => h("select", { "aria-label": words, "data-filter": name, onchange: (event) => set(name, event.target.value) }, h("option", { value: "" }, words), options.map(([value, label]) => h("option", { value, selected: query[name] === value }, label)));
    const limit = (name) => h("input", { type: "number", step: "any", placeholder: name === "low" ? "from" : "to", value: query[name] ?? "", "data-filter": name, onchange: (event) => set(name, event.target.value) });
    filters.replaceChildren(
      choice("site", "every site", summary.sites.map((each) => [each, each])), choice("split", "every split", summary.splits.map((each) => [each, each])),
      choice("verdict", "accepted or not", [["accepted", "accepted"], ["rejected", "rejected"]]), choice("rule", "every rule", Object.entries(summary.rules).map(([rule, count]) => [rule, `${rule} (${count})`])),
      choice("person", "judged or not", [["any", "judged by a person"], ["keep", "kept"], ["reject", "rejected by a person"], ["none", "by nobody"]]),
      choice("statistic", "a statistic", summary.statistics.map((each) => [each, each.replaceAll("_", " ")])), limit("low"), limit("high"),
      choice("order", "by id", [["ascending", "lowest first"], ["descending", "highest first"]]),
      h("input", { type: "search", placeholder: "id ( / )", value: query.text ?? "", "data-filter": "text", onchange: (event) => set("text", event.target.value) }),
      h("button", { onclick: () => (Object.keys(query).forEach((key) => delete query[key]), load()) }, "Clear"),
      h("span", { class: "space" }), h("span", { class: "count", "data-found": summary.found }, h("b", {}, summary.found.toLocaleString("en")), ` of ${summary.total.toLocaleString("en")} pairs`),
    );
  }

  function drawAct() {
    const off = !chosen.size || about.writable === false;
    act.replaceChildren(
      h("span", {}, chosen.size ? `${chosen.size} chosen` : "Click chooses, Shift to there, Ctrl one more; Enter looks closely"), h("span", { class: "space" }),
      h("button", { onclick: all, title: "choose all that the filter finds (Ctrl+A)" }, "Choose all found"), h("button", { disabled: !chosen.size, onclick: () => (chosen.clear(), draw()) }, "Choose none"),
      h("button", { class: "good", disabled: off, onclick: keep, title: "whatever the rules say (K)" }, "Keep", h("kbd", {}, "K")), h("button", { class: "bad", disabled: off, onclick: reject }, "Reject", h("kbd", {}, "B")), h("button", { disabled: off, onclick: () => judge(null) }, "Take back", h("kbd", {}, "U")),
    );
  }

  function set(name, value) {
    if (value === "") delete query[name];
    else query[name] = value;
    load();
  }

  async function load(stay = false) {
    const number = (asked += 1);
    try {
      const said = await get(`/api/pairs?${parameters({ count: PAGE })}`);
      if (number !== asked || closed) return;
      summary = said;
    } catch (error) {
      return toast(error.message, "bad");
    }
    pages = new Map([[0, summary.rows]]);
    if (!stay) {
      chosen = new Map();
      at = 0;
      grid.scrollTop = 0;
    }
    drawFilters();
    layout();
  }

  function layout() {
    const width = grid.clientWidth - 2 * GAP;
    columns = Math.max(1, Math.floor((width + GAP) / (WIDTH + GAP)));
    const card = (width - (columns - 1) * GAP) / columns;
    height = Math.round(card / 2 + 28);
    sheet.style.height = `${Math.ceil(summary.found / columns) * (height + GAP) + GAP}px`;
    sheet.dataset.card = card;
    sheet.replaceChildren();
    draw();
  }

  /** Make the cards that are seen, and no others. */
  function draw() {
    if (closed) return;
    const first = Math.max(0, Math.floor(grid.scrollTop / (height + GAP)) - BEYOND) * columns;
    const last = Math.min(summary.found, (Math.ceil((grid.scrollTop + grid.clientHeight) / (height + GAP)) + BEYOND) * columns, first + 300);
    const present = new Map([...sheet.children].map((card) => [Number(card.dataset.at), card]));
    for (const [number, card] of present) if (number < first || number >= last) card.remove();
    for (let number = first; number < last; number += 1) {
      const row = rowAt(number);
      const old = present.get(number);
      const mark = row ? `${row.pair_id} ${row.seen} ${row.verdict} ${JSON.stringify(row.person)}` : "";
      if (old && old.dataset.mark === mark) paint(old, number, row);
      else {
        const made = card(number, row, mark);
        paint(made, number, row);
        if (old) old.replaceWith(made);
        else sheet.append(made);
      }
    }
    drawAct();
  }

  function rowAt(number) {
    const page = Math.floor(number / PAGE);
    if (!pages.has(page)) {
      const of = pages;
      of.set(page, null);
      if (of.size > KEPT) of.delete(of.keys().next().value);
      get(`/api/pairs/rows?${parameters({ offset: page * PAGE, count: PAGE })}`).then((rows) => of === pages && (of.set(page, rows), draw())).catch((error) => toast(error.message, "bad"));
    }
    return pages.get(page)?.[number - page * PAGE];
  }

  function card(number, row, mark) {
    const made = h("div", { class: "tile", role: "gridcell", "data-at": number, "data-mark": mark, onclick: (event) => choose(number, event), ondblclick: () => compare(number) });
    const width = Number(sheet.dataset.card);
    made.style.width = `${width}px`;
    made.style.height = `${height}px`;
    made.style.left = `${GAP + (number % columns) * (width + GAP)}px`;
    made.style.top = `${GAP + Math.floor(number / columns) * (height + GAP)}px`;
    if (!row) return made;
    const why = row.person ? `${row.person.verdict === "keep" ? "kept" : "rejected"} by ${row.person.operator}${row.person.lapsed ? " (lapsed)" : ""}${row.person.reason ? `: ${row.person.reason}` : ""}` : (row.reasons ?? []).join("; ");
    made.dataset.pair = row.pair_id;
    made.title = `${row.pair_id}\n${row.split ?? ""} ${row.verdict ?? ""}\n${why}`;
    const images = ["map", "visible"].map((side) => h("img", { "data-src": image(row, side), alt: side, decoding: "async" }));
    made.append(h("div", { class: "images" }, images), h("div", { class: "said" }, h("span", {}, row.pair_id), h("span", { class: "why" }, why || row.split || "")));
    images.forEach(pictures.watch);
    return made;
  }

  const image = (row, side) => `/pair/${row.pair_id}/${side}?of=${row[`${side}_digest`].slice(0, 16)}`;

  function paint(made, number, row) {
    made.classList.toggle("chosen", row !== undefined && row !== null && chosen.has(row.pair_id));
    made.classList.toggle("at", number === at);
    const judged = row?.person && !row.person.lapsed ? row.person.verdict : null;
    made.classList.toggle("rejected", judged ? judged === "reject" : row?.verdict === "rejected");
    made.classList.toggle("person", Boolean(row?.person));
  }

  const pick = (row) => chosen.set(row.pair_id, row.seen);

  function choose(number, event) {
    const row = rowAt(number);
    if (!row) return;
    if (event.shiftKey) {
      for (let each = Math.min(at, number); each <= Math.max(at, number); each += 1) if (rowAt(each)) pick(rowAt(each));
    } else if (event.ctrlKey || event.metaKey) {
      if (!chosen.delete(row.pair_id)) pick(row);
    } else {
      const alone = chosen.size === 1 && chosen.has(row.pair_id);
      chosen.clear();
      if (!alone) pick(row);
    }
    at = number;
    draw();
  }

  async function all() {
    try {
      chosen = new Map(Object.entries(await get(`/api/pairs/ids?${parameters()}`)));
      draw();
    } catch (error) {
      toast(error.message, "bad");
    }
  }

  async function judge(verdict, reason = "") {
    const { size } = chosen;
    if (!size || about.writable === false) return;
    try {
      const said = await put("/api/pairs", { pairs: Object.fromEntries(chosen), verdict, reason });
      done.push(said.steps);
      undone.length = 0;
      toast(`${size} pairs: ${verdict === null ? "taken back" : verdict === "keep" ? "kept" : "rejected"}. The next run takes it up.`, "good");
      await load(true);
    } catch (error) {
      toast(error.message, "bad");
      if (error.status === 412) await load();
    }
  }
  /** Go back by the last step of `from`, and let one go forth again by `to`. */
  async function again(from, to) {
    const steps = from.pop();
    if (!steps) return;
    try {
      await post("/api/pairs/revert", { steps });
      to.push(steps.map(({ site, back_to: before, present }) => ({ site, back_to: present, present: before })));
      toast(from === done ? "undone" : "done again", "good");
      await load(true);
    } catch (error) {
      toast(error.message, "bad");
    }
  }
  const here = () => chosen.size || (rowAt(at) && pick(rowAt(at)));
  const keep = () => here() && judge("keep");
  async function reject() {
    if (!here() || about.writable === false) return;
    const why = await askReason(`Reject ${chosen.size} pairs`, about.reasons);
    if (why) await judge("reject", [why.reason, why.note].filter(Boolean).join(": "));
  }

  function compare(number) {
    const row = rowAt(number);
    if (!row) return;
    let manner = "side by side";
    let timer;
    const stage = h("div");
    const slider = h("input", { type: "range", min: 0, max: 100, value: 50, "aria-label": "how much of the map", oninput: () => show() });
    function show(next = manner) {
      manner = next;
      clearInterval(timer);
      const [drawn, visible] = ["map", "visible"].map((side) => h("img", { src: image(row, side), alt: side }));
      slider.hidden = manner !== "swipe";
      if (manner === "side by side") return stage.replaceChildren(h("div", { class: "compare" }, drawn, visible));
      if (manner === "swipe") drawn.style.clipPath = `inset(0 ${100 - slider.value}% 0 0)`;
      else timer = setInterval(() => (drawn.hidden = !drawn.hidden), 600);
      stage.replaceChildren(h("div", { class: "compare over" }, h("div", { class: "stack" }, visible, drawn)));
    }
    show();
    const facts = summary.statistics.filter((name) => row[name] !== null).map((name) => `${name.replaceAll("_", " ")} ${row[name].toFixed(3)}`).join(" · ");
    return ask(row.pair_id, (close) => h("div", { onkeydown: (event) => ({ 1: "side by side", 2: "swipe", 3: "blink" })[event.key] && show({ 1: "side by side", 2: "swipe", 3: "blink" }[event.key]) }, stage, slider, h("p", {}, h("small", {}, facts)), h("p", {}, (row.reasons ?? []).join("; ")),
      h("menu", {}, ["side by side", "swipe", "blink"].map((each, number_) => h("button", { onclick: () => show(each) }, each, h("kbd", {}, String(number_ + 1)))), h("button", { onclick: () => (close(null), go(`site/${row.point_id}/${row.site_id}`)) }, "Its raster pair"), h("button", { onclick: () => close(null), autofocus: true }, "Close"))), "compare-dialog").finally(() => clearInterval(timer));
  }

  function move(step) {
    at = Math.min(Math.max(at + step, 0), summary.found - 1);
    const top = Math.floor(at / columns) * (height + GAP);
    if (top < grid.scrollTop) grid.scrollTop = top;
    else if (top + height + 2 * GAP > grid.scrollTop + grid.clientHeight) grid.scrollTop = top + height + 2 * GAP - grid.clientHeight;
    draw();
  }

  setKeys([
    ["ArrowRight", "next pair", () => move(1)], ["ArrowLeft", "pair before", () => move(-1)], ["ArrowDown", "a row down", () => move(columns)], ["ArrowUp", "a row up", () => move(-columns)],
    ["PageDown", "", () => move(3 * columns)], ["PageUp", "", () => move(-3 * columns)],
    [" ", "choose this pair, or not", () => choose(at, { ctrlKey: true })], ["Enter", "look at it closely", () => compare(at)],
    ["k", "keep, whatever the rules say", keep], ["b", "reject", reject], ["u", "take back what was said", () => here() && judge(null)],
    ["Ctrl+z", "undo", () => again(done, undone)], ["Ctrl+y Ctrl+Shift+z", "redo", () => again(undone, done)],
    ["Ctrl+a", "choose all that the filter finds", all], ["Escape", "choose none", () => (chosen.clear(), draw())], ["/", "search by id", () => filters.querySelector("input[type=search]").focus()],
  ]);
  const resized = new ResizeObserver(() => layout());
  await load();
  resized.observe(grid);
  grid.focus({ preventScroll: true });
  return () => {
    closed = true;
    resized.disconnect();
    pictures.stop();
  };
}
