// The status page: reads the metrics every few seconds and draws how they change.
import { $, ask, askJson, element } from "./common.js";

const EVERY = 2000, KEPT = 150, OVER = 8; // milliseconds; readings that are drawn; those that a rate is taken over
const SVG = "http://www.w3.org/2000/svg";
const history_ = {};
const readings = [];
let before = null;

function parse(text) {
  const found = [];
  for (const line of text.split("\n")) {
    const parts = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? ([^ ]+)/.exec(line);
    if (!parts || line.startsWith("#")) continue;
    const labels = Object.fromEntries([...(parts[2] ?? "").matchAll(/(\w+)="((?:\\.|[^"\\])*)"/g)].map((each) => [each[1], each[2].replace(/\\(.)/g, (_, mark) => (mark === "n" ? "\n" : mark))]));
    found.push({ name: parts[1], labels, value: Number(parts[3]) });
  }
  return found;
}

const of = (metrics, name, labels = {}) => metrics.filter((each) => each.name === name && Object.entries(labels).every(([key, value]) => each.labels[key] === value));
const sum = (metrics, name, labels) => of(metrics, name, labels).reduce((all, each) => all + each.value, 0);

// Returns what a counter gained a second over the last readings; after a restart, nothing.
function rate(now, name, labels) {
  const gained = sum(now.metrics, name, labels) - sum(before.metrics, name, labels);
  return Math.max(0, gained) / Math.max(0.001, (now.at - before.at) / 1000);
}

function quantile(now, share, name, labels) {
  const gained = of(now.metrics, `${name}_bucket`, labels).map((each) => {
    const was = before.metrics.find((other) => other.name === each.name && JSON.stringify(other.labels) === JSON.stringify(each.labels));
    return { most: each.labels.le === "+Inf" ? Infinity : Number(each.labels.le), count: Math.max(0, each.value - (was?.value ?? 0)) };
  });
  const steps = [...new Set(gained.map((each) => each.most))].sort((one, other) => one - other)
    .map((most) => ({ most, count: gained.filter((each) => each.most === most).reduce((all, each) => all + each.count, 0) }));
  const total = steps.at(-1)?.count ?? 0;
  if (!total) return null;
  let low = 0, under = 0;
  for (const { most, count } of steps) {
    if (count >= share * total) return most === Infinity ? low : low + (most - low) * ((share * total - under) / Math.max(1, count - under));
    low = most;
    under = count;
  }
  return low;
}

const ms = (seconds) => (seconds == null ? "–" : `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ms`);
const per = (value) => `${value.toFixed(value < 10 ? 1 : 0)}/s`;
const STATES = ["closed", "half-open", "open"];

function tile(id, title, value, shown) {
  let made = $(id);
  if (!made) {
    made = element("section", { class: "tile", id }, element("h2", {}, title), element("p", { class: "value" }));
    const plot = document.createElementNS(SVG, "svg");
    plot.setAttribute("viewBox", `0 0 ${KEPT} 50`);
    plot.setAttribute("preserveAspectRatio", "none");
    plot.setAttribute("aria-hidden", "true");
    plot.append(document.createElementNS(SVG, "path"));
    made.append(plot);
    $("tiles").append(made);
  }
  made.querySelector(".value").textContent = shown;
  const values = (history_[id] ??= []);
  values.push(value);
  if (values.length > KEPT) values.shift();
  const top = Math.max(...values.filter((each) => each != null), 1e-9);
  let path = "", pen = "M";
  values.forEach((each, at) => {
    if (each == null) return;
    path += `${pen}${KEPT - values.length + at} ${(48 - (46 * each) / top).toFixed(1)}`;
    pen = "L";
  });
  made.querySelector("path").setAttribute("d", path);
}

function table(id, title, rows) {
  let made = $(id);
  if (!made) {
    made = element("section", { class: "tile", id }, element("h2", {}, title), element("table", {}, element("tbody")));
    $("tables").append(made);
  }
  const cells = rows.map((row) => element("tr", {}, ...row.map((cell) => element("td", {}, String(cell)))));
  made.querySelector("tbody").replaceChildren(...(cells.length ? cells : [element("tr", {}, element("td", {}, "nothing yet"))]));
}

function tiles(now) {
  const { metrics } = now;
  const all = rate(now, "sidecar_searches_total"), done = rate(now, "sidecar_searches_total", { outcome: "reranked" });
  tile("searches", "Searches", all, per(all));
  tile("rescored", "Rescored", all ? done / all : null, all ? `${Math.round((100 * done) / all)} %` : "–");
  for (const [share, name] of [[0.5, "p50"], [0.95, "p95"], [0.99, "p99"]]) {
    const value = quantile(now, share, "sidecar_stage_seconds", { stage: "total" });
    tile(`latency-${name}`, `Rescored searches, ${name}`, value, ms(value));
  }
  const model = quantile(now, 0.5, "sidecar_stage_seconds", { stage: "model" });
  tile("model-time", "Model’s time, p50", model, ms(model));
  const waiting = sum(metrics, "sidecar_engine_waiting_pairs");
  tile("queue", "Pairs that wait", waiting, String(waiting));
  const count = rate(now, "sidecar_scored_window_count"), window = count ? rate(now, "sidecar_scored_window_sum") / count : null;
  tile("window", "Scored window, mean", window, window == null ? "–" : window.toFixed(0));
  for (const cache of ["document", "score"]) {
    const hits = rate(now, `sidecar_engine_${cache}_cache_hits_total`), asked = hits + rate(now, `sidecar_engine_${cache}_cache_misses_total`);
    tile(`${cache}-cache`, `Hits of the ${cache} cache`, asked ? hits / asked : null, asked ? `${Math.round((100 * hits) / asked)} %` : "–");
  }
  const requests = rate(now, "sidecar_proxy_requests_total");
  tile("requests", "Requests of all kinds", requests, per(requests));
}

function tables({ metrics }, info) {
  const counted = of(metrics, "sidecar_searches_total").sort((one, other) => other.value - one.value);
  table("reasons", "What became of searches", counted.map((each) => [`${each.labels.outcome}${each.labels.reason ? `: ${each.labels.reason}` : ""} (${each.labels.mapping || "no mapping"})`, each.value]));
  table("circuits", "Circuit breakers", of(metrics, "sidecar_circuit_state").map((each) => [`${each.labels.mapping} · ${each.labels.model || "default"}`, STATES[each.value] ?? each.value]));
  const engine = Object.entries(info.engine ?? {}).flatMap(([name, told]) => [[name, ""], ...Object.entries(told).filter(([, value]) => typeof value !== "object" && value != null).map(([key, value]) => [key, value])]);
  table("engine", "Model and device", engine);
  const reload = metrics.filter((each) => each.name.startsWith("sidecar_config_"));
  table("reload", "Configuration file", reload.map((each) => [each.name.replace("sidecar_config_", "").replaceAll("_", " "), /timestamp|time_seconds|reloaded_at/.test(each.name) && each.value > 1e9 ? new Date(each.value * 1000).toLocaleString() : each.value]));
  const nodes = metrics.filter((each) => /^sidecar_(upstream|proxy)_/.test(each.name));
  table("upstream", "Clients and Elasticsearch", nodes.map((each) => [[each.name.replace(/^sidecar_(upstream|proxy)_/, "").replaceAll("_", " "), ...Object.values(each.labels)].join(" · "), each.value]));
}

async function look() {
  try {
    const [text, info, ready] = await Promise.all([ask("metrics").then((answer) => answer.text()), askJson("info"), fetch("health/ready").then((answer) => answer.json())]);
    const now = { at: performance.now(), metrics: parse(text) };
    before = readings[0] ?? now;
    $("state").textContent = ready.status;
    tiles(now);
    tables(now, info);
    readings.push(now);
    if (readings.length > OVER) readings.shift();
    $("message").hidden = true;
    document.body.dataset.read = String(Number(document.body.dataset.read ?? 0) + 1);
  } catch (failure) {
    $("message").textContent = `The sidecar does not answer: ${failure.message}`;
    $("message").hidden = false;
  }
  if (document.hidden) await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
  setTimeout(look, EVERY);
}

async function start() {
  const context = await askJson("api/context");
  $("config").textContent = JSON.stringify(context.config, null, 2);
  await look();
}

start().catch((failure) => { $("message").textContent = failure.message; $("message").hidden = false; });
