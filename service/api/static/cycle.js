/** The cycle X -> Y -> X of the image just translated, and the two losses that need no discriminator. */

import {abort, request, ServiceError} from "./api.js";
import {inWords, reverse} from "./directions.js";
import {hush, say} from "./i18n.js";
import {Panel} from "./panel.js";
import {load, put} from "./save.js";

const LONGEST_SIDE = 768; // in pixels: the lesson needs no more, and large images would take minutes
const HALF_RANGE = 127.5; // grey levels in one unit of training's range from -1 to 1
const $ = (id) => document.getElementById(id);
const panel = new Panel($("cyclegan"), clear);
let served = [];
let given = null;
let turns = 0;

/** Tells which directions there are. */
export function serve(directions) {
  served = directions;
  offer(null);
}

/** Takes {upload, translation, direction, options: {size, model}} of a finished translation, or null as soon as it is outdated. */
export function offer(translated) {
  abort("cycle");
  turns++;
  given = translated;
  clear();
  panel.alert.replaceChildren();
  const direction = given?.direction;
  const back = given && served.includes(reverse(direction));
  $("cycle-run").disabled = !back;
  if (!given) panel.done("cycle.first");
  else if (back) panel.done("cycle.ready", {path: () => inWords(direction)});
  else panel.done("cycle.no_way_back");
}

$("cycle-run").addEventListener("click", async () => {
  const turn = ++turns;
  const {upload: whole, translation: wholeTranslation, direction, options} = given;
  panel.busy("cycle.running");
  try {
    const upload = await small(whole);
    const lossless = upload === whole && wholeTranslation.type === "image/png";
    const translation = lossless ? wholeTranslation : await translate(direction, upload, options);
    if (turn !== turns) return; // another image has come meanwhile
    const size = options.size && {size: options.size}; // the model was chosen for the other direction
    const cycled = await translate(reverse(direction), translation, size);
    const same = cycled && (await translate(reverse(direction), upload, size));
    if (!same) return;
    const [x, again, identity] = await Promise.all([upload, cycled, same].map(decoded));
    const images = await Promise.all([upload, translation, cycled].map(load));
    if (turn !== turns) {
      for (const {src} of images) URL.revokeObjectURL(src);
      return;
    }
    const cycleLoss = meanDifference(x, again);
    ["cycle-x", "cycle-y", "cycle-back"].forEach((id, i) => put($(id), images[i]));
    $("cycle-images").hidden = false;
    report($("cycle-loss"), cycleLoss);
    report($("identity-loss"), meanDifference(x, identity));
    panel.done("cycle.done", {grey: cycleLoss.toFixed(1)});
  } catch (error) {
    if (turn === turns) panel.fail(error);
  }
});

/** Translates without loss, so that the formats leave no trace in the differences. */
async function translate(direction, file, options) {
  const headers = {"Content-Type": file.type || "application/octet-stream"};
  const response = await request(`translate/${direction}?${new URLSearchParams({...options, format: "png"})}`, {
    purpose: "cycle",
    read: "blob",
    method: "POST",
    body: file,
    headers,
  });
  return response?.body;
}

async function decoded(file) {
  return createImageBitmap(file).catch(() => {
    throw new ServiceError("cycle.unreadable");
  });
}

/** Returns a file whose image has at most LONGEST_SIDE pixels a side: the same one where it has already. */
async function small(file) {
  const bitmap = await decoded(file);
  const scale = LONGEST_SIDE / Math.max(bitmap.width, bitmap.height);
  if (scale >= 1) return file;
  const canvas = new OffscreenCanvas(
    Math.max(1, Math.round(bitmap.width * scale)),
    Math.max(1, Math.round(bitmap.height * scale)),
  );
  drawOn(canvas, bitmap);
  return canvas.convertToBlob({type: "image/png"});
}

/** Draws an image over the whole canvas, on white, where the service puts transparency. */
function drawOn(canvas, bitmap) {
  const context = canvas.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return context;
}

/** Returns the mean absolute difference of two images, in grey levels of 255 per pixel and channel. */
function meanDifference(one, other) {
  const [a, b] = [one, other].map((bitmap) => {
    const context = drawOn(new OffscreenCanvas(one.width, one.height), bitmap);
    return context.getImageData(0, 0, one.width, one.height).data;
  });
  let sum = 0;
  for (let i = 0; i < a.length; i += 4) for (let c = i; c < i + 3; c++) sum += Math.abs(a[c] - b[c]);
  return sum / ((a.length / 4) * 3);
}

function report(element, grey) {
  say(element, "losses.value", {loss: (grey / HALF_RANGE).toFixed(3), grey: grey.toFixed(1)});
}

function clear() {
  $("cycle-images").hidden = true;
  for (const id of ["cycle-loss", "identity-loss"]) hush($(id));
}
