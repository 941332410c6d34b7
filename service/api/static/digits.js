/** The grid of digits: seed, digit and number, the chosen ones, and downloads. */

import {abort, request, ServiceError} from "./api.js";
import {describe, hush, say} from "./i18n.js";
import {Panel, showError} from "./panel.js";
import {save, saveFrom} from "./save.js";
import * as strip from "./strip.js";
import * as url from "./url.js";

const SEED_RANGE = 2n ** 64n;
const $ = (id) => document.getElementById(id);
const form = $("digits-form");
const {seed, keep, digit, count} = form.elements;
const panel = new Panel($("digits"), clear);
const images = new Map();
let chosen = [];
let shown = null;

/** Offers what the models can do, and draws what the address bar asks for. */
export function start(models) {
  const samplers = models.filter((model) => model.task === "sample");
  if (!samplers.length) return;
  const labelled = samplers.some((model) => model.labels);
  digit.replaceChildren();
  if (samplers.some((model) => !model.labels)) {
    const any = new Option("", "");
    say(any, "digits.any");
    digit.add(any);
  }
  if (labelled) for (let value = 0; value < 10; value++) digit.add(new Option(value, value));
  digit.parentElement.hidden = digit.length < 2;
  seed.value = url.read("seed");
  keep.checked = url.read("keep") === "1";
  if ([...count.options].every((option) => option.value !== url.read("count")) && url.read("count")) {
    count.add(new Option(url.read("count")), 0);
  }
  count.value = url.read("count") || "64";
  if ([...digit.options].some((option) => option.value === url.read("digit"))) digit.value = url.read("digit");
  chosen = url.read("chosen").split(",").filter(isSeed).slice(0, 2);
  draw(seed.value);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  chosen = [];
  draw(keep.checked ? seed.value : "");
});
seed.addEventListener("input", () => {
  keep.checked = seed.value !== "";
});
seed.addEventListener("change", () => {
  chosen = [];
  if (seed.value) draw(seed.value);
});
keep.addEventListener("change", () => url.write({keep: keep.checked ? "1" : ""}));
digit.addEventListener("change", () => {
  chosen = [];
  draw(seed.value);
});
count.addEventListener("change", () => draw(seed.value));

/** Draws digits from a seed, or from one that the service draws. */
async function draw(first) {
  first = first.trim();
  const wrong = first !== "" && !isSeed(first);
  seed.setAttribute("aria-invalid", wrong);
  if (wrong) {
    abort("digits");
    panel.fail(new ServiceError("digits.bad_seed"));
    return;
  }
  panel.busy("digits.drawing", {count: count.value});
  const typed = seed.value;
  const asked = {count: count.value, ...(first && {seed: first}), ...(digit.value && {digit: digit.value})};
  try {
    const response = await request(`mnist/sample?${new URLSearchParams({...asked, format: "json"})}`, {
      purpose: "digits",
    });
    if (!response) return;
    const found = {...asked, seed: response.headers.get("X-Seed")};
    if (seed.value === typed) seed.value = found.seed; // not what the user has typed meanwhile
    await show(response.body.digits, found, response.headers.get("X-Model"));
  } catch (error) {
    panel.fail(error);
  }
}

async function show(digits, asked, model) {
  shown = asked;
  url.write({seed: asked.seed, count: asked.count, digit: asked.digit, keep: keep.checked ? "1" : ""});
  images.clear();
  $("grid").replaceChildren(
    ...digits.map(({seed: own, png}) => {
      images.set(own, `data:image/png;base64,${png}`);
      return tile(own);
    }),
  );
  $("grid").style.setProperty("--columns", Math.ceil(Math.sqrt(digits.length)));
  $("grid").firstElementChild.tabIndex = 0;
  $("downloads").hidden = false;
  panel.done("digits.drawn", {count: digits.length, seed: asked.seed, model});
  await mark();
}

function tile(own) {
  const button = Object.assign(document.createElement("button"), {type: "button", tabIndex: -1});
  button.dataset.seed = own;
  describe(button, "i18nLabel", "digits.tile", {seed: own});
  const image = Object.assign(new Image(28, 28), {alt: "", src: images.get(own), className: "pixels"});
  button.append(image);
  button.addEventListener("click", () => choose(own));
  return button;
}

/** The arrow keys move within the grid, so that it is one stop of the Tab key. */
$("grid").addEventListener("keydown", (event) => {
  const tiles = [...event.currentTarget.children];
  const columns = Number(event.currentTarget.style.getPropertyValue("--columns"));
  const step = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns}[event.key];
  const next = tiles[tiles.indexOf(event.target) + step];
  if (!next) return;
  event.preventDefault();
  event.target.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
});

/** Chooses a digit, or no longer. Of three, the last two remain. */
function choose(own) {
  chosen = chosen.includes(own) ? chosen.filter((other) => other !== own) : [...chosen, own].slice(-2);
  return mark();
}

/** Shows which digits are chosen: the last one large, and what lies between two. */
async function mark() {
  url.write({chosen: chosen.join(",")});
  for (const button of $("grid").children) button.setAttribute("aria-pressed", chosen.includes(button.dataset.seed));
  const last = chosen.at(-1);
  $("chosen").hidden = !last;
  say($("digits-hint"), ["digits.hint", "digits.hint_second", "digits.hint_third"][chosen.length]);
  hush($("copied"));
  strip.show(chosen, shown.digit);
  if (!last) return;
  if (!images.has(last)) await fetchOne(last);
  $("large").src = images.get(last) ?? "";
  describe($("large"), "i18nAlt", "digits.tile", {seed: last});
  say($("large-seed"), "digits.own_seed", {seed: last});
  $("link").value = url.link({chosen: last});
}

/** Fetches a digit that a link names and the grid has not. */
async function fetchOne(own) {
  const asked = {seed: own, format: "json", ...(shown.digit && {digit: shown.digit})};
  const response = await request(`mnist/sample?${new URLSearchParams(asked)}`, {purpose: "one digit"});
  if (response) images.set(own, `data:image/png;base64,${response.body.digits[0].png}`);
}

/** Copies the link; where the browser does not allow that, it is selected for the user to copy. */
$("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText($("link").value);
    say($("copied"), "digits.copied");
  } catch {
    $("link").focus();
    $("link").select();
    say($("copied"), "digits.copy_yourself");
  }
});
$("save-large").addEventListener("click", () => saveFrom($("large").src, `digit-${chosen.at(-1)}.png`));

for (const button of $("downloads").querySelectorAll("button")) {
  button.addEventListener("click", async () => {
    const {format} = button.dataset;
    const query = new URLSearchParams({...shown, format});
    try {
      const response = await request(`mnist/sample?${query}`, {purpose: "download", read: "blob"});
      if (response) save(response.body, `digits-${shown.seed}.${format}`);
    } catch (error) {
      showError(panel.alert, error);
    }
  });
}

function isSeed(text) {
  return /^[0-9]{1,20}$/.test(text) && BigInt(text) < SEED_RANGE;
}

function clear() {
  shown = null;
  chosen = [];
  $("grid").replaceChildren();
  for (const id of ["chosen", "downloads"]) $(id).hidden = true;
  strip.show([], "");
}
