// The list of detections: filtered, sorted, a page at a time.
const PAGE = 60;
const ORDERS = {
  "Score, high first": (a, b) => b.score - a.score,
  "Score, low first": (a, b) => a.score - b.score,
  "Length, long first": (a, b) => (b.length ?? -1) - (a.length ?? -1),
  "Length, short first": (a, b) => (a.length ?? Infinity) - (b.length ?? Infinity),
  "Window": (a, b) => a.window - b.window,
};
const REVIEWED = { "": "Any", open: "Not reviewed", right: "Right", wrong: "Wrong" };
const cards = new Map();
let shown = [];
let pages = 1;

function select(name, label, options) {
  const choices = options.map(([value, text]) => el("option", { value }, text));
  return el("label", {}, label + " ", el("select", { name }, ...choices));
}

function drawFilters() {
  const form = at("filters");
  form.append(select("order", "Sort by", Object.keys(ORDERS).map((name) => [name, name])));
  if (record.classes.length > 1) {
    form.append(select("label", "Class", [["", "All"], ...record.classes.map((name) => [name, name])]));
  }
  form.append(select("review", "Review", Object.entries(REVIEWED)));
  const number = (name, text, options) => el("label", {}, text + " ", el("input", { type: "number", name, ...options }));
  form.append(number("least", "Score from", { min: 0, max: 1, step: 0.05, value: 0 }));
  if (record.unit === "m") form.append(number("shortest", "Length from (m)", { min: 0, step: 1, value: 0 }));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", () => {
    pages = 1;
    filter();
  });
}

function filter() {
  const wanted = new FormData(at("filters"));
  const review = wanted.get("review");
  shown = record.detections.filter(
    (one) =>
      (!wanted.get("label") || one.label === wanted.get("label")) &&
      one.score >= Number(wanted.get("least")) &&
      (one.length ?? Infinity) >= Number(wanted.get("shortest") || 0) &&
      (!review || (review === "open" ? !reviewOf(one) : reviewOf(one) === review)),
  );
  shown.sort((a, b) => ORDERS[wanted.get("order")](a, b) || a.id - b.id);
  drawCards();
}

function drawCards() {
  const page = shown.slice(0, pages * PAGE);
  cards.clear();
  at("cards").replaceChildren(...page.map((one) => el("li", {}, card(one))));
  const all = record.detections.length;
  at("shown").textContent = `${page.length} of ${shown.length} shown` + (shown.length < all ? `, ${all} in all` : "");
  at("more").hidden = page.length === shown.length;
  dressCards();
}

function picture(one) {
  const own = one.picture;
  if (!own) return el("span", { class: "nothing" }, "no picture");
  if (own.width === undefined) return el("img", { src: own.href, alt: "", decoding: "async" });
  return svg(
    "svg",
    { viewBox: [own.x, own.y, own.width, own.height].join(" "), "aria-hidden": "true", preserveAspectRatio: "xMidYMid slice" },
    svg("image", { href: own.href, x: own.x, y: own.y, width: own.width, height: own.height, preserveAspectRatio: "none" }),
    svg("polygon", { points: pairs(one.ring) }),
  );
}

function sizeOf(one) {
  return one.length === null ? "" : `${NUMBER.format(one.length)} × ${NUMBER.format(one.width)} m`;
}

function markButtons(one) {
  const button = (value, text) =>
    el("button", { type: "button", class: value, "data-mark": value, onclick: () => mark(one, reviewOf(one) === value ? "" : value) }, text);
  return el("div", { class: "marks", role: "group", "aria-label": `Review of detection ${one.id}` }, button("right", "✓ Right"), button("wrong", "✗ Wrong"));
}

function card(one) {
  const name = `Detection ${one.id}, ${one.label}, score ${one.score.toFixed(2)}, ${sizeOf(one)}: show on the map`;
  const node = el(
    "article",
    { class: "card", id: "card-" + one.id },
    el("button", { type: "button", class: "picture", "aria-label": name, onclick: () => { choose(one, { go: true }); at("overview").scrollIntoView(); } }, picture(one)),
    el("p", {}, el("b", {}, one.label), " ", el("span", { class: "score" }, one.score.toFixed(2)), el("span", { class: "number" }, "#" + one.id)),
    el("p", { class: "quiet" }, sizeOf(one)),
    markButtons(one),
  );
  cards.set(one.id, node);
  return node;
}

function dress(node, one) {
  for (const button of node.querySelectorAll("[data-mark]")) {
    button.setAttribute("aria-pressed", String(reviewOf(one) === button.dataset.mark));
  }
  node.classList.toggle("is-right", reviewOf(one) === "right");
  node.classList.toggle("is-wrong", reviewOf(one) === "wrong");
  node.classList.toggle("is-chosen", one === state.chosen);
}

function dressCards() {
  for (const [id, node] of cards) dress(node, byId.get(id));
}

function drawChosen() {
  const one = state.chosen;
  if (!one) {
    at("chosen").replaceChildren(el("p", { class: "quiet" }, "Choose a detection on the map or below."));
    return;
  }
  const rows = [
    ["Score", one.score.toFixed(3)],
    ["Size", sizeOf(one)],
    ["Heading", one.heading === null ? "" : `${one.heading}° or ${one.heading + 180}°`],
    ["Area", one.area === null ? "" : `${one.area.toLocaleString("en")} m²`],
    ["Read at", one.scale === 1 ? "full resolution" : "1:" + one.scale],
    ["Window", String(one.window)],
  ].filter((row) => row[1]);
  const list = el("dl", {}, ...rows.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
  const node = el(
    "article",
    { class: "card large" },
    el("div", { class: "picture" }, picture(one)),
    el("p", {}, el("b", {}, one.label), el("span", { class: "number" }, "#" + one.id)),
    list,
    markButtons(one),
  );
  dress(node, one);
  at("chosen").replaceChildren(node);
}

function stepTo(by) {
  if (!shown.length) return;
  const now = shown.indexOf(state.chosen);
  const next = now < 0 ? (by > 0 ? 0 : shown.length - 1) : Math.min(Math.max(now + by, 0), shown.length - 1);
  choose(shown[next], { go: true });
}

at("more").addEventListener("click", () => {
  pages += 1;
  drawCards();
});
listeners.push(dressCards, drawChosen);
