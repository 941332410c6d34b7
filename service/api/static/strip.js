/** What lies between two chosen digits: an interpolation that plays. */

import {abort, request} from "./api.js";
import {describe, say} from "./i18n.js";
import {Panel, showError} from "./panel.js";
import {save} from "./save.js";

const MOST_STEPS = 25;
const FRAME_MILLISECONDS = 90;
const $ = (id) => document.getElementById(id);
const steps = Math.min(MOST_STEPS, Math.max(2, Number($("main").dataset.imageLimit) || Infinity));
const panel = new Panel($("strip"), () => clear());
let asked = null;
let frames = [];
let timer = 0;
let direction = 1;

/** Fetches and plays the interpolation between two seeds; with fewer seeds there is none. */
export async function show(seeds, digit) {
  clear();
  $("strip").hidden = seeds.length < 2;
  if (seeds.length < 2) {
    abort("strip");
    return;
  }
  asked = {from: seeds[0], to: seeds[1], steps, ...(digit && {digit})};
  panel.busy("strip.loading");
  try {
    const response = await request(`mnist/interpolate?${new URLSearchParams({...asked, format: "json"})}`, {
      purpose: "strip",
    });
    if (!response) return;
    frames = response.body.digits.map(({png}) => `data:image/png;base64,${png}`);
    panel.done("strip.done", asked);
    $("position").max = frames.length - 1;
    $("strip-body").hidden = false;
    move(0);
    play(!matchMedia("(prefers-reduced-motion: reduce)").matches);
  } catch (error) {
    panel.fail(error);
  }
}

function move(position) {
  $("position").value = position;
  $("frame").src = frames[position];
  describe($("frame"), "i18nAlt", "strip.frame", {number: position + 1, count: frames.length});
}

function play(on) {
  clearInterval(timer);
  timer = on ? setInterval(step, FRAME_MILLISECONDS) : 0;
  say($("play"), on ? "strip.pause" : "strip.play");
}

/** Goes to the next digit, and back from either end. */
function step() {
  const position = $("position").valueAsNumber;
  if (position === frames.length - 1) direction = -1;
  if (position === 0) direction = 1;
  move(position + direction);
}

function clear() {
  clearInterval(timer);
  timer = 0;
  frames = [];
  $("strip-body").hidden = true;
}

$("play").addEventListener("click", () => play(!timer));
$("position").addEventListener("input", (event) => {
  play(false);
  move(event.target.valueAsNumber);
});
$("save-strip").addEventListener("click", async () => {
  panel.alert.replaceChildren();
  try {
    const query = new URLSearchParams({...asked, format: "png"});
    const response = await request(`mnist/interpolate?${query}`, {purpose: "strip file", read: "blob"});
    if (response) save(response.body, `digits-${asked.from}-to-${asked.to}.png`);
  } catch (error) {
    showError(panel.alert, error);
  }
});
