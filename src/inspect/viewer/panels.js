// The panels: what is known of what was chosen, as elements. All text goes in as text.
function el(tag, attributes, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "on") e.addEventListener("click", value);
    else if (name === "text") e.textContent = value;
    else if (value !== undefined && value !== false) e.setAttribute(name, value);
  }
  e.append(...children.filter(c => c !== null && c !== undefined && c !== ""));
  return e;
}
const h3 = text => el("h3", { text });
const link = (text, on, title) => el("button", { class: "link", on, title }, text);
const facts = pairs => el("dl", {}, ...pairs.filter(p => p[1] !== undefined && p[1] !== "" && p[1] !== null)
  .flatMap(([name, value]) => [el("dt", { text: name }), el("dd", {}, value)]));
const whyOf = rule => { for (const s of REPORT.stages) for (const r of s.rules || []) if (r.name === rule && r.why) return r.why; return ""; };

function nodePanel(node) {
  const out = [], nodeLink = id => {
    const other = view.byId.get(id);
    return other ? el("li", { class: "row" }, link("%" + id + " " + (other.name || other.op), () => choose(id, null, true)), el("span", { class: "end mono", text: other.number !== undefined ? other.number : other.type })) : null;
  };
  out.push(el("h2", {}, view.boxOf.has(node.id) ? view.boxOf.get(node.id).title : node.op, " ", el("span", { class: "chip", text: "%" + node.id })));
  out.push(el("p", { class: "sub mono", text: node.type }));
  out.push(h3("Operation"));
  out.push(facts([["size", bytes(node.bytes)], ["attributes", node.attributes && el("span", { class: "mono", text: node.attributes })],
    ["recorded at", node.source && el("span", { class: "mono", title: fullPlace(node.source), text: fullPlace(node.source) })],
    ["within", node.trail],
    ["also at", node.also && node.also.map(fullPlace).join(", ")]]));
  if (node.groups) {
    out.push(h3("Schedule"));
    const where = { inline: "computed where it is used, never stored", memory: "goes through memory", registers: "stays in registers or cache" }[node.value];
    out.push(el("p", { text: where + (node.why ? ": " + node.why : "") }));
    const groups = node.groups.map(g => view.graph.groups[g]).filter(Boolean);
    out.push(el("ul", {}, ...groups.map(g => el("li", { class: "row" }, link(groupName(g), () => choose(null, g.number, true)), el("span", { class: "end", text: time(groupTime(g) || undefined) })))));
  }
  if (node.rules) {
    out.push(h3("Rules behind it"));
    for (const rule of node.rules) out.push(el("p", { class: "mono", text: rule }), el("p", { class: "why", text: whyOf(rule) }));
  }
  const inputs = node.inputs.map(nodeLink), users = (view.users.get(node.id) || []).map(nodeLink);
  if (inputs.length) out.push(h3("Reads"), el("ul", {}, ...inputs));
  if (users.length) out.push(h3("Read by"), el("ul", {}, ...users.slice(0, 40)));
  if (node.bodies) out.push(h3("Holds"), el("ul", {}, ...node.bodies.map(b => el("li", {}, link(STAGE.get(view.stage).graphs[b].title, () => openGraph(view.stage, b))))));
  out.push(...elsewhere(node));
  return out;
}

// Operations from the same line in other stages.
function elsewhere(node) {
  if (!node.source) return [];
  const same = n => n.source && n.source.line === node.source.line && n.source.column === node.source.column && n.source.file === node.source.file;
  const rows = [];
  for (const stage of REPORT.stages) {
    if (!stage.graphs || stage.name === view.stage) continue;
    const found = stage.graphs[0].nodes.filter(n => same(n) && n.number === undefined);
    if (found.length) rows.push(el("li", { class: "row" }, link(stage.name, () => { openStage(stage.name); choose((found.find(n => n.trail === node.trail && n.op === node.op) || found[found.length - 1]).id, null, true); }), el("span", { class: "end", text: found.length + (found.length === 1 ? " operation" : " operations") })));
  }
  return rows.length ? [h3("The same line in other stages"), el("ul", {}, ...rows)] : [];
}

function launchFacts(l) {
  return facts([["what", l.text], ["predicted", l.predicted_ns !== undefined ? time(l.predicted_ns) + " on one core" : ""], ["measured", time(l.measured_ns)],
    ["reads", bytes(l.bytes_read) || l.reads && l.reads + " bytes"], ["writes", bytes(l.bytes_written) || l.writes && l.writes + " bytes"],
    ["when", l.once ? "once, for the weights; not in a run" : ""]]);
}

function groupPanel(group) {
  const out = [el("h2", {}, group.kind + " " + group.number), el("p", { class: "sub", text: group.title })];
  const launches = launchesOf(group);
  for (const l of launches) out.push(h3("Launch " + l.number + (l.kernel !== undefined ? " of kernel k" + l.kernel : "")), launchFacts(l));
  if (!launches.length) out.push(el("p", { class: "note", text: "No launch of its own: what it computes is computed by those who read it, or there is nothing to do." }));
  out.push(h3("Computes"));
  for (const id of group.members) {
    const node = view.byId.get(id);
    if (!node) continue;
    out.push(el("div", { class: "row" }, link("%" + id + " " + node.op, () => choose(id, null, true)), el("span", { class: "end mono", text: node.type })));
    if (node.why) out.push(el("p", { class: "why", text: (node.value === "memory" ? "In memory: " : "Once: ") + node.why + "." }));
  }
  if (group.cuts) {
    out.push(h3("Why not together with"));
    for (const cut of group.cuts) {
      const other = view.graph.groups[cut.group], node = view.byId.get(cut.node);
      out.push(el("div", {}, link(groupName(other), () => choose(null, cut.group, true))));
      out.push(el("p", { class: "why", text: "%" + cut.node + " " + (node ? node.op : "") + ": " + cut.why + "." }));
    }
  }
  const kernels = [...new Set(launches.map(l => l.kernel).filter(k => k !== undefined))];
  for (const k of kernels) {
    out.push(h3("Kernel k" + k), code(KERNELS[k].ir));
    if (KERNELS[k].native) out.push(el("p", { class: "row" }, link("machine code, " + KERNELS[k].code_bytes + " bytes", () => { kernelShown = k; openStage("native"); })));
  }
  return out;
}

// How often each operation occurs, beside the stage before.
function stagePanel(stage) {
  const s = STAGE.get(stage), out = [el("h2", { text: stage }), el("p", { class: "sub", text: s.about })];
  const before = REPORT.stages[REPORT.stages.indexOf(s) - 1];
  if (s.same_as) out.push(el("p", { class: "note", text: "Changed nothing: the same as " + s.same_as + "." }));
  if (REPORT.stages[0] === s) for (const note of REPORT.notes) out.push(el("p", { class: "note", text: note }));
  if (s.graphs) {
    const count = graphs => { const m = new Map(); for (const g of graphs) for (const n of g.nodes) if (n.number === undefined) m.set(n.op, (m.get(n.op) || 0) + 1); return m; };
    const now = count(s.graphs), then = before && before.graphs && !s.same_as ? count(before.graphs) : null;
    const all = [...new Set([...now.keys(), ...(then ? then.keys() : [])])].sort((a, b) => (now.get(b) || 0) - (now.get(a) || 0) || a.localeCompare(b));
    out.push(h3("Operations" + (then ? ", beside " + before.name : "")));
    out.push(el("table", {}, ...all.map(op => {
      const a = now.get(op) || 0, d = then ? a - (then.get(op) || 0) : 0;
      return el("tr", {}, el("td", {}, link(op, () => searchFor(op))), el("td", { class: "num", text: a }), then ? el("td", { class: "num " + (d > 0 ? "up" : "down"), text: d === 0 ? "" : (d > 0 ? "+" : "−") + Math.abs(d) }) : "");
    })));
    const known = s.graphs.flatMap(g => g.nodes).filter(n => n.bytes !== undefined && n.number === undefined);
    if (known.length) out.push(h3("Values"), facts([["all together", bytes(known.reduce((a, n) => a + n.bytes, 0))], ["largest", bytes(Math.max(...known.map(n => n.bytes)))]]));
  }
  if ((s.rules || []).length && !s.same_as) {
    out.push(h3("Rules behind operations"));
    for (const r of [...s.rules].sort((a, b) => b.nodes - a.nodes)) out.push(el("div", { class: "row" }, el("button", { class: "link mono", on: () => searchFor(r.name), text: r.name }), el("span", { class: "end", text: r.nodes })), el("p", { class: "why", text: r.why }));
  }
  if (stage === "schedule") out.push(...summary());
  if (REPORT.stages[0] === s && REPORT.versions.length) out.push(h3("Compiled because"), el("ul", {}, ...REPORT.versions.map(v => el("li", { class: "why", text: v }))));
  return out;
}

function summary() {
  const main = LAUNCHES.filter(l => !l.once);
  const sum = (list, f) => list.some(l => f(l) !== undefined) ? list.reduce((a, l) => a + (f(l) || 0), 0) : undefined;
  return [h3("A run"), facts([["launches", main.length], ["kernels", new Set(main.map(l => l.kernel).filter(k => k !== undefined)).size], ["once, for the weights", main.length < LAUNCHES.length ? LAUNCHES.length - main.length + " more" : ""], ["predicted", time(sum(main, l => l.predicted_ns))], ["measured", time(sum(main, l => l.measured_ns))], ["read", bytes(sum(main, l => l.bytes_read))], ["written", bytes(sum(main, l => l.bytes_written))]])];
}

let byTime = false, kernelShown = 0;
// Launches beside the picture, kernels beside their code.
function launchList() {
  const order = LAUNCHES.filter(l => view && l.group !== undefined || l.kernel !== undefined || l.kind !== "kernel");
  if (byTime) order.sort((a, b) => (timeOf(b) || 0) - (timeOf(a) || 0));
  const head = el("div", { class: "head" }, h3(LAUNCHES.length + (LAUNCHES.length === 1 ? " launch" : " launches") + (MEASURED ? ", measured" : ", predicted")),
    el("button", { class: "order", on: () => { byTime = !byTime; refresh(); }, text: byTime ? "in order" : "by time" }));
  return [head, ...order.map(l => {
    const t = timeOf(l), title = launchTitle(l);
    const on = chosen.group !== null && chosen.group === l.group && (l.graph || 0) === view.number;
    return el("button", { class: "launch" + (on ? " on" : ""), title, on: () => { if (l.group === undefined) return; if (view.number !== (l.graph || 0)) openGraph("schedule", l.graph || 0); choose(null, l.group, true); } },
      el("div", { class: "name" }, el("b", { text: title }), el("span", { text: time(t) })),
      el("div", { class: "more", text: (l.once ? "once, for the weights · " : "") + l.text + (l.bytes_read !== undefined ? " · " + bytes(l.bytes_read + l.bytes_written) : "") }),
      el("div", { class: "bar" }, el("i", { style: "width:" + Math.max(.5, 100 * (t || 0) / SLOWEST) + "%" })));
  })];
}

function launchTitle(l) {
  const graphs = STAGE.get("schedule") ? STAGE.get("schedule").graphs : [];
  const graph = graphs[l.graph || 0], group = graph && l.group !== undefined && graph.groups ? graph.groups[l.group] : null;
  return !group ? l.kind : group.kind === "product" && l.kind === "kernel" ? "pack for " + group.title : group.title;
}

function kernelList() {
  return [el("div", { class: "head" }, h3(KERNELS.length + (KERNELS.length === 1 ? " kernel" : " kernels"))), ...KERNELS.map(k => {
    const launches = k.launches.map(n => LAUNCHES[n]), t = launches.reduce((a, l) => a + (timeOf(l) || 0), 0);
    return el("button", { class: "launch" + (k.number === kernelShown ? " on" : ""), on: () => { kernelShown = k.number; refresh(); document.getElementById("document").scrollTop = 0; } },
      el("div", { class: "name" }, el("b", { text: "k" + k.number + (launches[0] ? " · " + launchTitle(launches[0]) : "") }), el("span", { text: time(t || undefined) })),
      el("div", { class: "more", text: launches.length + (launches.length === 1 ? " launch" : " launches") + (k.code_bytes ? " · " + bytes(k.code_bytes) + " of code" : "") }),
      el("div", { class: "bar" }, el("i", { style: "width:" + Math.max(.5, 100 * t / Math.max(1, TOTAL)) + "%" })));
  })];
}

const TOKENS = /(;[^\n]*)|(\b(?:kernel|outer|lanes|inner|stage|ordered|none|read|write|readwrite|guard|local)\b)|(\b[vbkioL]\d+\b)|(\b(?:0x[0-9a-f]+|-?\d[\d.e+-]*)\b)/g;
function code(text, pattern) {
  const pre = el("pre", {});
  let last = 0;
  for (const m of text.matchAll(pattern || TOKENS)) {
    pre.append(text.slice(last, m.index), el("span", { class: m[1] ? "c" : m[2] ? "k" : m[3] ? "v" : "n", text: m[0] }));
    last = m.index + m[0].length;
  }
  pre.append(text.slice(last));
  return pre;
}

function kernelDocument(native) {
  const k = KERNELS[kernelShown];
  if (!k) return [el("p", { class: "sub", text: "The program runs no kernels." })];
  const out = [el("h2", {}, "Kernel k" + k.number)];
  out.push(el("p", { class: "sub", text: k.launches.map(n => "launch " + n + ": " + LAUNCHES[n].text).slice(0, 6).join("; ") }));
  const columns = el("div", { class: "columns" }), column = (title, pre) => columns.append(el("div", {}, h3(title), pre));
  column("Loop nest", code(k.ir));
  if (native && k.native) {
    const text = k.native.map(i => (i.label ? i.label + ":\n" : "") + "  " + i.offset.toString(16).padStart(5) + "  " + i.text).join("\n");
    column("Machine code: " + k.native.length + " instructions, " + bytes(k.code_bytes) + ", " + bytes(k.constant_bytes) + " of constants",
      code(text, /(^\s+[0-9a-f]+ )|((?<=^\s+[0-9a-f]+ +)\w+)|(\bL\d+\b:?|\[[^\]]*\])|(\b(?:0x[0-9a-f]+|\d+)\b)/gm));
  } else if (k.vector) column("Vector code", code(k.vector));
  out.push(columns);
  return out;
}

function memoryDocument() {
  const end = Math.max(1, ...BUFFERS.map(b => b.live[1])) + 1;
  const rows = BUFFERS.map(b => {
    const kind = b.place.startsWith("input") ? "input" : b.place.startsWith("output") ? "output" : "arena";
    const bar = el("i", { class: kind, style: "left:" + 100 * b.live[0] / end + "%;width:" + 100 * (b.live[1] - b.live[0] + 1) / end + "%" });
    return el("tr", {}, el("td", { class: "mono", text: "b" + b.number }), el("td", { class: "mono", text: b.type }), el("td", { text: b.place }), el("td", { class: "num", text: bytes(b.bytes) }), el("td", {}, el("div", { class: "life", title: "steps " + b.live[0] + " to " + b.live[1] }, bar)));
  });
  return [el("h2", { text: "Memory" }), el("p", { class: "sub", text: BUFFERS.length + " buffers over " + (end - 1) + " steps. Buffers whose lives do not meet share places of the arena, which are chosen when sizes are known." }),
    el("table", {}, el("tr", {}, ...["buffer", "elements", "place"].map(t => el("th", { text: t })), el("th", { class: "num", text: "bytes" }), el("th", { text: "life" })), ...rows)];
}
