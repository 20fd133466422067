// The map: pixels of the scene's grid, moved and zoomed by the view box.
const map = at("map");
const view = { x: record.size[0] / 2, y: record.size[1] / 2, step: 1, isWhole: true }; // middle; scene pixels a screen pixel
const shapes = new Map();
const layers = {};

function drawMap() {
  const [width, height] = record.size;
  map.append(svg("rect", { class: "ground", x: 0, y: 0, width, height }));
  const picture = (one, name) => svg("image", { ...one, class: name, preserveAspectRatio: "none" });
  if (record.whole) map.append((layers.whole = picture(record.whole, "whole")));
  if (record.expected) map.append((layers.expected = picture(record.expected, "expected")));
  layers.windows = svg("g", { class: "windows" });
  for (const one of record.windows) layers.windows.append(svg("path", { d: one.path, class: one.kind }));
  layers.detections = svg("g", { class: "detections" });
  for (const one of [...record.detections].reverse()) {
    const shape = svg("polygon", { points: pairs(one.ring) });
    shapes.set(one.id, shape);
    layers.detections.append(shape);
  }
  for (const one of record.added) layers.detections.append(svg("polygon", { points: pairs(one.ring), class: "missed" }));
  layers.missed = svg("g", { class: "missed" });
  map.append(layers.windows, layers.detections, layers.missed);
}

function sides() {
  return { width: Math.max(map.clientWidth, 1), height: Math.max(map.clientHeight, 1) };
}

function whole() {
  const { width, height } = sides();
  view.x = record.size[0] / 2;
  view.y = record.size[1] / 2;
  view.step = Math.max(record.size[0] / width, record.size[1] / height) * 1.02;
  place();
  view.isWhole = true;
}

function place() {
  view.isWhole = false;
  const { width, height } = sides();
  view.x = Math.min(Math.max(view.x, 0), record.size[0]);
  view.y = Math.min(Math.max(view.y, 0), record.size[1]);
  const box = [view.x - (width * view.step) / 2, view.y - (height * view.step) / 2, width * view.step, height * view.step];
  map.setAttribute("viewBox", box.map((value) => value.toFixed(3)).join(" "));
  drawBar();
}

function drawBar() {
  const metres = 100 * view.step * record.pixelM;
  const power = 10 ** Math.floor(Math.log10(metres));
  const length = Math.max(...[1, 2, 5].filter((factor) => factor * power <= metres)) * power;
  const text = record.unit === "m" && length >= 1000 ? length / 1000 + " km" : length + " " + record.unit;
  const [bar, words] = at("scalebar").children;
  bar.style.width = length / (view.step * record.pixelM) + "px";
  words.textContent = text;
}

function zoom(factor, point) {
  const anchor = point || view;
  const { width, height } = sides();
  const widest = Math.max(record.size[0] / width, record.size[1] / height) * 1.5;
  const step = Math.min(Math.max(view.step * factor, 0.02), widest);
  view.x = anchor.x + ((view.x - anchor.x) * step) / view.step;
  view.y = anchor.y + ((view.y - anchor.y) * step) / view.step;
  view.step = step;
  place();
}

function move(columns, rows) {
  view.x += columns * view.step;
  view.y += rows * view.step;
  place();
}

function goTo(one) {
  if (!one.middle) return;
  const { width, height } = sides();
  view.x = one.middle.x;
  view.y = one.middle.y;
  view.step = Math.min(view.step, Math.max((one.middle.across * 8) / Math.min(width, height), 0.05));
  place();
}

function pointOf(event) {
  const box = map.getBoundingClientRect();
  const { width, height } = sides();
  return {
    x: view.x + (event.clientX - box.left - width / 2) * view.step,
    y: view.y + (event.clientY - box.top - height / 2) * view.step,
  };
}

function nearest(point) {
  let best = null;
  let least = 12 * view.step; // twelve screen pixels from the outline at most
  for (const one of record.detections) {
    if (!one.middle) continue;
    const away = Math.hypot(one.middle.x - point.x, one.middle.y - point.y) - one.middle.across / 2;
    if (away < least) [best, least] = [one, away];
  }
  return best;
}

const fingers = new Map();
let dragged = 0;

map.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  if (!fingers.size) dragged = 0;
  fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  map.setPointerCapture(event.pointerId);
});

map.addEventListener("pointermove", (event) => {
  const before = fingers.get(event.pointerId);
  if (!before) return;
  const now = { x: event.clientX, y: event.clientY };
  dragged += Math.hypot(now.x - before.x, now.y - before.y);
  if (fingers.size === 2) {
    const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
    const span = (a) => Math.max(Math.hypot(a.x - other.x, a.y - other.y), 1);
    const centre = { clientX: (now.x + other.x) / 2, clientY: (now.y + other.y) / 2 };
    zoom(span(before) / span(now), pointOf(centre));
    move((before.x - now.x) / 2, (before.y - now.y) / 2);
  } else if (dragged > 4) {
    move(before.x - now.x, before.y - now.y);
  }
  fingers.set(event.pointerId, now);
});

function lift(event) {
  const was = fingers.delete(event.pointerId);
  if (!was || event.type === "pointercancel" || dragged > 4 || fingers.size) return;
  const point = pointOf(event);
  if (state.adding) addMissed(point);
  else choose(nearest(point));
}
map.addEventListener("pointerup", lift);
map.addEventListener("pointercancel", lift);

map.addEventListener(
  "wheel",
  (event) => {
    event.preventDefault();
    zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaMode ? event.deltaY * 16 : event.deltaY)) * 0.005), pointOf(event));
  },
  { passive: false },
);

map.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const actions = {
    ArrowLeft: () => move(-60, 0),
    ArrowRight: () => move(60, 0),
    ArrowUp: () => move(0, -60),
    ArrowDown: () => move(0, 60),
    "+": () => zoom(1 / 1.5),
    "=": () => zoom(1 / 1.5),
    "-": () => zoom(1.5),
    0: whole,
  };
  if (!actions[event.key]) return;
  event.preventDefault();
  actions[event.key]();
});

at("zoom-in").addEventListener("click", () => zoom(1 / 1.5));
at("zoom-out").addEventListener("click", () => zoom(1.5));
at("zoom-all").addEventListener("click", whole);

function showLayers() {
  for (const name of ["whole", "expected", "windows", "detections"]) {
    const box = at("show-" + name);
    if (box && layers[name]) layers[name].classList.toggle("off", !box.checked);
  }
}
at("layers").addEventListener("change", showLayers);

listeners.push(() => {
  for (const one of record.detections) {
    shapes.get(one.id).setAttribute("class", reviewOf(one) + (one === state.chosen ? " chosen" : ""));
  }
  if (state.chosen) layers.detections.append(shapes.get(state.chosen.id)); // on top
  layers.missed.replaceChildren(
    ...state.missed.map((one) => {
      const side = one.size_m / record.pixelM;
      return svg("rect", { x: one.column - side / 2, y: one.row - side / 2, width: side, height: side });
    }),
  );
});
