"use strict";
// What the page knows: the report, with everything found by number.
const DATA = JSON.parse(document.getElementById("data").textContent);
const REPORT = DATA.report;
const LAYOUTS = new Map(DATA.layouts.map(l => [l.stage, l.graphs]));
const GRAPH_STAGES = new Set(REPORT.stages.filter(s => s.graphs).map(s => s.name));
const STAGE = new Map(REPORT.stages.map(s => [s.name, s]));
const KERNELS = REPORT.kernels || [];
const LAUNCHES = REPORT.launches || [];
const BUFFERS = REPORT.buffers || [];

// A stage that changed nothing has the picture of the one before.
function pictures(stage) {
  let name = stage;
  while (!LAYOUTS.has(name) && STAGE.get(name) && STAGE.get(name).same_as) name = STAGE.get(name).same_as;
  return LAYOUTS.get(name) || [];
}

const views = new Map();

// One graph of a stage, ready to be drawn.
function viewOf(stage, number) {
  const key = stage + "/" + number;
  if (views.has(key)) return views.get(key);
  const graph = STAGE.get(stage).graphs[number], picture = pictures(stage)[number];
  const byId = new Map(graph.nodes.map(n => [n.id, n]));
  const users = new Map();
  for (const node of graph.nodes) for (const input of node.inputs) {
    if (!users.has(input)) users.set(input, []);
    if (!users.get(input).includes(node.id)) users.get(input).push(node.id);
  }
  const boxes = picture.ids.map((id, i) => {
    const [x, y, w, h] = picture.nodes.slice(4 * i, 4 * i + 4);
    const node = byId.get(id);
    return { id, node, x, y, w, h, title: titleOf(node, byId) };
  });
  const boxOf = new Map(boxes.map(b => [b.id, b]));
  const groups = (graph.groups || []).map((group, i) => {
    const [x, y, w, h] = picture.groups.slice(4 * i, 4 * i + 4);
    return { group, x, y, w, h };
  });
  const edges = picture.edges.map(e => edgeOf(boxes[e[0]], boxes[e[1]], e));
  const view = { stage, number, graph, byId, users, boxes, boxOf, groups, edges, size: picture.size, grid: null };
  view.grid = gridOf(view);
  views.set(key, view);
  return view;
}

function titleOf(node, byId) {
  const numbers = node.inputs.map(i => byId.get(i)).filter(n => n && n.number !== undefined);
  return [node.name || node.op, ...numbers.map(n => n.number)].join(" ");
}

function edgeOf(from, to, list) {
  const points = [[from.x + from.w / 2, from.y + from.h]];
  for (let i = 2; i + 1 < list.length; i += 2) points.push([list[i], list[i + 1]]);
  points.push([to.x + to.w / 2, to.y]);
  let [l, t, r, b] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const [x, y] of points) { l = Math.min(l, x); t = Math.min(t, y); r = Math.max(r, x); b = Math.max(b, y); }
  return { from, to, points, box: [l, t, r, b] };
}

// Boxes by squares of the plane, to find what is under the pointer or on the screen.
const CELL = 512;
function gridOf(view) {
  const grid = new Map();
  const put = (kind, item, l, t, r, b) => {
    for (let cx = Math.floor(l / CELL); cx <= Math.floor(r / CELL); cx++)
      for (let cy = Math.floor(t / CELL); cy <= Math.floor(b / CELL); cy++) {
        const key = cx + "," + cy;
        if (!grid.has(key)) grid.set(key, { boxes: [], edges: [] });
        grid.get(key)[kind].push(item);
      }
  };
  for (const box of view.boxes) put("boxes", box, box.x, box.y, box.x + box.w, box.y + box.h);
  view.long = [];
  for (const edge of view.edges) {
    const [l, t, r, b] = edge.box;
    if ((r - l) * (b - t) > 16 * CELL * CELL || r - l > 8 * CELL || b - t > 8 * CELL) view.long.push(edge);
    else put("edges", edge, l, t, r, b);
  }
  return grid;
}

function near(view, l, t, r, b) {
  const boxes = new Set(), edges = new Set();
  const cells = ((r - l) / CELL + 1) * ((b - t) / CELL + 1);
  const add = cell => { cell.boxes.forEach(x => boxes.add(x)); cell.edges.forEach(x => edges.add(x)); };
  if (cells > view.grid.size) view.grid.forEach(add);
  else for (let cx = Math.floor(l / CELL); cx <= Math.floor(r / CELL); cx++)
    for (let cy = Math.floor(t / CELL); cy <= Math.floor(b / CELL); cy++) {
      const cell = view.grid.get(cx + "," + cy);
      if (cell) add(cell);
    }
  for (const e of view.long) if (e.box[0] <= r && e.box[2] >= l && e.box[1] <= b && e.box[3] >= t) edges.add(e);
  return { boxes, edges };
}

const MEASURED = LAUNCHES.some(l => l.measured_ns !== undefined);
// What is done once takes no time of a run.
const timeOf = launch => launch.once ? undefined : MEASURED ? launch.measured_ns : launch.predicted_ns;
const SLOWEST = Math.max(1, ...LAUNCHES.map(l => timeOf(l) || 0));
const TOTAL = LAUNCHES.reduce((sum, l) => sum + (timeOf(l) || 0), 0);

// The launches of a group; those of bodies are numbered by graph.
const launchesOf = group => (group.launches || []).map(l => LAUNCHES[l]).filter(Boolean);
const groupTime = group => launchesOf(group).reduce((sum, l) => sum + (timeOf(l) || 0), 0);

function time(ns) {
  if (ns === undefined || ns === null) return "";
  if (ns < 1e3) return ns.toFixed(0) + " ns";
  if (ns < 1e6) return (ns / 1e3).toFixed(ns < 1e5 ? 1 : 0) + " µs";
  if (ns < 1e9) return (ns / 1e6).toFixed(2) + " ms";
  return (ns / 1e9).toFixed(2) + " s";
}

function bytes(n) {
  if (n === undefined || n === null) return "";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (n >= 1024 && unit + 1 < units.length) { n /= 1024; unit++; }
  return (unit === 0 ? n : n.toFixed(n < 10 ? 2 : 1)) + " " + units[unit];
}

const place = s => s ? s.file.split("/").pop() + ":" + s.line : "";
const fullPlace = s => s ? s.file + ":" + s.line + ":" + s.column : "";

const CLASSES = {
  parameter: ["parameter", "#64748b"], pointwise: ["pointwise", "#2f6fed"], aggregate: ["reduction", "#d97706"],
  product: ["product", "#8b3fd1"], view: ["view", "#94a3b8"], index: ["index", "#0d9488"],
  leaf: ["generator", "#c026a3"], region: ["composite, control", "#15803d"], other: ["other", "#b45309"],
};
const colourOf = node => (CLASSES[node.class] || CLASSES.other)[1];
