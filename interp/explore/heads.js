// The head explorer: one module for a notebook's widget and for an exported page.
//
// `state` says what there is: models, their windows with their tokens, metrics, methods, groups, domains. Everything
// else is asked for: `ask(request, progress)` promises an answer, from a kernel or out of the page, and is asked once.
// A request is a list of plain values, such as ["attention", model, window, layer, head].
// All text is set as text, never as markup: tokens come from a corpus.

const METRICS = {
  log_prob: ["log-probability", "nats per token"],
  rate: ["rate of M = 1", "share of windows"],
  score: ["mean M", "share of tokens"],
};
const METHODS = { zero: "zero", mean: "mean", resample: "resample", peer_mean: "peer mean" };
const COLOURINGS = { value: "by value", symlog: "symmetric log", rank: "by rank" };
const TARGETS = {
  first: "first token", start: "next four", rare: "rare tokens", induction: "earlier match", entropy: "entropy, nats",
};
const BLUE_TO_RED = {
  light: ["#0a3d73", "#2166ac", "#67a9cf", "#d1e5f0", "#f7f7f7", "#fddbc7", "#ef8a62", "#b2182b", "#6d0a1c"],
  dark: ["#b5dcff", "#6db3f2", "#2f78b7", "#234862", "#2a2e35", "#64362b", "#b85234", "#ff8f6b", "#ffd0bd"],
};
const ONE_HUE = {
  light: ["#ffffff", "#e3e1f2", "#b9b3dc", "#8479bd", "#533d97", "#2d0f66"],
  dark: ["#15181d", "#2b2748", "#4a3f84", "#7a6bc4", "#b3a7ee", "#efeaff"],
};

// ---------------------------------------------------------------------------------------------------- small things

function h(tag, properties = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const made = document.createElement(name);
  if (classes.length) made.className = classes.map((c) => `hx-${c}`).join(" ");
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key in made && !key.includes("-") && key !== "role") made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

function s(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
const known = (x) => x !== null && x !== undefined && Number.isFinite(x);

/** A number to three digits, as Python's `.3g` has it. */
function digits(x, signed = false) {
  if (!known(x)) return "not measured";
  const size = Math.abs(x);
  let text = size !== 0 && (size < 1e-4 || size >= 1e6) ? x.toExponential(2) : String(Number(x.toPrecision(3)));
  text = text.replace("e-", "e−").replace(/^-/, "−");
  return signed && x >= 0 ? `+${text}` : text;
}
const interval = (low, high) => (known(low) && known(high) ? `[${digits(low)}, ${digits(high)}]` : "(no interval)");
const share = (x) => (known(x) ? `${(100 * x).toFixed(x > 0 && x < 0.1 ? 1 : 0)} %` : "not measured");

/** A run of blanks, as an indent, is counted where there is no room for it. */
const narrow = (text) => visible(text).replace(/ {3,}/g, (run) => `␣×${run.length}`);

/** A token so that it can be seen: line breaks, tabs and what has no letters of its own. */
function visible(text) {
  if (text === "") return "·";
  return text.replace(/\n/g, "↵").replace(/\t/g, "⇥").replace(/[\u0000-\u001f\u007f\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g, "▯");
}
const spaced = (text) => visible(text).replace(/ /g, "␣");

const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
function ramp(colours, t) {
  const place = clamp(t, 0, 1) * (colours.length - 1);
  const i = Math.min(colours.length - 2, Math.floor(place));
  const [a, b] = [rgb(colours[i]), rgb(colours[i + 1])];
  return a.map((x, k) => Math.round(x + (b[k] - x) * (place - i)));
}
function luminance([r, g, b]) {
  const linear = [r, g, b].map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
}
const css = (colour) => `rgb(${colour.join(",")})`;
function paint(element, colour) {
  element.style.background = css(colour);
  element.style.color = luminance(colour) > 0.179 ? "#000" : "#fff";
}

/** Whether what lies behind an element is dark: right in every notebook, whatever its themes are called. */
function isDark(element) {
  for (let at = element; at; at = at.parentElement ?? at.getRootNode()?.host) {
    const parts = getComputedStyle(at).backgroundColor.match(/[\d.]+/g)?.map(Number) ?? [];
    if (parts.length >= 3 && (parts[3] ?? 1) > 0.5) return luminance(parts.slice(0, 3)) < 0.18;
  }
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

// --------------------------------------------------------------------------------------------------------- the app

class Explorer {
  constructor(root, state, ask, keep) {
    Object.assign(this, { root, state, keep });
    this.answers = new Map();
    this.ask = (request, progress) => {
      const key = JSON.stringify(request);
      if (!this.answers.has(key)) {
        const promised = ask(request, progress);
        this.answers.set(key, promised);
        promised.catch(() => this.answers.delete(key));
      }
      return this.answers.get(key);
    };
    this.models = [0];
    this.window = 0;
    this.open = null; // {m, layer, head}
    this.set = new Map(); // "3.7" -> [3, 7]
    this.tab = "head";
    this.colouring = "value";
    this.sorted = false;
    this.shared = false;
    this.saved = [...state.sets];
    const first = state.models[0];
    Object.assign(this, { method: first.methods[0], metric: first.metrics[0], group: first.groups[0], domain: 0 });
    this.build();
  }

  get model() { return this.state.models[this.models[0]]; }
  get theme() { return this.root.dataset.theme; }
  diverging(t) { return ramp(BLUE_TO_RED[this.theme], (t + 1) / 2); }
  amount(t) { return ramp(ONE_HUE[this.theme], t); }

  build() {
    this.tip = h("div.tip", { hidden: true, "aria-hidden": "true" });
    this.said = h("div.hidden", { "aria-live": "polite" });
    this.bar = h("div.bar");
    this.maps = h("div.maps");
    this.legend = h("div.legend");
    this.shares = h("div.shares");
    this.ranks = h("div.ranks");
    this.panel = h("div.panel", { role: "tabpanel", tabIndex: -1 });
    this.tabs = h("div.tabs");
    this.root.replaceChildren(
      this.bar,
      h("div.top", {}, h("div", {}, this.maps, this.legend, this.shares), this.ranks),
      this.tabs, this.panel, this.tip, this.said,
    );
    this.retheme(false);
    this.drawBar();
    this.drawTabs();
    this.drawMaps();
    this.drawPanel();
    this.watch = new ResizeObserver(() => this.fit());
    this.watch.observe(this.root);
    this.darkness = matchMedia("(prefers-color-scheme: dark)");
    this.onTheme = () => this.retheme(true);
    this.darkness.addEventListener("change", this.onTheme);
    this.themes = new MutationObserver(this.onTheme);
    for (const place of [document.body, document.documentElement]) this.themes.observe(place, { attributes: true });
  }

  remove() {
    this.watch.disconnect();
    this.themes.disconnect();
    this.darkness.removeEventListener("change", this.onTheme);
  }

  retheme(redraw) {
    const theme = isDark(this.root.parentElement ?? document.body) ? "dark" : "light";
    if (theme === this.root.dataset.theme) return;
    this.root.dataset.theme = theme;
    if (redraw) {
      this.paintMaps();
      this.drawPanel();
    }
  }

  showTip(text, at) {
    this.tip.textContent = text;
    this.tip.hidden = false;
    const own = this.root.getBoundingClientRect();
    const box = at.getBoundingClientRect();
    const left = clamp(box.right - own.left + 8, 4, Math.max(4, own.width - this.tip.offsetWidth - 8));
    const below = box.bottom + this.tip.offsetHeight + 12 < innerHeight;
    this.tip.style.position = "absolute";
    this.tip.style.left = `${left}px`;
    this.tip.style.top = `${below ? box.bottom - own.top + 6 : box.top - own.top - this.tip.offsetHeight - 6}px`;
  }
  hideTip() { this.tip.hidden = true; }

  // ------------------------------------------------------------------------------------------------------ switches

  drawBar() {
    const choose = (label, options, value, set, test) => {
      const select = h("select", { "aria-label": label, onchange: (event) => set(event.target.value) });
      for (const [key, text] of options) select.append(h("option", { value: String(key), selected: String(key) === String(value) }, text));
      if (test) select.dataset.test = test;
      return h("label.field", {}, label, select);
    };
    const redraw = (name, convert = String) => (value) => {
      this[name] = convert(value);
      this.drawBar();
      this.drawMaps();
      if (name === "method") this.drawPanel();
    };
    const model = this.model;
    const fields = [];
    if (this.state.models.length > 1) {
      const buttons = this.state.models.map((one, m) =>
        h("button", { type: "button", "aria-pressed": String(this.models.includes(m)), onclick: () => this.toggleModel(m) }, one.name));
      fields.push(h("div.field", { style: "flex-basis: 100%" }, "Models, side by side", h("div.models", { role: "group", "aria-label": "Models" }, buttons)));
    }
    fields.push(choose("Fall in", model.metrics.map((x) => [x, METRICS[x].join(", ")]), this.metric, redraw("metric"), "metric"));
    const measured = model.methods.map((x) => [x, METHODS[x]]);
    const more = model.sweeps.filter((x) => !model.methods.includes(x)).map((x) => [`sweep ${x}`, `${METHODS[x]}: measure it`]);
    fields.push(choose("Head replaced by", [...measured, ...more], this.method, (value) => (value.startsWith("sweep ") ? this.sweep(value.slice(6)) : redraw("method")(value)), "method"));
    if (model.groups.length > 1) fields.push(choose("Windows", model.groups.map((x) => [x, x]), this.group, redraw("group"), "group"));
    if (model.domains.length > 1) fields.push(choose("Domain", model.domains.map((x, i) => [i, x]), this.domain, redraw("domain", Number), "domain"));
    fields.push(choose("Colour", Object.entries(COLOURINGS), this.colouring, (value) => { this.colouring = value; this.paintMaps(); }, "colour"));
    const check = (label, name) => h("label.check", {}, h("input", {
      type: "checkbox", checked: this[name], onchange: (event) => { this[name] = event.target.checked; this.paintMaps(); },
    }), label);
    fields.push(check("sort within layers", "sorted"));
    if (this.state.models.length > 1) fields.push(check("one scale", "shared"));
    this.progress = h("span", { hidden: true });
    this.bar.replaceChildren(...fields, this.progress);
  }

  toggleModel(m) {
    const there = this.models.includes(m);
    if (there && this.models.length === 1) return;
    this.models = there ? this.models.filter((x) => x !== m) : [...this.models, m].sort((a, b) => a - b);
    const model = this.model;
    for (const [one, all] of [["method", "methods"], ["metric", "metrics"], ["group", "groups"]])
      if (!model[all].includes(this[one])) this[one] = model[all][0];
    if (this.domain >= model.domains.length) this.domain = 0;
    if (this.window >= model.windows.length) this.window = 0;
    if (this.open && !this.models.includes(this.open.m)) this.open = null;
    this.set.clear();
    this.drawBar();
    this.drawTabs();
    this.drawMaps();
    this.drawPanel();
    this.bar.querySelectorAll(".hx-models button")[m]?.focus();
  }

  async sweep(method) {
    const stop = new AbortController();
    const bar = h("progress", { max: 1, value: 0, "aria-label": `Measuring ${METHODS[method]}` });
    this.progress.replaceChildren(bar, " ", h("button", { type: "button", onclick: () => stop.abort() }, "Cancel"));
    this.progress.hidden = false;
    const m = this.models[0];
    try {
      const found = await this.ask(["sweep", m, method], { signal: stop.signal, report: (done) => { bar.value = done; } });
      Object.assign(this.state.models[m], found);
      this.method = method;
      this.drawBar();
      this.drawMaps();
      this.drawPanel();
    } catch (error) {
      this.drawBar();
      this.progress.replaceChildren(h("span.error", {}, error.message));
      this.progress.hidden = false;
    }
  }

  // ---------------------------------------------------------------------------------------------------------- maps

  mapRequest(m) { return ["map", m, this.method, this.metric, this.group, this.domain]; }

  async drawMaps() {
    const asked = this.models.map((m) => [m, this.mapRequest(m)]);
    const drawing = (this.drawing = Symbol("maps"));
    const found = await Promise.allSettled(asked.map(([, request]) => this.ask(request)));
    if (drawing !== this.drawing) return;
    this.shown = asked.map(([m], i) => ({ m, model: this.state.models[m], map: found[i].value, problem: found[i].reason }));
    const focused = this.maps.contains(document.activeElement) ? document.activeElement.dataset : null;
    this.maps.replaceChildren(...this.shown.map((one) => this.buildMap(one)));
    this.fit();
    this.paintMaps();
    if (focused) this.cell(Number(focused.m), Number(focused.layer), Number(focused.head))?.focus();
  }

  buildMap(one) {
    const { m, model, map } = one;
    const title = h("h2", {}, model.name);
    if (!map) return h("div.mapbox", {}, title, h("p.error", {}, one.problem.message));
    one.rows = [];
    const table = h("table.map", { role: "grid", "aria-label": `Heads of ${model.name} by layer, highest layer first. Arrow keys move, Enter opens a head, Space puts it into the set.` });
    const body = h("tbody");
    for (let layer = model.n_layers - 1; layer >= 0; layer--) {
      const row = h("tr", {}, h("th.layer", { scope: "row" }));
      const cells = [];
      for (let place = 0; place < model.n_heads; place++) {
        const cell = h("td.cell", { role: "gridcell", tabIndex: -1 });
        cell.dataset.m = m;
        cell.dataset.layer = layer;
        cell.dataset.place = place;
        cells.push(cell);
      }
      const sum = h("td.sum");
      row.append(...cells, sum);
      one.rows[layer] = { row, cells, sum };
      body.append(row);
    }
    one.header = h("tr", {}, h("th.layer"), ...Array.from({ length: model.n_heads }, () => h("th", { scope: "col" })), h("th.sum", { scope: "col" }, "sum"));
    table.append(h("thead", {}, one.header), body);
    one.table = table;
    one.scroll = h("div.scroll", {}, table);
    this.listen(one);
    return h("div.mapbox", {}, title, one.scroll, (one.told = h("div.note")));
  }

  /** Width that maps may take: what the ranked list beside them leaves, or all of it where that stands below. */
  room() {
    const width = this.root.clientWidth - 24;
    return width > 760 ? width - 330 : width;
  }

  /** Sizes of cells: as large as there is room for, at least 12 px; layers of several maps by relative depth. */
  fit() {
    if (!this.shown) return;
    const room = this.room();
    const drawn = this.shown.filter((one) => one.table);
    if (!drawn.length || !room) return;
    const total = drawn.reduce((sum, one) => sum + one.model.n_heads, 0);
    const side = Math.floor((room - drawn.length * 130) / total) - 1;
    const narrow = Math.min(...drawn.map((one) => Math.floor((room - 112) / one.model.n_heads) - 1));
    const cell = clamp(Math.max(side, Math.min(narrow, 20)), 12, 46);
    const deepest = Math.max(...drawn.map((one) => one.model.n_layers));
    for (const one of drawn) {
      const height = Math.max(12, Math.round(((cell + 1) * deepest) / one.model.n_layers) - 1);
      one.table.style.setProperty("--cell", `${cell}px`);
      one.table.style.setProperty("--row", `${height}px`);
      one.cell = cell;
      const every = Math.ceil(20 / cell);
      one.rows.forEach(({ row }, layer) => { row.firstChild.textContent = layer % Math.ceil(13 / height) === 0 ? layer : ""; });
      [...one.header.children].slice(1, -1).forEach((th, i) => { th.textContent = i % every === 0 ? i : ""; });
    }
    this.writeNumbers();
  }

  writeNumbers() {
    for (const one of this.shown ?? []) {
      if (!one.table) continue;
      for (const { cells } of one.rows) for (const td of cells) {
        const value = one.map.value[td.dataset.layer]?.[td.dataset.head];
        td.textContent = one.cell >= 38 && known(value) ? short(value) : "";
      }
    }
  }

  colourer(map, limit) {
    const values = map.value.flat().filter(known);
    if (this.colouring === "rank") {
      const sizes = values.map(Math.abs).sort((a, b) => a - b);
      const below = (x) => { let low = 0, high = sizes.length; while (low < high) { const mid = (low + high) >> 1; if (sizes[mid] <= x) low = mid + 1; else high = mid; } return low; };
      return (v) => (v === 0 ? 0 : (Math.sign(v) * below(Math.abs(v))) / sizes.length);
    }
    if (this.colouring === "symlog") return (v) => (Math.sign(v) * Math.log10(1 + (999 * Math.abs(v)) / limit)) / 3;
    return (v) => v / limit;
  }

  paintMaps() {
    const drawn = (this.shown ?? []).filter((one) => one.table);
    const limits = drawn.map((one) => Math.max(...one.map.value.flat().filter(known).map(Math.abs), 0) || 1);
    drawn.forEach((one, i) => {
      const { m, model, map } = one;
      one.limit = this.shared ? Math.max(...limits) : limits[i];
      const colour = this.colourer(map, one.limit);
      const sums = map.value.map((row) => row.filter(known).reduce((a, b) => a + b, 0));
      const widest = Math.max(...sums.map(Math.abs)) || 1;
      one.rows.forEach(({ cells, sum }, layer) => {
        const order = map.value[layer].map((value, head) => ({ value, head }));
        if (this.sorted) order.sort((a, b) => (b.value ?? -Infinity) - (a.value ?? -Infinity));
        cells.forEach((td, place) => {
          const { value, head } = order[place];
          td.dataset.head = head;
          const missing = !known(value);
          td.classList.toggle("hx-missing", missing);
          td.classList.toggle("hx-chosen", m === this.models[0] && this.set.has(`${layer}.${head}`));
          td.classList.toggle("hx-open", Boolean(this.open) && this.open.m === m && this.open.layer === layer && this.open.head === head);
          td.setAttribute("aria-selected", String(td.classList.contains("hx-chosen")));
          td.setAttribute("aria-label", this.told(one, layer, head).replaceAll("\n", ", "));
          if (missing) { td.style.background = ""; td.style.color = ""; } else paint(td, this.diverging(colour(value)));
        });
        const any = map.value[layer].some(known);
        sum.replaceChildren(any ? h("div", { style: `width:${(54 * Math.abs(sums[layer])) / widest}px;background:${css(this.diverging(Math.sign(sums[layer]) * 0.7))}` }) : "");
        sum.setAttribute("aria-label", `layer ${layer}, sum of its heads ${any ? digits(sums[layer], true) : "not measured"}`);
        sum.dataset.sum = any ? digits(sums[layer], true) : "";
      });
      const tabbable = one.table.querySelector('td.hx-cell[tabindex="0"]') ?? one.rows[model.n_layers - 1].cells[0];
      tabbable.tabIndex = 0;
      const heads = model.n_layers * model.n_heads;
      const absent = heads - map.value.flat().filter(known).length;
      one.told.textContent = `${map.n_windows} windows of ${map.n_documents} documents` + (absent ? `; ${absent} of ${heads} heads not measured` : "");
    });
    this.writeNumbers();
    this.drawLegend(drawn);
    this.drawShares(drawn);
    this.drawRanks();
  }

  told(one, layer, head) {
    const { map, model } = one;
    const value = map.value[layer][head];
    const name = `layer ${layer}, head ${head}`;
    if (!known(value)) return `${name}\nnot measured`;
    return `${name}\n${digits(value, true)} ${METRICS[this.metric][1]} ${interval(map.low[layer][head], map.high[layer][head])}\n` +
      `${map.n_windows} windows, ${map.n_documents} documents` + (this.models.length > 1 ? `\n${model.name}, depth ${(100 * (layer + 0.5) / model.n_layers).toFixed(0)} %` : "");
  }

  drawLegend(drawn) {
    if (!drawn.length) return this.legend.replaceChildren();
    const stops = Array.from({ length: 21 }, (_, i) => css(this.diverging(i / 10 - 1))).join(",");
    const limits = [...new Set(drawn.map((one) => digits(one.limit)))];
    const end = this.colouring === "rank" ? "first" : limits.length === 1 ? limits[0] : "each map’s largest";
    const scale = h("div.scale", {}, h("div.ramp", { style: `background:linear-gradient(90deg,${stops})` }),
      h("span", {}, this.colouring === "rank" ? "gains most" : `−${end}`), h("span", {}, "0"), h("span", {}, this.colouring === "rank" ? "loses most" : `+${end}`));
    const of = this.group.startsWith("memorized −") ? "Difference of the falls" : "Fall of the true continuation";
    const absent = drawn.some((one) => one.map.value.flat().some((v) => !known(v)));
    this.legend.replaceChildren(scale,
      h("span", {}, `${of}, ${METRICS[this.metric][1]}, ${COLOURINGS[this.colouring]}`),
      absent ? h("span", {}, h("i.swatch"), "not measured") : "");
  }

  drawShares(drawn) {
    const lines = drawn.map((one) => {
      const positive = one.map.value.flat().filter((v) => known(v) && v > 0).sort((a, b) => b - a);
      const total = positive.reduce((a, b) => a + b, 0);
      const n = one.map.value.flat().filter(known).length;
      const top = (k) => share(positive.slice(0, k).reduce((a, b) => a + b, 0) / total);
      const fifth = Math.max(1, Math.round(n / 5));
      const ks = [...new Set([1, 5, fifth])].filter((k) => k <= n).sort((a, b) => a - b);
      const text = total ? `Share of all that is lost: ${ks.map((k) => `top ${k}${k === fifth ? " (20 %)" : ""} ${top(k)}`).join(", ")}, of ${n} heads.` : "No head loses anything.";
      return h("p.note", {}, drawn.length > 1 ? `${one.model.name}: ${text}` : text);
    });
    this.shares.replaceChildren(...lines, drawn.length > 1 ? this.profile(drawn) : "");
  }

  /** Share of all that is lost by relative depth: what can be compared between models of different depth. */
  profile(drawn) {
    const [width, height] = [360, 110];
    const dashes = ["", "6 3", "2 2", "8 2 2 2", "1 3", "10 4"];
    const lines = drawn.map((one) => {
      const sums = one.map.value.map((row) => row.filter((v) => known(v) && v > 0).reduce((a, b) => a + b, 0));
      const total = sums.reduce((a, b) => a + b, 0) || 1;
      return sums.map((x, layer) => [(layer + 0.5) / sums.length, x / total]);
    });
    const highest = Math.max(...lines.flat().map(([, y]) => y)) || 1;
    const at = ([x, y]) => `${(34 + x * (width - 40)).toFixed(1)},${(height - 18 - (y / highest) * (height - 30)).toFixed(1)}`;
    const picture = s("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": "Share of the positive falls by relative depth, a line a model", style: "max-width:100%" });
    const label = (x, y, text, anchor = "start") => { const t = s("text", { x, y, "font-size": 10, fill: "currentColor", "text-anchor": anchor }); t.textContent = text; return t; };
    picture.append(s("path", { d: `M34 8V${height - 18}H${width - 6}`, fill: "none", stroke: "var(--line)" }),
      label(30, 12, share(highest), "end"), label(30, height - 18, "0", "end"), label(34, height - 5, "first layer"), label(width - 6, height - 5, "last layer", "end"));
    lines.forEach((line, i) => picture.append(s("polyline", { points: line.map(at).join(" "), fill: "none", stroke: "currentColor", "stroke-width": 1.6, "stroke-dasharray": dashes[i % dashes.length] })));
    const names = drawn.map((one, i) => {
      const sample = s("svg", { width: 30, height: 8 }, s("line", { x1: 0, x2: 30, y1: 4, y2: 4, stroke: "currentColor", "stroke-width": 1.6, "stroke-dasharray": dashes[i % dashes.length] }));
      return h("span", { style: "margin-right:12px" }, sample, ` ${one.model.name}`);
    });
    return h("div", {}, h("h3", {}, "Share of what is lost, by relative depth"), picture, h("div.note", {}, names));
  }

  drawRanks(all = this.allRanks) {
    this.allRanks = all;
    const one = this.shown?.find((x) => x.m === this.models[0]);
    if (!one?.table) return this.ranks.replaceChildren();
    const { map, m } = one;
    const rows = map.value.flatMap((row, layer) => row.map((value, head) => ({ layer, head, value, low: map.low[layer][head], high: map.high[layer][head] })))
      .filter((row) => known(row.value)).sort((a, b) => b.value - a.value);
    const shown = all ? rows : rows.slice(0, 20);
    const ends = shown.flatMap((row) => [row.value, row.low, row.high]).filter(known);
    const [least, most] = [Math.min(0, ...ends), Math.max(0, ...ends)];
    const at = (x) => (100 * (x - least)) / (most - least || 1);
    const list = h("ol", { "aria-label": "Heads in order of their fall" }, shown.map((row) => {
      const open = this.open && this.open.m === m && this.open.layer === row.layer && this.open.head === row.head;
      const whisker = h("span.whisker", { "aria-hidden": "true" }, h("u", { style: `left:${at(0)}%` }),
        known(row.low) && h("i", { style: `left:${at(row.low)}%;width:${at(row.high) - at(row.low)}%` }), h("b", { style: `left:${at(row.value)}%` }));
      const go = () => this.openHead(m, row.layer, row.head);
      return h(open ? "li.open" : "li", {
        tabIndex: 0, title: interval(row.low, row.high), onclick: go, "aria-label": this.told(one, row.layer, row.head).replaceAll("\n", ", "),
        onkeydown: (event) => { if (event.key === "Enter") go(); },
      }, h("span", {}, `${row.layer}.${row.head}`), h("span", {}, digits(row.value, true)), whisker);
    }));
    this.ranks.replaceChildren(h("h3", { style: "margin-top:0" }, `${this.models.length > 1 ? `${one.model.name}: h` : "H"}eads by what is lost, 95 % interval`), list,
      rows.length > 20 ? h("button", { type: "button", onclick: () => this.drawRanks(!all) }, all ? "Only the first 20" : `All ${rows.length}`) : "");
  }

  cell(m, layer, head) {
    return this.maps.querySelector(`td[data-m="${m}"][data-layer="${layer}"][data-head="${head}"]`);
  }

  listen(one) {
    const { table, m, model } = one;
    const of = (event) => { const td = event.target.closest?.("td.hx-cell"); return td && { td, layer: Number(td.dataset.layer), head: Number(td.dataset.head), place: Number(td.dataset.place) }; };
    const point = (at) => {
      this.showTip(this.told(one, at.layer, at.head), at.td);
      const depth = (at.layer + 0.5) / model.n_layers;
      for (const other of this.shown) other.rows?.forEach(({ row }, layer) => row.classList.toggle("hx-linked", this.models.length > 1 && Math.floor(depth * other.model.n_layers) === layer));
    };
    let from = null; // where a brush began
    let brushed = false;
    const inside = (to) => {
      const between = (x, a, b) => x >= Math.min(a, b) && x <= Math.max(a, b);
      return one.rows.flatMap(({ cells }, layer) => (between(layer, from.layer, to.layer) ? cells.filter((_, place) => between(place, from.place, to.place)).map((td) => [layer, Number(td.dataset.head)]) : []));
    };
    const brush = (to, adding) => {
      if (!adding) this.set.clear();
      for (const [layer, head] of inside(to)) this.set.set(`${layer}.${head}`, [layer, head]);
      this.markSet();
    };
    table.addEventListener("pointerover", (event) => {
      const at = of(event);
      if (!at) return event.target.closest?.("td.hx-sum") && this.showTip(`sum of the layer ${event.target.closest("td").dataset.sum}`, event.target.closest("td"));
      point(at);
      if (from && event.buttons === 1 && (at.layer !== from.layer || at.place !== from.place || brushed)) {
        brushed = true;
        brush(at, from.adding);
      }
    });
    table.addEventListener("pointerleave", () => this.hideTip());
    table.addEventListener("pointerdown", (event) => {
      const at = of(event);
      // A finger scrolls; a set is made by "Add to the set" there.
      if (!at || event.button !== 0 || event.pointerType === "touch" || m !== this.models[0]) return;
      from = { ...at, adding: event.ctrlKey || event.metaKey || event.shiftKey };
      brushed = false;
    });
    table.addEventListener("pointerup", () => { if (brushed) this.setChanged(); from = null; });
    table.addEventListener("click", (event) => {
      const at = of(event);
      if (!at || brushed) { brushed = false; return; }
      if (event.ctrlKey || event.metaKey) this.toggle(at.layer, at.head, m);
      else this.openHead(m, at.layer, at.head);
    });
    table.addEventListener("focusin", (event) => { const at = of(event); if (at && at.td.matches(":focus-visible")) point(at); });
    table.addEventListener("focusout", () => this.hideTip());
    table.addEventListener("keydown", (event) => {
      const at = of(event);
      if (!at) return;
      const moves = { ArrowUp: [1, 0], ArrowDown: [-1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], Home: [0, -model.n_heads], End: [0, model.n_heads] };
      if (event.key in moves) {
        const [up, right] = moves[event.key];
        const next = one.rows[clamp(at.layer + up, 0, model.n_layers - 1)].cells[clamp(at.place + right, 0, model.n_heads - 1)];
        for (const td of table.querySelectorAll('td.hx-cell[tabindex="0"]')) td.tabIndex = -1;
        next.tabIndex = 0;
        next.focus();
        if (event.shiftKey && m === this.models[0]) for (const td of [at.td, next]) this.set.set(`${td.dataset.layer}.${td.dataset.head}`, [Number(td.dataset.layer), Number(td.dataset.head)]);
        if (event.shiftKey && m === this.models[0]) this.setChanged();
      } else if (event.key === "Enter") this.openHead(m, at.layer, at.head);
      else if (event.key === " ") this.toggle(at.layer, at.head, m);
      else if (event.key === "Escape") { this.set.clear(); this.setChanged(); }
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
  }

  toggle(layer, head, m = this.models[0]) {
    if (m !== this.models[0]) return;
    const name = `${layer}.${head}`;
    if (!this.set.delete(name)) this.set.set(name, [layer, head]);
    this.setChanged();
  }

  markSet() {
    const one = this.shown?.find((x) => x.m === this.models[0]);
    for (const { cells } of one?.rows ?? []) for (const td of cells) {
      const chosen = this.set.has(`${td.dataset.layer}.${td.dataset.head}`);
      td.classList.toggle("hx-chosen", chosen);
      td.setAttribute("aria-selected", String(chosen));
    }
    this.tabs.querySelector('[data-tab="set"]').textContent = this.tabName("set");
  }

  setChanged() {
    this.markSet();
    this.said.textContent = `${this.set.size} heads in the set`;
    if (this.set.size) this.tab = "set";
    this.drawTabs();
    this.drawPanel();
  }

  openHead(m, layer, head) {
    const began = performance.now();
    this.open = { m, layer, head };
    this.tab = "head";
    this.hideTip();
    for (const td of this.maps.querySelectorAll("td.hx-open")) td.classList.remove("hx-open");
    this.cell(m, layer, head)?.classList.add("hx-open");
    this.drawRanks();
    this.drawTabs();
    this.drawPanel().then(() => { this.root.dataset.took = (performance.now() - began).toFixed(0); });
    this.said.textContent = `Head ${layer}.${head} opened below the map`;
  }

  // -------------------------------------------------------------------------------------------------------- panels

  tabName(tab) { return { head: this.open ? `Head ${this.open.layer}.${this.open.head}` : "Head", set: `Set of heads (${this.set.size})`, layers: "Layers" }[tab]; }

  /** The model whose windows are shown: that of the opened head. */
  get of() { return this.open && this.tab === "head" ? this.open.m : this.models[0]; }

  drawTabs() {
    const names = ["head", "set", "layers"];
    const go = (tab) => { this.tab = tab; this.drawTabs(); this.drawPanel(); this.tabs.querySelector(`[data-tab="${tab}"]`).focus(); };
    const buttons = names.map((tab, i) => {
      const button = h("button", { type: "button", role: "tab", "aria-selected": String(tab === this.tab), tabIndex: tab === this.tab ? 0 : -1, onclick: () => go(tab),
        onkeydown: (event) => { const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key]; if (by) { go(names[(i + by + 3) % 3]); event.preventDefault(); event.stopPropagation(); } } }, this.tabName(tab));
      button.dataset.tab = tab;
      return button;
    });
    const windows = this.state.models[this.of].windows;
    const step = (by) => { this.window = (this.window + by + windows.length) % windows.length; this.drawTabs(); this.drawPanel(); };
    const select = h("select", { "aria-label": "Window", onchange: (event) => { this.window = Number(event.target.value); this.drawPanel(); } });
    windows.forEach((w, i) => select.append(h("option", { value: i, selected: i === this.window }, `${w.id}: ${w.document}${w.domain ? `, ${w.domain}` : ""}${w.memorized ? ", memorized" : ""}`)));
    const picker = h("div.field", {}, "Window", h("div.pick", {}, h("button", { type: "button", "aria-label": "Previous window", onclick: () => step(-1) }, "‹"), select, h("button", { type: "button", "aria-label": "Next window", onclick: () => step(1) }, "›")));
    this.tabs.replaceChildren(h("div.models", { role: "tablist", "aria-label": "Views" }, buttons), windows.length ? picker : "");
  }

  async drawPanel() {
    const drawing = (this.panelDrawing = Symbol("panel"));
    const current = () => drawing === this.panelDrawing;
    const drawn = await { head: () => this.headView(), set: () => this.setView(current), layers: () => this.layersView() }[this.tab]();
    if (current()) this.panel.replaceChildren(...[drawn].flat());
  }

  /** A view that waits for an answer, or says why there is none. */
  async answered(request, draw) {
    try {
      return draw(await this.ask(request));
    } catch (error) {
      return h("p.note", {}, error.message);
    }
  }

  async headView() {
    if (!this.open) return h("p.note", {}, "Click a head, or press Enter on it: what it looks at, and what the windows lose without it. Drag over heads, or click with Ctrl, to make a set.");
    const { m, layer, head } = this.open;
    const model = this.state.models[m];
    const one = this.shown?.find((x) => x.m === m);
    const inSet = this.set.has(`${layer}.${head}`);
    const title = h("div.head", {}, h("h2", {}, `${this.models.length > 1 ? `${model.name}, ` : ""}head ${layer}.${head}`),
      one?.map && h("span", {}, this.told(one, layer, head).split("\n").slice(1).join("; ")),
      m === this.models[0] && h("button", { type: "button", onclick: () => { this.toggle(layer, head); } }, inSet ? "Take out of the set" : "Add to the set"));
    if (!model.windows.length) return [title, h("p.note", {}, this.state.without)];
    const w = this.window;
    // Attention is at hand at once; what takes a pass of the model fills its place when it is there.
    const slot = (request, draw) => {
      const place = h("div");
      const filled = this.answered(request, draw).then((found) => place.replaceChildren(...[found].flat()));
      return { place, filled };
    };
    const attention = slot(["attention", m, w, layer, head], (found) => this.attention(model.windows[w], found.rows));
    const targets = slot(["targets", m], (found) => this.targets(found, layer, head));
    const ablated = slot(["ablated", m, w, this.method, [[layer, head]]], (found) => this.ablated(model.windows[w], found, `head ${layer}.${head}`));
    await attention.filled;
    await Promise.race([Promise.all([targets.filled, ablated.filled]), new Promise((resolve) => setTimeout(resolve, 20))]);
    return [title, h("div.two", {}, h("div", {}, h("h3", {}, "Where it looks"), attention.place), h("div", {}, h("h3", {}, "What it looks at, beside the other heads"), targets.place)),
      h("h3", {}, `The continuation without it (${METHODS[this.method]})`), ablated.place];
  }

  attention(window, rows) {
    const n = window.tokens.length;
    const predicting = rows.slice(window.prefix_len - 1, n - 1);
    const mean = Array.from({ length: n }, (_, k) => predicting.reduce((sum, row) => sum + (row[k] ?? 0), 0) / predicting.length / 1000);
    let held = null;
    const readout = h("p.readout", { "aria-live": "polite" });
    const spans = window.tokens.map((text, i) => {
      const span = h(i === window.prefix_len ? "span.token.first" : "span.token", { tabIndex: i === 0 ? 0 : -1, role: "button" }, text.replace(/\n/g, "↵\n") === text ? visible(text) : `${visible(text)}\n`);
      span.dataset.position = i;
      return span;
    });
    const size = clamp(Math.floor(256 / n), 2, 6);
    const canvas = h("canvas", { width: n, height: n, style: `width:${n * size}px;height:${n * size}px`, role: "img", "aria-label": "Attention of each token to each earlier one" });
    const context = canvas.getContext("2d");
    const strength = (w) => Math.sqrt(w);
    const draw = (query, key) => {
      const weights = query === null ? mean : Array.from({ length: n }, (_, k) => (k <= query ? (rows[query][k] ?? 0) / 1000 : null));
      spans.forEach((span, k) => {
        if (weights[k] === null) { span.style.background = ""; span.style.color = ""; } else paint(span, this.amount(strength(weights[k])));
        span.classList.toggle("hx-query", k === query);
        span.classList.toggle("hx-held", k === held);
      });
      const most = weights.map((w, k) => [w ?? 0, k]).sort((a, b) => b[0] - a[0]).slice(0, 4).filter(([w]) => w >= 0.005);
      const list = most.map(([w, k]) => `“${spaced(window.tokens[k])}” (${k}) ${share(w)}`).join(", ");
      readout.textContent = query === null
        ? `Mean over the positions that predict the continuation: ${list}. Hover a token to see where it looks; click to hold it.`
        : `“${spaced(window.tokens[query])}” (${query}) looks at ${list}.` + (known(key) && key <= query ? ` At “${spaced(window.tokens[key])}” (${key}): ${share((rows[query][key] ?? 0) / 1000)}.` : "") + (held !== null ? " Held: click again to let go." : "");
      const picture = context.createImageData(n, n);
      for (let q = 0; q < n; q++) for (let k = 0; k < n; k++) {
        const colour = k <= q ? this.amount(strength((rows[q][k] ?? 0) / 1000)) : null;
        picture.data.set(colour ? [...colour, 255] : [0, 0, 0, 0], 4 * (q * n + k));
      }
      context.putImageData(picture, 0, 0);
      if (query !== null) { context.fillStyle = css(rgb(this.theme === "dark" ? "#7ab8ff" : "#0b57a4")); context.globalAlpha = 0.35; context.fillRect(0, query, query + 1, 1); context.globalAlpha = 1; }
    };
    const position = (event) => { const span = event.target.closest?.(".hx-token"); return span ? Number(span.dataset.position) : null; };
    const hold = (i) => { held = held === i ? null : i; draw(held); };
    const text = h("div.tokens", {
      onpointerover: (event) => { const i = position(event); if (i === null) return; if (held === null) draw(i); else draw(held, i); },
      onpointerleave: () => draw(held),
      onclick: (event) => { const i = position(event); if (i !== null) hold(i); },
      onkeydown: (event) => {
        const i = position(event);
        const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1 }[event.key];
        if (i === null || !(by || event.key === "Enter" || event.key === " ")) return;
        if (by) { const next = clamp(i + by, 0, n - 1); spans[i].tabIndex = -1; spans[next].tabIndex = 0; spans[next].focus(); draw(held ?? next, next); } else hold(i);
        event.preventDefault();
        event.stopPropagation();
      },
    }, spans);
    const over = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientY - box.top, event.clientX - box.left].map((x) => clamp(Math.floor((x / box.width) * n), 0, n - 1)); };
    canvas.addEventListener("pointermove", (event) => { const [q, k] = over(event); if (held === null) draw(q, k); });
    canvas.addEventListener("pointerleave", () => draw(held));
    canvas.addEventListener("click", (event) => hold(over(event)[0]));
    draw(null);
    return h("div.look", {}, h("div", {}, text, readout), canvas);
  }

  targets(found, layer, head) {
    return h("div", {}, Object.entries(TARGETS).map(([name, label]) => {
      const all = found[name].value.flat().filter(known);
      const own = found[name].value[layer][head];
      const most = name === "entropy" ? Math.max(...all, 1e-9) : 1;
      const x = (v) => 3 + (v / most) * 94;
      const picture = s("svg", { viewBox: "0 0 100 22", preserveAspectRatio: "none", "aria-hidden": "true" });
      picture.append(s("line", { x1: 3, x2: 97, y1: 11, y2: 11, stroke: "var(--line)", "vector-effect": "non-scaling-stroke" }));
      for (const v of all) picture.append(s("line", { x1: x(v), x2: x(v), y1: 6, y2: 16, stroke: "currentColor", opacity: 0.3, "vector-effect": "non-scaling-stroke" }));
      if (known(found[name].uniform)) picture.append(s("line", { x1: x(found[name].uniform), x2: x(found[name].uniform), y1: 2, y2: 20, stroke: "var(--accent)", "stroke-dasharray": "2 2", "stroke-width": 1.5, "vector-effect": "non-scaling-stroke" }));
      if (known(own)) picture.append(s("line", { x1: x(own), x2: x(own), y1: 1, y2: 21, stroke: "var(--mark)", "stroke-width": 4, "vector-effect": "non-scaling-stroke" }));
      const value = name === "entropy" ? digits(own) : share(own);
      return h("div.strip", { "aria-label": `${label}: ${value}; the heads range from ${digits(Math.min(...all))} to ${digits(Math.max(...all))}` }, h("span", {}, label), picture, h("span", {}, value));
    }), h("p.note", {}, `Red: this head. Grey: all heads. Dashed: attention spread evenly. Mean over ${found.n_windows} windows, from the positions that predict the continuation.`));
  }

  /** The continuation, a column a token: what it loses, and what is written with and without the heads. */
  ablated(window, found, what) {
    const truth = window.tokens.slice(window.prefix_len);
    const falls = found.before.map((x, i) => x - found.after[i]);
    const limit = Math.max(...falls.map(Math.abs)) || 1;
    const texts = found.text ? [["before", found.text.clean], ["ablated", found.text.ablated]] : [];
    const columns = truth.map((text, i) => {
      const loses = h("span", {}, short(falls[i]));
      paint(loses, this.diverging(falls[i] / limit));
      const written = texts.map(([, one]) => h(one.right[i] ? "span.same" : "span.wrong", {}, narrow(one.token[i])));
      const column = h("li", { "aria-label": `position ${window.prefix_len + i}, ${spaced(text)}: loses ${digits(falls[i], true)} nats` + texts.map(([name, one]) => `, ${name} ${spaced(one.token[i])}${one.right[i] ? "" : ", wrong"}`).join("") },
        h("span.truth", {}, narrow(text)), loses, written);
      column.addEventListener("pointerenter", () => this.showTip(`position ${window.prefix_len + i}: “${spaced(text)}”\nlog-probability ${digits(found.before[i])}, ablated ${digits(found.after[i])}\nloses ${digits(falls[i], true)} nats` + texts.map(([name, one]) => `\n${name}: “${spaced(one.token[i])}”`).join(""), column));
      column.addEventListener("pointerleave", () => this.hideTip());
      return column;
    });
    const names = h("li.names", { "aria-hidden": "true" }, ["true token", "loses, nats", ...texts.map(([name]) => name)].map((name) => h("span", {}, name)));
    const sum = falls.reduce((a, b) => a + b, 0) / falls.length;
    const written = found.text ? ` Greedy text right in ${share(found.text.clean.right.filter(Boolean).length / truth.length)} of tokens, ${share(found.text.ablated.right.filter(Boolean).length / truth.length)} without ${what}.` : ` ${found.without}`;
    const list = h("ul.columns", { style: `--rows:${2 + texts.length}` }, names, columns);
    return h("div", {}, h("p", {}, `On this window ${digits(sum, true)} nats per token.${written}`), list);
  }

  async setView(current) {
    const heads = [...this.set.values()].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    const m = this.models[0];
    const model = this.model;
    const chips = h("div.chips", {}, heads.map(([layer, head]) => h("button", { type: "button", "aria-label": `Take head ${layer}.${head} out`, onclick: () => this.toggle(layer, head) }, `${layer}.${head} ×`)),
      heads.length > 0 && h("button", { type: "button", onclick: () => { this.set.clear(); this.setChanged(); } }, "Clear"));
    const saved = this.saved.length > 0 && h("div.chips", {}, h("span.note", {}, "Kept: "), this.saved.map((one) => h("button", { type: "button", onclick: () => this.restore(one) }, `${one.name} (${one.heads.length})`)));
    if (!heads.length) return [h("p.note", {}, "Drag over heads of the map, or click with Ctrl (Space on the keyboard), to choose heads that are ablated together."), saved].filter(Boolean);
    this.setMethod = model.set_methods.includes(this.setMethod) ? this.setMethod : model.set_methods.includes(this.method) ? this.method : model.set_methods[0] ?? this.method;
    const method = this.setMethod;
    const code = `interp.ablate_sets(model, windows, [[${heads.map(([l, x]) => `(${l}, ${x})`).join(", ")}]], ${this.state.python.replace("METHOD", method)})`;
    const name = h("input", { type: "text", placeholder: "name", "aria-label": "Name of the set", size: 14 });
    const results = h("div");
    const tools = h("div.head", {},
      model.set_methods.length > 0 && h("label", {}, "replaced by ", h("select", { "aria-label": "Heads of the set replaced by", onchange: (event) => { this.setMethod = event.target.value; this.drawPanel(); } }, model.set_methods.map((x) => h("option", { value: x, selected: x === method }, METHODS[x])))),
      h("span", {}, name, " ", h("button", { type: "button", onclick: () => this.save(name.value.trim(), heads, method) }, "Keep")),
      h("button", { type: "button", onclick: (event) => copy(code, event.target) }, "Copy as Python"));
    const shown = [chips, tools, results, h("code.code", {}, code), saved].filter(Boolean);
    // What takes long is shown as it comes; the rest of the panel stands at once.
    if (current()) this.panel.replaceChildren(...shown);
    if (!model.live && !this.state.recorded) results.append(h("p.note", {}, this.state.without));
    else this.runSet(results, m, method, heads, current);
    return shown;
  }

  async runSet(place, m, method, heads, current) {
    const window = this.model.windows[this.window];
    const stop = new AbortController();
    const bar = h("progress", { max: 1, value: 0, "aria-label": "Ablating the set" });
    place.replaceChildren(h("p", {}, "Ablating together ", bar, " ", h("button", { type: "button", onclick: () => stop.abort() }, "Cancel")));
    // A brush that goes on must not queue an ablation at each cell.
    await new Promise((resolve) => setTimeout(resolve, 150));
    if (!current()) return;
    this.running?.abort();
    this.running = stop;
    try {
      const found = await this.ask(["set", m, method, heads], { signal: stop.signal, report: (done) => { bar.value = done; } });
      const text = await this.answered(["ablated", m, this.window, method, heads], (one) => this.ablated(window, one, "the set"));
      if (current()) place.replaceChildren(this.results(found), h("h3", {}, "The continuation of the shown window"), text);
    } catch (error) {
      if (current()) place.replaceChildren(h("p.note", {}, error.message), h("button", { type: "button", onclick: () => this.drawPanel() }, "Ablate together"));
    } finally {
      if (this.running === stop) this.running = null;
    }
  }

  results(found) {
    const cell = (e, show, signed) => (e ? [show(e.value), h("br"), h("span.note", {}, known(e.low) ? `[${show(e.low)}, ${show(e.high)}]` : "(no interval)")] : "");
    const rows = found.rows.map((row) => h("tr", {}, h("td", {}, row.name), h("td", {}, cell(row.rate, share)), h("td", {}, cell(row.log_prob, digits)), h("td", {}, cell(row.score, share))));
    return h("div", {}, h("table.results", {}, h("thead", {}, h("tr", {}, ["", "memorized (M = 1)", "log-probability, nats per token", "mean M"].map((x) => h("th", { scope: "col" }, x)))), h("tbody", {}, rows)),
      h("p.note", {}, `${found.n_windows} windows of ${found.n_documents} documents, 95 % intervals by document. ${found.random}`));
  }

  save(name, heads, method) {
    const one = { name: name || `set ${this.saved.length + 1}`, model: this.model.name, heads, method };
    this.saved = [...this.saved.filter((x) => x.name !== one.name), one];
    this.keep(one);
    this.drawPanel();
  }

  restore(one) {
    const m = this.state.models.findIndex((model) => model.name === one.model);
    if (m >= 0 && m !== this.models[0]) { this.models = [m]; this.drawBar(); this.drawMaps(); }
    this.set = new Map(one.heads.map(([l, x]) => [`${l}.${x}`, [l, x]]));
    this.setMethod = one.method;
    this.setChanged();
  }

  async layersView() {
    const m = this.of;
    const window = this.state.models[m].windows[this.window];
    if (!window) return h("p.note", {}, this.state.without);
    return this.answered(["lens", m, this.window], (found) => this.lens(window, found));
  }

  lens(window, found) {
    const truth = window.tokens.slice(window.prefix_len);
    const rows = found.probability.map((row, point) => {
      const depth = found.depth[point];
      const name = depth === 0 ? "embedding" : `layer ${depth - 1}`;
      const cells = row.map((p, i) => {
        const td = h(found.decided[i] === depth ? "td.decided" : "td", { tabIndex: -1 }, narrow(found.token[point][i]));
        paint(td, this.amount(p));
        const told = `after ${name}, position ${window.prefix_len + i}\ndecodes “${spaced(found.token[point][i])}” with ${share(found.top[point][i])}\ntrue “${spaced(truth[i])}”: ${share(p)}, rank ${digits(found.rank[point][i] + 1)}` + (found.decided[i] === depth ? "\ndecided here: above one half from here on" : "");
        td.setAttribute("aria-label", told.replaceAll("\n", ", "));
        td.addEventListener("pointerenter", () => this.showTip(told, td));
        td.addEventListener("pointerleave", () => this.hideTip());
        return td;
      });
      return h("tr", {}, h("th.layer", { scope: "row" }, name), cells);
    }).reverse();
    const table = h("table.lens", { "aria-label": "Decoded token by layer and true token of the continuation" },
      h("thead", {}, h("tr", {}, h("th.layer", { scope: "col" }, "true token"), truth.map((text) => h("th", { scope: "col" }, narrow(text))))), h("tbody", {}, rows));
    const never = found.decided.filter((x) => !known(x)).length;
    return [h("h3", {}, "What each layer would write next (logit lens)"), h("div.scroll", { tabIndex: 0, role: "region", "aria-label": "Logit lens, scrolls sideways" }, table),
      h("p.note", {}, `Colour: probability of the true token, 0 to 100 %. Framed: decided, above one half in every later layer.${never ? ` ${never} of ${truth.length} tokens are never decided.` : ""}`)];
  }
}

/** A number that fits into a cell. */
function short(x) {
  const size = Math.abs(x);
  const text = size >= 10 ? x.toFixed(0) : size >= 1 ? x.toFixed(1) : x.toFixed(2).replace("0.", ".");
  return /[1-9]/.test(text) ? text.replace("-", "−") : "0";
}

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Select it below";
  }
}

// ------------------------------------------------------------------------------------------------ page and notebook

/** A page's answers: JSON, compressed, by request. */
function recorded(page) {
  return async (request) => {
    const packed = page.answers[JSON.stringify(request)];
    if (packed === undefined) throw new Error(page.absent[request[0]] ?? page.absent.other);
    const bytes = Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
  };
}

/** Show an exported page. */
export function show(root, page) {
  root.classList.add("hx");
  return new Explorer(root, page.state, recorded(page), () => {});
}

/** Answers of a kernel: each message carries the number of its request. */
function asking(model) {
  const waiting = new Map();
  let last = 0;
  const receive = (message) => {
    const one = waiting.get(message.id);
    if (!one) return;
    if ("progress" in message) return one.report?.(message.progress);
    waiting.delete(message.id);
    if ("error" in message) one.fail(new Error(message.error));
    else one.done(message.answer);
  };
  model.on("msg:custom", receive);
  const ask = (request, { signal, report } = {}) => new Promise((done, fail) => {
    const id = `${Date.now()}-${(last += 1)}`;
    waiting.set(id, { done, fail, report });
    signal?.addEventListener("abort", () => model.send({ cancel: id }));
    model.send({ id, request });
  });
  return { ask, stop: () => model.off("msg:custom", receive) };
}

/** Show a widget. */
function render({ model, el }) {
  const root = h("div");
  root.classList.add("hx");
  el.append(root);
  const { ask, stop } = asking(model);
  const explorer = new Explorer(root, model.get("state"), ask, (set) => model.send({ keep: set }));
  return () => { explorer.remove(); stop(); };
}

export default { render };
