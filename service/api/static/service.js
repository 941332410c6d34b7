/** The loaded models with their scores, and their load, live from /metrics. */

import {request} from "./api.js";
import {say} from "./i18n.js";
import * as metrics from "./metrics.js";
import {showError} from "./panel.js";

const POLL_MILLISECONDS = 2000;
const KEPT = 60;
const HEADLINES = ["FID (Inception)", "KID x 100 (Inception)", "digit as asked", "labelled zebra", "cycle error"];
const LIVE = {
  queue: "live.queue",
  batches: "live.batches",
  size: "live.batch_size",
  wait: "live.wait",
  latency: "live.latency",
};
const $ = (id) => document.getElementById(id);
const section = $("service");
const alert = section.querySelector(":scope > .alert");
const cards = new Map();
const observer = new IntersectionObserver(([entry]) => {
  seen = entry.isIntersecting;
  if (seen) poll();
});
let seen = false;
let timer = 0;

/** Shows a card per model, and follows their load while the section is on the screen. */
export function start(models) {
  cards.clear();
  $("models").replaceChildren(...models.map(card));
  const reasons = new Set(models.map((model) => model.fallback_reason).filter(Boolean)); // the same for most
  $("fallback").textContent = [...reasons].join("; ");
  if (!$("live").hidden) observer.observe(section); // hidden where the metrics are on another port
}

/** Reads the metrics while somebody sees them. */
async function poll() {
  clearTimeout(timer);
  if (!seen) return;
  try {
    const response = document.hidden ? null : await request("metrics", {purpose: "metrics", read: "text"});
    if (response) update(metrics.parse(response.body));
    timer = setTimeout(poll, POLL_MILLISECONDS);
  } catch (error) {
    for (const {values} of cards.values()) for (const value of Object.values(values)) value.textContent = "–";
    showError(alert, error);
    timer = setTimeout(poll, 5 * POLL_MILLISECONDS);
  }
}

function update(samples) {
  alert.replaceChildren();
  for (const [id, shown] of cards) {
    const read = (name) => metrics.valueOf(samples, name, id);
    const batches = read("gan_inference_duration_seconds_count");
    const seconds = read("gan_inference_duration_seconds_sum");
    const mean = (name) => read(`${name}_sum`) / read(`${name}_count`); // not a number before the first batch
    const fresh = batches - shown.batches;
    if (shown.batches >= 0) shown.history.push(fresh > 0 ? (seconds - shown.seconds) / fresh : 0);
    Object.assign(shown, {batches, seconds, history: shown.history.slice(-KEPT)});
    shown.values.queue.textContent = read("gan_queue_depth");
    shown.values.batches.textContent = batches;
    shown.values.size.textContent = orDash(mean("gan_batch_items"), (items) => items.toFixed(1));
    shown.values.wait.textContent = orDash(mean("gan_queue_duration_seconds"), milliseconds);
    shown.values.latency.textContent = orDash(mean("gan_inference_duration_seconds"), milliseconds);
    draw(shown);
  }
}

function orDash(value, inWords) {
  return Number.isNaN(value) ? "–" : inWords(value);
}

function milliseconds(seconds) {
  return `${(1000 * seconds).toFixed(seconds < 0.1 ? 1 : 0)} ms`;
}

function draw({line, history}) {
  const top = Math.max(...history, 1e-6);
  const points = history.map((value, i) => `${(120 * i) / (KEPT - 1)},${27 - (24 * value) / top}`);
  line.setAttribute("points", points.join(" "));
}

function card(model) {
  const root = element("article", "model");
  root.append(element("h3", "", model.id));
  const provider = element("p", "provider", model.provider.replace("ExecutionProvider", ""));
  root.append(provider);
  const trained = element("p", "note");
  say(trained, model.task === "sample" ? "service.trained_digits" : "service.trained_pairs", {
    count: model.trained_images.toLocaleString("en"),
  });
  root.append(trained);
  const headlines = model.scores.filter(({metric}) => HEADLINES.includes(metric)).slice(0, 3);
  if (headlines.length) {
    const list = element("dl", "facts");
    list.lang = "en";
    for (const score of headlines) list.append(element("dt", "", score.metric), element("dd", "", round(score.value)));
    root.append(list, allScores(model.scores));
  }
  if (!$("live").hidden) root.append(liveFacts(model.id));
  return root;
}

function liveFacts(id) {
  const list = element("dl", "facts live");
  const values = {};
  for (const [name, key] of Object.entries(LIVE)) {
    const term = element("dt");
    say(term, key);
    values[name] = element("dd", "", "–");
    list.append(term, values[name]);
  }
  const plot = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  plot.setAttribute("viewBox", "0 0 120 30");
  plot.setAttribute("class", "spark");
  plot.setAttribute("aria-hidden", "true"); // the figures above it say the same
  const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  plot.append(line);
  cards.set(id, {values, line, history: [], batches: -1, seconds: 0});
  const both = element("div");
  both.append(list, plot);
  return both;
}

function allScores(scores) {
  const details = element("details");
  const summary = element("summary");
  say(summary, "service.scores", {count: scores.length});
  const list = element("ul", "scores");
  list.lang = "en";
  for (const {metric, value, low, high, protocol} of scores) {
    const interval = low === null ? "" : ` (${round(low)} to ${round(high)})`;
    const item = element("li");
    item.append(
      element("strong", "", `${metric}: ${round(value)}${interval}`),
      element("span", "note", ` ${protocol}`),
    );
    list.append(item);
  }
  details.append(summary, list);
  return details;
}

function round(value) {
  return Number(value.toPrecision(3)).toString();
}

function element(tag, className = "", text = "") {
  return Object.assign(document.createElement(tag), {className, textContent: text});
}
