// What is shown now, and how one moves about.
const $ = id => document.getElementById(id);
let stage = STAGE.has(DATA.first) ? DATA.first : REPORT.stages[0].name;
let found = [], at = -1;
const lastGraph = new Map();

$("title").textContent = REPORT.title;
$("facts").textContent = ["Lazulite " + REPORT.version, ...Object.entries(REPORT.sizes).map(([n, v]) => n + " = " + v)].join(" · ");

for (const s of REPORT.stages) {
  const nodes = s.graphs ? s.graphs.reduce((n, g) => n + g.nodes.filter(x => x.number === undefined).length, 0) : s.name === "memory" ? BUFFERS.length : KERNELS.length;
  $("tabs").append(el("button", { role: "tab", "data-stage": s.name, class: s.same_as ? "same" : "", title: s.about + (s.same_as ? " (changed nothing)" : ""), on: () => openStage(s.name) }, s.name, el("small", { text: nodes })));
}

function openStage(name) {
  if (!STAGE.has(name)) return;
  openGraph(name, lastGraph.get(name) || 0);
}

function openGraph(name, number) {
  stage = name; chosen.node = null; chosen.group = null; hovered = null;
  lastGraph.set(name, number);
  document.body.classList.toggle("reading", !GRAPH_STAGES.has(name));
  for (const tab of $("tabs").children) {
    tab.setAttribute("aria-selected", tab.dataset.stage === name);
    if (tab.dataset.stage === name) tab.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
  fillLeft();
  if (GRAPH_STAGES.has(name)) { show(name, number); legend(); bodies(name, number); }
  search($("search").value);
  refresh();
}

function fillLeft() {
  const list = stage === "schedule" && LAUNCHES.length ? launchList() : (stage === "kernel" || stage === "native") ? kernelList() : [];
  const top = $("left").scrollTop;
  $("left").replaceChildren(...list);
  $("left").scrollTop = top;
}

function refresh() {
  if (!GRAPH_STAGES.has(stage)) {
    $("document").replaceChildren(...(stage === "memory" ? memoryDocument() : kernelDocument(stage === "native")));
    fillLeft();
    $("right").replaceChildren(...stagePanel(stage), ...summary());
    return;
  }
  fillLeft();
  const group = chosen.group !== null ? view.graph.groups[chosen.group] : null;
  const node = chosen.node !== null ? view.byId.get(chosen.node) : null;
  $("right").replaceChildren(...(node ? nodePanel(node) : group ? groupPanel(group) : stagePanel(stage)));
  draw();
}

function choose(node, group, move) {
  chosen.node = node; chosen.group = group;
  if (move) {
    const box = node !== null ? view.boxOf.get(node) : view.groups[group];
    if (box) centre(box, node !== null ? .7 : Math.min(.7, .8 * canvas.clientHeight / Math.max(box.h, 1)));
  }
  refresh();
  $("right").scrollTop = 0;
}

function legend() {
  const used = new Set(view.boxes.map(b => b.node.class));
  $("legend").replaceChildren(...Object.entries(CLASSES).filter(([c]) => used.has(c)).map(([, [name, colour]]) => el("span", {}, el("i", { style: "background:" + colour }), name)));
}

function bodies(name, number) {
  const graphs = STAGE.get(name).graphs;
  $("bodies").replaceChildren();
  if (graphs.length < 2) return;
  const select = el("select", { "aria-label": "Graph" }, ...graphs.map((g, i) => el("option", { value: i, text: g.title })));
  select.value = number;
  select.addEventListener("change", () => openGraph(name, Number(select.value)));
  $("bodies").append(select);
}

const words = n => [n.op, n.name || "", "%" + n.id, n.type, n.attributes, n.trail, fullPlace(n.source), ...(n.rules || []), ...(n.also || []).map(fullPlace)].join(" ").toLowerCase();
function search(text) {
  const wanted = text.trim().toLowerCase().split(/\s+/).filter(Boolean);
  found = []; at = -1;
  if (wanted.length && GRAPH_STAGES.has(stage)) {
    found = view.boxes.filter(b => { if (!b.words) b.words = words(b.node); return wanted.every(w => b.words.includes(w)); });
    found.sort((a, b) => a.y - b.y || a.x - b.x);
  }
  hits = new Set(found.map(b => b.id));
  $("matches").textContent = wanted.length && GRAPH_STAGES.has(stage) ? found.length : "";
  draw();
}

function searchFor(text) { $("search").value = text; search(text); next(1); }

function next(by) {
  if (!found.length) return;
  at = at < 0 ? (by > 0 ? 0 : found.length - 1) : (at + by + found.length) % found.length;
  choose(found[at].id, null, true);
  $("matches").textContent = at + 1 + "/" + found.length;
}

function theme(name) {
  document.documentElement.dataset.theme = name;
  $("theme").textContent = name === "dark" ? "☀" : "☾";
  readInk(); mapImage = null; draw();
  try { localStorage.setItem("lazulite-theme", name); } catch (e) { /* Pages from files may have no storage. */ }
}
const toggleTheme = () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");

const KEYS = [["/", "search"], ["n  N", "next, previous match"], ["[  ]", "stage before, after"], ["1 … 9", "stage by number"], ["+  −  0", "closer, farther, all of it"], ["arrows", "move; with an operation chosen: along its edges"], ["Esc", "let go"], ["t", "light or dark"], ["?", "these keys"]];
$("help").append(el("h2", { text: "Keys" }), el("dl", {}, ...KEYS.flatMap(([key, what]) => [el("dt", {}, el("kbd", { text: key })), el("dd", { text: what })])));
$("help").addEventListener("click", () => $("help").close());

// Along edges: up to the first operand, down to the first user, aside in the same row.
function walk(key) {
  const box = view.boxOf.get(chosen.node);
  if (!box) return false;
  const ids = key === "ArrowUp" ? box.node.inputs : key === "ArrowDown" ? view.users.get(box.id) || [] : [];
  let target = ids.map(id => view.boxOf.get(id)).find(Boolean);
  if (key === "ArrowLeft" || key === "ArrowRight") {
    const side = key === "ArrowRight" ? 1 : -1, far = b => (b.x - box.x) * side;
    target = view.boxes.filter(b => b !== box && Math.abs(b.y - box.y) < b.h && far(b) > 0).sort((a, b) => far(a) - far(b))[0];
  }
  if (target) choose(target.id, null, true);
  return true;
}

document.addEventListener("keydown", e => {
  if (e.target === $("search")) {
    if (e.key === "Enter") { next(e.shiftKey ? -1 : 1); e.preventDefault(); }
    if (e.key === "Escape") { $("search").value = ""; search(""); canvas.focus(); }
    return;
  }
  if (e.ctrlKey || e.metaKey || e.altKey || $("help").open || e.target.tagName === "SELECT") return;
  const stages = REPORT.stages.map(s => s.name), graph = GRAPH_STAGES.has(stage), [w, h] = [canvas.clientWidth, canvas.clientHeight];
  const arrows = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };
  if (e.key === "/") $("search").focus();
  else if (e.key === "n") next(1);
  else if (e.key === "N") next(-1);
  else if (e.key === "[" || e.key === "]") openStage(stages[Math.min(stages.length - 1, Math.max(0, stages.indexOf(stage) + (e.key === "]" ? 1 : -1)))]);
  else if (/^[1-9]$/.test(e.key)) openStage(stages[e.key - 1]);
  else if (e.key === "t") toggleTheme();
  else if (e.key === "?") $("help").showModal();
  else if (e.key === "Escape") choose(null, null);
  else if (graph && (e.key === "+" || e.key === "=")) zoom(1.3, w / 2, h / 2);
  else if (graph && e.key === "-") zoom(1 / 1.3, w / 2, h / 2);
  else if (graph && (e.key === "0" || e.key === "f")) { fit(); draw(); }
  else if (graph && arrows[e.key]) {
    if (chosen.node === null || !walk(e.key)) { eye.x += arrows[e.key][0] * 90 / eye.scale; eye.y += arrows[e.key][1] * 90 / eye.scale; draw(); }
  } else return;
  e.preventDefault();
});

let grip = null;
canvas.addEventListener("pointerdown", e => { canvas.setPointerCapture(e.pointerId); canvas.focus(); grip = { x: e.offsetX, y: e.offsetY, eye: { ...eye }, moved: false }; });
canvas.addEventListener("pointermove", e => {
  if (grip) {
    const [dx, dy] = [e.offsetX - grip.x, e.offsetY - grip.y];
    if (Math.abs(dx) + Math.abs(dy) > 4) grip.moved = true;
    if (grip.moved) { canvas.classList.add("dragging"); eye.x = grip.eye.x - dx / eye.scale; eye.y = grip.eye.y - dy / eye.scale; draw(); }
    return;
  }
  const thing = under(e.offsetX, e.offsetY);
  canvas.classList.toggle("over", !!thing);
  canvas.title = thing && thing.node ? [thing.title + " : " + thing.node.type, fullPlace(thing.node.source), thing.node.trail].filter(Boolean).join("\n") : "";
  if (thing !== hovered) { hovered = thing; draw(); }
});
canvas.addEventListener("pointerup", e => {
  canvas.classList.remove("dragging");
  if (grip && !grip.moved) { const thing = under(e.offsetX, e.offsetY); choose(thing && thing.node ? thing.id : null, thing && thing.group ? thing.group.number : null); }
  grip = null;
});
canvas.addEventListener("dblclick", e => { const thing = under(e.offsetX, e.offsetY); if (thing) centre(thing, 1); else zoom(2, e.offsetX, e.offsetY); });
canvas.addEventListener("wheel", e => {
  e.preventDefault();
  if (e.shiftKey) { eye.x += (e.deltaY || e.deltaX) / eye.scale; draw(); return; }
  const step = e.deltaMode === 1 ? e.deltaY * 18 : e.deltaY;
  zoom(Math.exp(-Math.max(-120, Math.min(120, step)) * (e.ctrlKey ? .01 : .0022)), e.offsetX, e.offsetY);
}, { passive: false });
map.addEventListener("pointerdown", e => { map.setPointerCapture(e.pointerId); toMap(e); });
map.addEventListener("pointermove", e => { if (e.buttons) toMap(e); });
function toMap(e) {
  eye.x = (e.offsetX - 6) / mapImage.s - canvas.clientWidth / 2 / eye.scale;
  eye.y = (e.offsetY - 6) / mapImage.s - canvas.clientHeight / 2 / eye.scale;
  draw();
}
$("zoom").addEventListener("click", e => {
  const what = e.target.dataset.do, [x, y] = [canvas.clientWidth / 2, canvas.clientHeight / 2];
  if (what === "in") zoom(1.4, x, y); else if (what === "out") zoom(1 / 1.4, x, y); else if (what === "fit") { fit(); draw(); }
});
$("search").addEventListener("input", () => search($("search").value));
$("theme").addEventListener("click", toggleTheme);
$("keys").addEventListener("click", () => $("help").showModal());
window.addEventListener("resize", draw);

let kept = null;
try { kept = localStorage.getItem("lazulite-theme"); } catch (e) { /* As above. */ }
const asked = new URLSearchParams(location.hash.slice(1));
theme(asked.get("theme") || kept || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
openStage(asked.get("stage") || stage);
if (asked.has("group") && view) choose(null, Number(asked.get("group")), true);
if (asked.has("node") && view) choose(Number(asked.get("node")), null, true);
