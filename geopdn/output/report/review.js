// Review: right, wrong, missed; kept by the browser and saved as a file for `geopdn review`.
const size = el("input", { type: "number", min: 0.1, step: 0.1, value: record.missedSize, id: "missed-size" });
const label = el("select", { id: "missed-label" }, ...record.classes.map((name) => el("option", { value: name }, name)));
const adding = el("button", { type: "button", id: "add-missed", "aria-pressed": "false", onclick: () => setAdding(!state.adding) }, "Add missed objects");
const progress = el("p", { id: "progress", role: "status" });
const trouble = el("p", { class: "note", hidden: true }, "This browser keeps no marks: save them before you close the page.");
const added = el("ol", { id: "missed" });

function drawReview() {
  at("review").replaceChildren(
    el("h3", {}, "Review"),
    progress,
    trouble,
    el("div", { class: "row" }, adding),
    el(
      "div",
      { class: "row" },
      el("label", {}, `Size (${record.unit}) `, size),
      record.classes.length > 1 ? el("label", {}, "Class ", label) : null,
    ),
    added,
    el(
      "div",
      { class: "row" },
      el("button", { type: "button", id: "save", class: "main", onclick: save }, "Save the marks"),
      el("button", { type: "button", id: "forget", onclick: forget }, "Forget them"),
    ),
    el("p", { class: "quiet" }, "Then: ", el("code", {}, `geopdn review ${quoted(record.result)} ${quoted(marksName())}`)),
  );
}

function setAdding(on) {
  state.adding = on;
  adding.setAttribute("aria-pressed", String(on));
  adding.textContent = on ? "Click on the map… (m ends)" : "Add missed objects";
  map.classList.toggle("adding", on);
}

function addMissed(point) {
  const side = Number(size.value);
  const inside = point.x >= 0 && point.y >= 0 && point.x <= record.size[0] && point.y <= record.size[1];
  if (!inside || !(side > 0)) return;
  const exact = (value) => Math.round(value * 100) / 100;
  state.missed.push({ column: exact(point.x), row: exact(point.y), size_m: side, label: label.value });
  keep();
  changed();
}

function marksName() {
  return record.result.replace(/\.gpkg$/i, "") + ".marks.json";
}

function quoted(name) {
  return /^[\w.-]+$/.test(name) ? name : "'" + name.replaceAll("'", "'\\''") + "'";
}

function save() {
  const file = new Blob([JSON.stringify(marks(), null, 1) + "\n"], { type: "application/json" });
  const link = el("a", { href: URL.createObjectURL(file), download: marksName() });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function forget() {
  if (!window.confirm("Forget all marks made here? Those in the result stay.")) return;
  state.reviews.clear();
  for (const one of record.detections) if (one.review) state.reviews.set(one.id, one.review);
  state.missed = [];
  keep();
  changed();
}

function drawProgress() {
  const counts = { right: 0, wrong: 0 };
  for (const one of record.detections) if (reviewOf(one)) counts[reviewOf(one)] += 1;
  const n = counts.right + counts.wrong;
  const share = n ? `; ${Math.round((100 * counts.right) / n)} % of these right` : "";
  const missed = state.missed.length + record.added.length;
  progress.textContent =
    `${n} of ${record.detections.length} reviewed: ${counts.right} right, ${counts.wrong} wrong${share}. ` + `Missed objects added: ${missed}.`;
  trouble.hidden = state.kept;
  added.replaceChildren(
    ...state.missed.map((one, n) =>
      el(
        "li",
        {},
        `${one.label}, column ${Math.round(one.column)}, row ${Math.round(one.row)} `,
        el("button", { type: "button", "aria-label": `Remove missed object ${n + 1}`, onclick: () => { state.missed.splice(n, 1); keep(); changed(); } }, "×"),
      ),
    ),
  );
}

function markAndGoOn(value) {
  if (!state.chosen) return;
  mark(state.chosen, value);
  if (value) stepTo(1);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
  const actions = {
    r: () => markAndGoOn("right"),
    w: () => markAndGoOn("wrong"),
    u: () => markAndGoOn(""),
    n: () => stepTo(1),
    p: () => stepTo(-1),
    m: () => setAdding(!state.adding),
    Escape: () => setAdding(false),
  };
  if (actions[event.key]) actions[event.key]();
});

listeners.push(drawProgress);
load();
drawMap();
drawFilters();
drawReview();
filter();
showLayers();
whole();
changed();
new ResizeObserver(() => (view.isWhole ? whole() : place())).observe(map);
