/** Translation of an image: chosen, shrunk where it is too large, sent, and compared with the result. */

import {abort, request, ServiceError} from "./api.js";
import * as cycle from "./cycle.js";
import {domains, inWords} from "./directions.js";
import {describe, hush, say, t} from "./i18n.js";
import {Panel} from "./panel.js";
import {load, put, save} from "./save.js";
import {fit} from "./shrink.js";
import * as slider from "./slider.js";
import * as timing from "./timing.js";
import * as url from "./url.js";

const EXAMPLES = {foal: "horse", herd: "horse", black: "horse", zebra: "zebra"};
const OPTIONS = ["direction", "size", "format", "model"];
const $ = (id) => document.getElementById(id);
const form = $("translate-form");
const fields = form.elements;
const limits = {bodyBytes: Number($("main").dataset.bodyBytes), imagePixels: Number($("main").dataset.imagePixels)};
const panel = new Panel($("translation"), clear);
let translators = [];
let image = null;
let result = null;
let missing = null;
let turns = 0;

slider.start($("compare"));

/** Tells a user who has chosen an image that the models are awaited or, with an error, that they cannot be had. */
export function wait(error = null) {
  missing = error;
  if (image && !translators.length) run();
}

/** Offers the directions and models that are served, and the examples that they can translate. */
export function start(models) {
  translators = models.filter((model) => model.task === "translate");
  if (!translators.length) return;
  const directions = [...new Set(translators.map((model) => model.direction))];
  fields.direction.replaceChildren(...directions.map((name) => new Option(inWords(name), name)));
  if (directions.includes(url.read("direction"))) fields.direction.value = url.read("direction");
  for (const name of ["size", "format"]) restore(fields[name], name);
  offerModels();
  restore(fields.model, "model");
  cycle.serve(directions);
  offerExamples(directions);
  if (image) return run();
  if (url.read("example") in EXAMPLES) return pickExample(url.read("example"), {turn: !directions.includes(url.read("direction")), follow: false});
}

document.addEventListener("language", () => {
  for (const option of fields.direction.options) option.text = inWords(option.value);
});

function restore(select, name) {
  if ([...select.options].some((option) => option.value === url.read(name))) select.value = url.read(name);
}

function offerModels() {
  const fitting = translators.filter((model) => model.direction === fields.direction.value);
  const usual = fitting.find((model) => model.default);
  const others = fitting.filter((model) => model !== usual);
  fields.model.replaceChildren(
    ...(usual ? [new Option(usual.id, "")] : []),
    ...others.map(({id}) => new Option(id, id)),
  );
}

function offerExamples(directions) {
  const sources = new Set(directions.map((direction) => domains(direction)[0]));
  const offered = Object.entries(EXAMPLES).filter(([, domain]) => sources.has(domain));
  $("examples").hidden = !offered.length;
  const buttons = offered.map(([name]) => {
    const button = Object.assign(document.createElement("button"), {type: "button"});
    button.dataset.example = name;
    const picture = Object.assign(new Image(), {src: `page/examples/${name}.webp`});
    describe(
      picture,
      "i18nAlt",
      {foal: "example.foal", herd: "example.herd", black: "example.black", zebra: "example.zebra"}[name],
    );
    button.append(picture);
    button.addEventListener("click", () => pickExample(name, {turn: true, follow: true}));
    return button;
  });
  $("examples").replaceChildren($("examples").firstElementChild, ...buttons);
}

/** `turn`: whether the direction becomes the one that the example is for. `follow`: as in `run`. */
async function pickExample(name, {turn, follow}) {
  try {
    const response = await request(`page/examples/${name}.webp`, {purpose: "example", read: "blob"});
    if (!response) return;
    const direction = [...fields.direction.options].find(({value}) => domains(value)[0] === EXAMPLES[name]);
    if (turn && direction && domains(fields.direction.value)[0] !== EXAMPLES[name]) {
      fields.direction.value = direction.value;
      offerModels();
    }
    await pick(response.body, `${name}.webp`, {example: name, follow});
  } catch (error) {
    panel.fail(error);
  }
}

/** Takes an image from wherever it came and translates it at once. */
function pick(file, name, {example = "", follow = true} = {}) {
  abort("example");
  image = {file, name: name.replace(/\.\w+$/, "")};
  $("file-name").textContent = name;
  url.write({example});
  for (const button of $("examples").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", button.dataset.example === example);
  }
  return run(follow);
}

/** `follow`: whether to scroll to what happens, for a user who does not see it where the button was. */
async function run(follow = false) {
  const turn = ++turns;
  if (!translators.length) {
    if (missing) panel.fail(missing);
    else panel.busy("translate.waiting"); // `start` calls this again once the models are known
    return;
  }
  abort("translation");
  cycle.offer(null);
  url.write(Object.fromEntries(OPTIONS.map((name) => [name, fields[name].value])));
  if (!image) {
    panel.fail(new ServiceError("translate.no_image"));
    return;
  }
  panel.busy("translate.running");
  if (follow) panel.status.scrollIntoView({block: "nearest"});
  hush($("shrunk"));
  try {
    const direction = fields.direction.value;
    const {blob, from, to} = await fit(image.file, limits);
    if (turn !== turns) return;
    if (to) sayShrunk([from, to], [image.file.size, blob.size]);
    const options = chosen("size", "model");
    const query = new URLSearchParams({...options, ...chosen("format")});
    const began = performance.now();
    const response = await request(`translate/${direction}?${query}`, {
      purpose: "translation",
      read: "blob",
      method: "POST",
      body: blob,
      headers: {"Content-Type": blob.type || "application/octet-stream"},
    });
    if (!response || turn !== turns) return;
    const milliseconds = performance.now() - began;
    const images = await Promise.all([load(blob).catch(() => null), load(response.body)]);
    if (turn === turns) show(blob, response, {direction, options, images, milliseconds});
    else for (const loaded of images) URL.revokeObjectURL(loaded?.src);
    if (turn === turns && follow) {
      $("compare").scrollIntoView({block: "nearest"});
      if (form.contains(document.activeElement)) $("compare").querySelector("input").focus({preventScroll: true});
    }
  } catch (error) {
    if (turn !== turns) return;
    panel.fail(error);
    if (follow) panel.alert.scrollIntoView({block: "nearest"});
  }
}

/** Says how the browser has made the image smaller. `sizes`: [width, height] in pixels before and after. */
function sayShrunk(sizes, bytes) {
  const [from, to] = sizes.map((sides) => sides.join(" × "));
  const [before, after] = bytes.map((count) => (count / 1e6).toPrecision(2));
  if (bytes[0] > limits.bodyBytes) say($("shrunk"), "shrink.saved_again", {before, after, to});
  else say($("shrunk"), "shrink.done", {from, to});
}

/** Shows both images at once; `images`: of the upload, null where the browser cannot read it, and of the response. */
function show(upload, {body, headers}, {direction, options, images: [before, after], milliseconds}) {
  say($("made-by"), "translate.made_by", {
    model: headers.get("X-Model"),
    size: headers.get("X-Size").replace("x", " × "),
  });
  result = {file: body, name: `${image.name}-${direction}.${body.type.replace("image/", "")}`};
  if (before) put($("before"), before);
  put($("after"), after);
  $("compare").classList.toggle("single", !before);
  $("compare").style.setProperty("--ratio", after.naturalWidth / after.naturalHeight);
  $("result").hidden = false;
  timing.show($("timing"), timing.parse(headers.get("Server-Timing")), milliseconds);
  panel.done("translate.done", {seconds: (milliseconds / 1000).toFixed(2)});
  cycle.offer({upload, translation: body, direction, options});
}

/** Returns the options that the user has chosen, by their name. */
function chosen(...names) {
  return Object.fromEntries(names.map((name) => [name, fields[name].value]).filter(([, value]) => value));
}

function clear() {
  result = null;
  $("result").hidden = true;
  hush($("shrunk"));
  cycle.offer(null);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  run(true);
});
fields.direction.addEventListener("change", () => {
  offerModels();
  if (image) run();
});
for (const name of ["size", "format", "model"])
  fields[name].addEventListener("change", () => {
    if (image) run();
  });
for (const input of [fields.file, fields.camera]) {
  input.addEventListener("change", () => {
    if (input.files.length) pick(input.files[0], input.files[0].name);
    input.value = ""; // so that the same file can be chosen again
  });
}
$("save-translation").addEventListener("click", () => save(result.file, result.name));

/** A file dropped anywhere is taken: beside the box, the browser would leave the page for it. */
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") pickFirst(event.dataTransfer.files);
  });
}
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) pickFirst(event.clipboardData.files);
});

function pickFirst(files) {
  if (files.length) pick(files[0], files[0].name || t("translate.pasted"));
  else panel.fail(new ServiceError("translate.not_a_file"));
}
