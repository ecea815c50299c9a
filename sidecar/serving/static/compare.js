// The compare page: one search through the sidecar's own listener, shown in both orders.
import { $, ask, askJson, element } from "./common.js";
import { item, nameOf, orders } from "./hits.js";

const PAGE = 20;
const LONGEST_LINK = 6000;
const STAGES = { es: "Elasticsearch", queue: "queue", tokenize: "tokenize", model: "model", rest: "rest" };
const KNOBS = ["window", "fusion", "weight", "model", "fields", "timeout"];
const state = { context: null, entries: null, shown: PAGE, open: new Set(), grades: {}, judgedQuery: "", sent: null, side: "after" };
let touched = new Set();
let running = null, waiting = null, live = false;

const kind = () => document.querySelector("input[name=kind]:checked").value;
const index = () => $("index").value.trim();

function mapping() {
  const { mappings } = state.context;
  const fits = (pattern) => new RegExp(`^${pattern.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&")).join(".*")}$`).test(index());
  return mappings[index()] ?? mappings[Object.keys(mappings).find(fits)] ?? Object.values(mappings)[0] ?? null;
}

const fieldList = () => $("fields").value.split(",").map((name) => name.trim()).filter(Boolean);
const fields = () => (fieldList().length ? fieldList() : mapping()?.fields ?? []);

function fromQuery(text) {
  const names = mapping()?.fields ?? [];
  if (names.length === 1) return { query: { match: { [names[0]]: text } } };
  return { query: { multi_match: { query: text, ...(names.length ? { fields: names } : {}), lenient: true } } };
}

function overrides() {
  const chosen = { explain: "text" };
  if (touched.has("window")) chosen.window_size = Number($("window").value);
  if ($("fusion").value === "linear") chosen.fusion = { method: "linear", weight: Number($("weight").value) };
  else if ($("fusion").value) chosen.fusion = $("fusion").value;
  if ($("model").value) chosen.model = $("model").value;
  if (fieldList().length) chosen.fields = fieldList();
  if ($("timeout").value) chosen.timeout_ms = Math.max(1, Math.round(Number($("timeout").value)));
  return chosen;
}

// Returns the body to send: the whole window at once, so that both orders come from one answer.
function searchBody() {
  let body = fromQuery($("query").value);
  if (kind() === "body") {
    try { body = JSON.parse($("body").value); } catch (problem) { throw new Error(`The search body is no JSON: ${problem.message}`); }
    if (!body || typeof body !== "object" || Array.isArray(body)) throw new Error("The search body must be a JSON object.");
  }
  const given = body.ext?.rescore ?? {};
  const most = mapping()?.max_window_size ?? 100;
  const window = Math.min(touched.has("window") ? Number($("window").value) : given.window_size ?? mapping()?.window_size ?? 100, most);
  return { ...body, from: 0, size: Math.max(window, 10), ext: { ...body.ext, rescore: { ...given, ...overrides() } } };
}

function problem(text) {
  $("message").textContent = text;
  $("message").hidden = !text;
}

async function search() {
  clearTimeout(waiting);
  running?.abort();
  running = new AbortController();
  const { signal } = running;
  problem("");
  try {
    const body = searchBody();
    $("go").setAttribute("aria-busy", "true");
    const key = $("key").value.trim();
    const headers = { "Content-Type": "application/json", ...(key ? { "X-Elasticsearch-Authorization": /\s/.test(key) ? key : `ApiKey ${key}` } : {}) };
    const answer = await ask(`api/search?index=${encodeURIComponent(index())}`, { method: "POST", headers, body: JSON.stringify(body), signal });
    const text = await answer.text();
    const arrived = performance.now();
    if (signal.aborted) return;
    show(answer, JSON.parse(text), body);
    saveState();
    requestAnimationFrame(() => setTimeout(() => { document.body.dataset.painted = (performance.now() - arrived).toFixed(1); document.body.dataset.searches = String(Number(document.body.dataset.searches ?? 0) + 1); }));
    live = true;
    await bringGrades();
  } catch (failure) {
    if (failure.name !== "AbortError") problem(failure.message);
  } finally {
    if (!signal.aborted) $("go").removeAttribute("aria-busy");
  }
}

function refusal(found) {
  const error = found.error ?? found;
  const root = error.root_cause?.[0] ?? error;
  return typeof error === "string" ? error : `${root.type ?? "error"}: ${root.reason ?? JSON.stringify(error)}`;
}

function show(answer, found, body) {
  const status = Number(answer.headers.get("X-Elasticsearch-Status") ?? answer.status);
  if (!answer.ok || status !== 200) throw new Error(refusal(found));
  const told = answer.headers.get("X-Rescore") ?? "no rescoring: nothing says why";
  const reranked = told.startsWith("reranked");
  state.entries = orders(found.hits?.hits ?? [], reranked);
  Object.assign(state, { sent: body, shown: PAGE, reranked });
  $("outcome").textContent = reranked ? `Rescored (${told.split("; ").slice(1).join(", ")})` : `Not rescored: ${told}`;
  $("outcome").classList.toggle("passed", !reranked);
  const moved = state.entries.after.filter((entry) => entry.now !== entry.was).length;
  $("moved").textContent = reranked ? `${moved} of ${state.entries.after.length} hits moved` : `${state.entries.after.length} hits as Elasticsearch orders them`;
  showQuery();
  showTimings(answer.headers.get("Server-Timing") ?? "", found.took ?? 0);
  $("result").hidden = false;
  $("empty").hidden = true;
  showHits();
}

function showQuery() {
  const first = state.entries.after.find((entry) => entry.query !== undefined);
  $("read-query").hidden = !first;
  state.judgedQuery = kind() === "query" ? $("query").value.trim() : (first?.query ?? "").trim();
  if (!first) return;
  const points = Array.from(first.query), cut = points.slice(first.queryRead);
  const shown = [points.slice(0, Math.min(first.queryRead, 600)).join("") + (first.queryRead > 600 ? "…" : "")];
  if (cut.join("").trim()) shown.push(element("mark", { class: "cut" }, "✂ cut here"), element("span", { class: "unread" }, cut.join("").slice(0, 200)));
  $("query-text").replaceChildren(...shown);
}

function showTimings(header, took) {
  const times = Object.fromEntries([...header.matchAll(/([\w-]+);dur=([0-9.]+)/g)].map((each) => [each[1], Number(each[2])]));
  const sum = ["es", "queue", "tokenize", "model"].reduce((all, name) => all + (times[name] ?? 0), 0);
  if (!sum) times.es = took;
  times.rest = sum ? Math.max(0, took - sum) : 0;
  const total = Object.values(times).reduce((all, each) => all + each, 0) || 1;
  const parts = Object.keys(STAGES).filter((name) => times[name] > 0);
  $("timings").replaceChildren(...parts.map((name) => {
    const part = element("i", { class: name, title: `${STAGES[name]} ${times[name].toFixed(1)} ms` });
    part.style.width = `${(100 * times[name]) / total}%`;
    return part;
  }));
  const line = (name) => `${STAGES[name]} ${times[name].toFixed(times[name] < 10 ? 1 : 0)} ms`;
  $("timings").setAttribute("aria-label", parts.map(line).join(", "));
  $("legend").replaceChildren(...parts.map((name) => element("li", {}, element("i", { class: name }), line(name))));
}

function showHits() {
  const focused = document.activeElement?.closest?.(".hit");
  const again = focused && [focused.parentElement.id, focused.dataset.name];
  for (const side of ["before", "after"]) {
    const entries = state.entries[side].slice(0, state.shown);
    $(side).replaceChildren(...entries.map((entry) => item(entry, side, {
      fields: fields(), grade: state.grades[entry.hit._id], judge, open: state.open.has(nameOf(entry.hit)), toggle })));
  }
  $("columns").classList.toggle("single", !state.reranked);
  $("after").parentElement.hidden = !state.reranked;
  document.querySelector(".sides").hidden = !state.reranked;
  showSide(state.reranked ? state.side : "before");
  $("more").hidden = state.entries.after.length <= state.shown;
  if (again) find(...again)?.focus();
}

function showSide(side) {
  $("columns").classList.toggle("only-after", side === "after");
  $("columns").classList.toggle("only-before", side === "before");
  $("show-after").setAttribute("aria-pressed", String(side === "after"));
  $("show-before").setAttribute("aria-pressed", String(side === "before"));
}

const find = (side, name) => [...$(side).children].find((each) => each.dataset.name === name);
const entryOf = (hit) => state.entries.after.find((entry) => nameOf(entry.hit) === hit.dataset.name);

function toggle(entry) {
  const name = nameOf(entry.hit);
  if (!state.open.delete(name)) state.open.add(name);
  showHits();
}

async function bringGrades() {
  state.grades = {};
  if (state.judgedQuery) showGrades(await askJson(`api/judgments?${new URLSearchParams({ index: index(), query: state.judgedQuery })}`).catch(() => null));
}

function showGrades(found) {
  if (!found) return;
  state.grades = found.grades;
  const count = Object.keys(found.grades).length;
  $("judged").textContent = String(count);
  const words = ["sidecar", "eval", "--queries", found.queries, "--qrels", found.qrels, "--index", index(), "--config", "sidecar.yaml"];
  $("command").textContent = words.map(quoted).join(" ");
  showHits();
}

async function judge(entry, grade) {
  if (!state.judgedQuery) return problem("A judgment belongs to a query, and this search has no text.");
  try {
    const body = JSON.stringify({ index: index(), query: state.judgedQuery, document: entry.hit._id, grade });
    showGrades(await askJson("api/judgments", { method: "PUT", headers: { "Content-Type": "application/json" }, body }));
  } catch (failure) { problem(failure.message); }
}

const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);

function curl() {
  const socket = state.context.socket ? ` --unix-socket ${quoted(state.context.socket)}` : "";
  const key = $("key").value ? ` -H "Authorization: ApiKey $API_KEY"` : "";
  const url = `${state.context.url}/${encodeURIComponent(index()).replaceAll("%2C", ",").replaceAll("%2A", "*")}/_search?pretty`;
  return `curl -is${socket} ${quoted(url)} -H 'content-type: application/json'${key} -d ${quoted(JSON.stringify(state.sent))}`;
}

async function copy(text, told) {
  try { await navigator.clipboard.writeText(text); } catch {
    const area = element("textarea", { readonly: true });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  document.body.dataset.copied = text.slice(0, 20000);
  $("copied").textContent = told;
  setTimeout(() => { $("copied").textContent = ""; }, 2500);
}

function saveState() {
  const found = new URLSearchParams({ index: index(), kind: kind(), [kind()]: $(kind()).value });
  for (const name of KNOBS) if (touched.has(name) && $(name).value) found.set(name, $(name).value);
  const hash = `#${found}`;
  history.replaceState(null, "", hash.length <= LONGEST_LINK ? hash : "#");
  return hash.length <= LONGEST_LINK;
}

function loadState() {
  const found = new URLSearchParams(location.hash.slice(1));
  touched = new Set(KNOBS.filter((name) => found.has(name)));
  if (found.has("index")) $("index").value = found.get("index");
  const chosen = document.querySelector(`input[name=kind][value="${found.get("kind") === "body" ? "body" : "query"}"]`);
  chosen.checked = true;
  showForm();
  for (const name of ["query", "body", ...KNOBS]) if (found.has(name)) $(name).value = found.get(name);
  showForm();
  if (found.has("query") || found.has("body")) search();
}

function showForm() {
  const used = mapping();
  $("window").max = used?.max_window_size ?? 100;
  if (!touched.has("window")) $("window").value = used?.window_size ?? 100;
  $("window-shown").textContent = `${$("window").value} hits`;
  $("weight-row").hidden = $("fusion").value !== "linear";
  $("weight-shown").textContent = Number($("weight").value).toFixed(2);
  $("fields").placeholder = used?.fields.join(", ") ?? "as configured";
  $("timeout").placeholder = used ? String(used.timeout_ms) : "as configured";
  for (const name of ["query", "body"]) $(`${name}-row`).hidden = kind() !== name;
}

function later(event) {
  if (KNOBS.includes(event.target.id)) touched.add(event.target.id);
  showForm();
  if (!live || !KNOBS.includes(event.target.id)) return;
  clearTimeout(waiting);
  waiting = setTimeout(search, 150);
}

function move(hit, by) {
  const all = [...hit.parentElement.children];
  all[Math.min(Math.max(all.indexOf(hit) + by, 0), all.length - 1)].focus();
}

function onHit(event, hit) {
  const { key } = event, entry = entryOf(hit);
  if (key === "ArrowDown" || key === "j") move(hit, 1);
  else if (key === "ArrowUp" || key === "k") move(hit, -1);
  else if ((key === "ArrowLeft" || key === "ArrowRight") && state.reranked) {
    state.side = key === "ArrowLeft" ? "before" : "after";
    showSide(state.side);
    (find(state.side, hit.dataset.name) ?? hit).focus();
  }
  else if (key === "Enter" && event.target === hit) toggle(entry);
  else if (/^[0-3]$/.test(key)) judge(entry, Number(key));
  else if (key === "x" || key === "Backspace") judge(entry, null);
  else return false;
  return true;
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const typing = event.target.matches("input, textarea, select");
  if (event.key === "Escape" && typing) return event.target.blur();
  if (typing) return;
  const hit = event.target.closest(".hit");
  if (hit && onHit(event, hit)) return event.preventDefault();
  if (event.key === "/") { event.preventDefault(); $(kind()).focus(); }
  else if (event.key === "?") help();
  else if (event.key === "ArrowDown" || event.key === "j") {
    const first = $(state.reranked ? state.side : "before").firstElementChild;
    if (first) { event.preventDefault(); first.focus(); }
  }
}

function help() {
  $("help").hidden = !$("help").hidden;
  $("help-button").setAttribute("aria-expanded", String(!$("help").hidden));
}

function twins(event) {
  document.querySelectorAll(".twin").forEach((each) => each.classList.remove("twin"));
  const hit = event.target.closest?.(".hit");
  if (hit) for (const side of ["before", "after"]) find(side, hit.dataset.name)?.classList.add("twin");
}

async function start() {
  state.context = await askJson("api/context");
  const names = Object.keys(state.context.mappings);
  $("indices").replaceChildren(...names.map((value) => element("option", { value })));
  $("model").append(...state.context.models.map((value) => element("option", { value }, value)));
  $("index").value = names.find((name) => !name.includes("*")) ?? names[0] ?? "";
  if (!names.length) problem("No index is mapped: add one under `indices` in the configuration.");
  $("form").addEventListener("submit", (event) => { event.preventDefault(); search(); });
  $("form").addEventListener("input", later);
  $("curl").addEventListener("click", () => copy(curl(), "curl copied"));
  $("link").addEventListener("click", () => (saveState() ? copy(location.href, "link copied") : problem("The search is too long for a link.")));
  $("help-button").addEventListener("click", help);
  $("more").addEventListener("click", () => { state.shown += PAGE; showHits(); });
  for (const side of ["before", "after"]) $(`show-${side}`).addEventListener("click", () => { state.side = side; showSide(side); });
  document.addEventListener("keydown", onKey);
  document.addEventListener("mouseover", twins);
  document.addEventListener("focusin", twins);
  window.addEventListener("hashchange", loadState);
  loadState();
  document.body.dataset.ready = "true";
}

start().catch((failure) => problem(failure.message));
