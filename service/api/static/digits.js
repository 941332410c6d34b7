/** The grid of digits: seed, digit and number, the chosen ones, and downloads. */

import {abort, request, ServiceError} from "./api.js";
import {describe, hush, say} from "./i18n.js";
import {Panel, showError} from "./panel.js";
import {save, saveFrom} from "./save.js";
import * as strip from "./strip.js";
import * as url from "./url.js";

const SEED_RANGE = 2n ** 64n;
const COUNTS = [1, 4, 16, 36, 64, 144, 256];
const USUAL_COUNT = 64;
const MOST_COUNT = 1024; // of the service
const $ = (id) => document.getElementById(id);
const form = $("digits-form");
const {seed, keep, digit, count} = form.elements;
const panel = new Panel($("digits"), clear);
const largeAlert = $("large-alert");
const images = new Map();
let chosen = [];
let shown = null;
let saving = 0;

const limit = Number($("main").dataset.imageLimit) || Infinity; // images that a client may ask for in a period
const counts = COUNTS.filter((value) => value <= limit);
count.replaceChildren(...counts.map((value) => new Option(value)));
count.value = counts.findLast((value) => value <= Math.min(USUAL_COUNT, Math.max(1, limit / 4))); // leaves some for more

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
  addEventListener("popstate", goBack);
  return restore();
}

/** Draws what the address bar asks for. */
function restore() {
  seed.value = url.read("seed");
  keep.checked = url.read("keep") === "1";
  restoreCount(url.read("count"));
  const wished = [...digit.options].find((option) => option.value === url.read("digit"));
  digit.value = (wished ?? digit.options[0]).value;
  chosen = [...new Set(url.read("chosen").split(",").filter(isSeed))].slice(0, 2);
  return draw(seed.value);
}

/** Shows the digits of another entry of the history; the way from one part of the page to another has the same. */
function goBack() {
  url.take(["seed", "keep", "count", "digit", "chosen"]);
  const same = shown && ["seed", "count", "digit"].every((name) => (shown[name] ?? "") === url.read(name));
  if (!same || chosen.join(",") !== url.read("chosen")) restore();
}

/** Takes a count from the address bar, also one that is not offered, but none that the service refuses. */
function restoreCount(text) {
  if (!/^[1-9][0-9]{0,3}$/.test(text) || Number(text) > Math.min(limit, MOST_COUNT)) return;
  if ([...count.options].every((option) => option.value !== text)) count.add(new Option(text), 0);
  count.value = text;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  chosen = [];
  draw(keep.checked ? seed.value : "", true);
});
seed.addEventListener("input", () => {
  keep.checked = seed.value !== "";
});
keep.addEventListener("change", () => url.write({keep: keep.checked ? "1" : ""}));
digit.addEventListener("change", () => {
  chosen = [];
  draw(seed.value, true);
});
count.addEventListener("change", () => draw(seed.value, true));

/** Draws digits from a seed, or from one that the service draws. `wished`: by the user, who may want to go back. */
async function draw(first, wished = false) {
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
    if (wished) url.step();
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

/** The arrow keys, Home and End move within the grid, so that it is one stop of the Tab key. */
$("grid").addEventListener("keydown", (event) => {
  const tiles = [...event.currentTarget.children];
  const columns = getComputedStyle(event.currentTarget).gridTemplateColumns.split(" ").length; // fewer on a phone
  const step = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns}[event.key];
  const next = {Home: tiles[0], End: tiles.at(-1)}[event.key] ?? tiles[tiles.indexOf(event.target) + step];
  if (!next) return;
  event.preventDefault();
  next.focus();
});
$("grid").addEventListener("focusin", (event) => {
  for (const button of event.currentTarget.children) button.tabIndex = button === event.target ? 0 : -1;
});

/** Chooses a digit, or no longer. Of three, the last two remain. */
async function choose(own) {
  chosen = chosen.includes(own) ? chosen.filter((other) => other !== own) : [...chosen, own].slice(-2);
  await mark();
  if (chosen.length === 1) $("chosen").scrollIntoView({block: "nearest"}); // below the grid on a phone
}

/** Shows which digits are chosen: the last one large, and what lies between two. */
async function mark() {
  url.write({chosen: chosen.join(",")});
  for (const button of $("grid").children) button.setAttribute("aria-pressed", chosen.includes(button.dataset.seed));
  const last = chosen.at(-1);
  $("chosen").hidden = !images.has(last);
  say($("digits-hint"), ["digits.hint", "digits.hint_second", "digits.hint_third"][chosen.length]);
  hush($("copied"));
  largeAlert.replaceChildren();
  strip.show(chosen, shown.digit);
  if (!last) return;
  if (!images.has(last)) {
    try {
      await fetchOne(last);
    } catch (error) {
      if (last === chosen.at(-1)) showError(largeAlert, error);
      return;
    }
  }
  if (last !== chosen.at(-1) || !images.has(last)) return; // another has been chosen meanwhile
  $("chosen").hidden = false;
  $("large").src = images.get(last);
  describe($("large"), "i18nAlt", "digits.tile", {seed: last});
  say($("large-seed"), "digits.own_seed", {seed: last});
  $("link").value = url.linkTo({...shown, chosen: last}, "chosen");
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
    const name = `digits-${shown.seed}.${format}`;
    panel.alert.replaceChildren();
    say($("saving"), "digits.saving", {format: button.textContent});
    saving++;
    try {
      const response = await request(`mnist/sample?${query}`, {purpose: `${format} file`, read: "blob"});
      if (response) save(response.body, name);
    } catch (error) {
      showError(panel.alert, error);
    }
    if (!--saving) hush($("saving"));
  });
}

function isSeed(text) {
  return /^[0-9]{1,20}$/.test(text) && BigInt(text) < SEED_RANGE;
}

function clear() {
  shown = null;
  chosen = [];
  largeAlert.replaceChildren();
  $("grid").replaceChildren();
  for (const id of ["chosen", "downloads"]) $(id).hidden = true;
  strip.show([], "");
}
