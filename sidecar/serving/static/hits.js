// Both orders of one answer, and how a hit looks. All text from documents becomes text nodes.
import { element } from "./common.js";

const LONGEST = 280;
const NAMES = ["not relevant", "somewhat relevant", "relevant", "perfect"];

const own = (hit, name) => hit.fields?.[`_rescore.${name}`]?.[0];
export const nameOf = (hit) => `${hit._index} ${hit._id} ${hit._routing ?? ""}`;

// Returns the hits of both orders: where each is now, where it was, and what is known of it.
export function orders(hits, reranked) {
  const after = hits.map((hit, at) => ({
    hit, now: at + 1, was: own(hit, "first_stage_rank") ?? at + 1,
    first: own(hit, "first_stage_score") ?? (reranked ? null : hit._score), model: own(hit, "model_score"),
    text: own(hit, "text"), read: own(hit, "text_read"), length: own(hit, "text_length"),
    query: own(hit, "query"), queryRead: own(hit, "query_read"),
  }));
  return { after, before: [...after].sort((one, other) => one.was - other.was) };
}

function strings(value, found = []) {
  if (typeof value === "string") found.push(value);
  else if (Array.isArray(value)) value.slice(0, 20).forEach((each) => strings(each, found));
  else if (value && typeof value === "object") Object.values(value).slice(0, 20).forEach((each) => strings(each, found));
  return found;
}

const at = (source, path) => path.split(".").reduce((value, name) => value?.[name], source);
const short = (text, most = LONGEST) => (text.length > most ? `${text.slice(0, most)}…` : text);

function titleAndText(entry, fields) {
  const source = entry.hit._source ?? {};
  const texts = fields.map((name) => strings(at(source, name) ?? source[name]).join(" ")).filter(Boolean);
  const all = texts.length ? texts : strings(source);
  if (all.length > 1 && all[0].length <= 200) return [all[0], all.slice(1).join(" ")];
  return [null, all.length ? all.join(" ") : entry.text ?? ""];
}

const score = (value) => (value == null ? "–" : Number(value).toFixed(Math.abs(value) >= 100 ? 1 : 3));

function movement(entry) {
  const by = entry.was - entry.now;
  if (!by) return element("span", { class: "move", "aria-label": "same place" }, "=");
  const [mark, word, kind] = by > 0 ? ["▲", "up", "up"] : ["▼", "down", "down"];
  return element("span", { class: `move ${kind}`, "aria-label": `${word} ${Math.abs(by)}` }, `${mark}${Math.abs(by)}`);
}

function marks(entry, grade, judge) {
  const buttons = NAMES.map((name, value) => {
    const button = element("button", { type: "button", tabindex: "-1", title: `${name} (${value})`, "aria-pressed": String(grade === value), "aria-label": `judge ${name}` }, String(value));
    button.addEventListener("click", () => judge(entry, grade === value ? null : value));
    return button;
  });
  return element("span", { class: "marks", role: "group", "aria-label": "Judgment" }, ...buttons);
}

function reading(entry) {
  if (entry.text === undefined) return element("p", { class: "read" }, "The model did not score this hit.");
  const read = entry.read ?? entry.text.length;
  const chars = Array.from; // lengths are in code points, as the sidecar counts them
  const points = chars(entry.text);
  const kept = points.slice(0, read).join(""), cut = points.slice(read).join("");
  const whole = read >= entry.length;
  const told = entry.read == null ? "how far it read is not known" : whole ? `all of ${entry.length} characters` : `${read} of ${entry.length} characters`;
  return element("div", { class: "read" }, element("p", { class: "told" }, `What the model read: ${told}`),
    element("p", { class: "text", dir: "auto" }, kept, whole ? null : element("mark", { class: "cut", title: "the model's input ends here" }, "✂ cut here"), element("span", { class: "unread" }, cut)));
}

// Returns a hit's list item. `side` is "before" or "after".
export function item(entry, side, { fields, grade, judge, open, toggle }) {
  const [title, text] = titleAndText(entry, fields);
  const place = side === "after" ? entry.now : entry.was;
  const head = element("div", { class: "head" },
    element("span", { class: "place" }, String(place)), movement(entry),
    element("bdi", { class: "title" }, short(title ?? entry.hit._id, 160)),
    grade == null ? null : element("span", { class: `grade g${grade}`, title: NAMES[grade] }, String(grade)));
  const scores = element("p", { class: "scores" },
    `Elasticsearch ${score(entry.first)}`, " · ", `model ${score(entry.model)}`, side === "after" ? ` · _score ${score(entry.hit._score)}` : "",
    " · ", element("bdi", { class: "id" }, short(`${entry.hit._id}`, 60)));
  const made = element("li", { class: "hit", tabindex: "0", "data-name": nameOf(entry.hit), "aria-expanded": String(open) }, head,
    text ? element("p", { class: "snippet", dir: "auto" }, short(text)) : null, scores, marks(entry, grade, judge), open ? reading(entry) : null);
  head.addEventListener("click", () => toggle(entry));
  return made;
}
