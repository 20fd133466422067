"use strict";
// What is shown and what is marked. Text from outside only ever becomes text nodes and attributes.
const record = JSON.parse(document.getElementById("record").textContent);
const KEY = "geopdn:" + record.digest;
const NUMBER = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const byId = new Map(record.detections.map((one) => [one.id, one]));
const listeners = [];
const state = { chosen: null, adding: false, kept: true, reviews: new Map(), missed: [] };

function at(id) {
  return document.getElementById(id);
}

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function el(tag, attributes, ...children) {
  return build(document.createElement(tag), attributes, children);
}

function svg(tag, attributes, ...children) {
  return build(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function pairs(ring) {
  const points = [];
  for (let n = 0; n < ring.length; n += 2) points.push(ring[n] + "," + ring[n + 1]);
  return points.join(" ");
}

function middle(ring) {
  let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
  for (let n = 0; n < ring.length; n += 2) {
    x0 = Math.min(x0, ring[n]); x1 = Math.max(x1, ring[n]);
    y0 = Math.min(y0, ring[n + 1]); y1 = Math.max(y1, ring[n + 1]);
  }
  return { x: (x0 + x1) / 2, y: (y0 + y1) / 2, across: Math.max(x1 - x0, y1 - y0) };
}

for (const one of record.detections) {
  one.middle = one.ring.length ? middle(one.ring) : null;
  if (one.review) state.reviews.set(one.id, one.review);
}

// Marks: kept by the browser where it lets us, under a name that only these detections have.
function load() {
  try {
    const saved = JSON.parse(window.localStorage.getItem(KEY) || "null");
    if (!saved) return;
    for (const [id, mark] of Object.entries(saved.reviews || {})) {
      if (byId.has(Number(id)) && ["right", "wrong", ""].includes(mark)) state.reviews.set(Number(id), mark);
    }
    for (const one of saved.missed || []) {
      if ([one.column, one.row, one.size_m].every(Number.isFinite) && record.classes.includes(one.label)) {
        state.missed.push({ column: one.column, row: one.row, size_m: one.size_m, label: one.label });
      }
    }
  } catch (error) {
    state.kept = false;
  }
}

function marks() {
  return {
    format: record.format,
    result: record.result,
    digest: record.digest,
    reviews: Object.fromEntries([...state.reviews].sort((a, b) => a[0] - b[0])),
    missed: state.missed,
  };
}

function keep() {
  try {
    window.localStorage.setItem(KEY, JSON.stringify(marks()));
    state.kept = true;
  } catch (error) {
    state.kept = false;
  }
}

function changed() {
  for (const listener of listeners) listener();
}

function reviewOf(one) {
  return state.reviews.get(one.id) || "";
}

function mark(one, value) {
  state.reviews.set(one.id, value);
  keep();
  changed();
}

function choose(one, options) {
  state.chosen = one;
  changed();
  if (one && options && options.go) goTo(one);
}
