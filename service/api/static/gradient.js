/** The generator's two losses over the discriminator's logit, and their slopes where the reader puts the slider. */

import {say} from "./i18n.js";

const $ = (id) => document.getElementById(id);
const LOSSES = {
  minimax: {value: (p) => Math.log(1 - p), slope: (p) => p},
  substitute: {value: (p) => -Math.log(p), slope: (p) => 1 - p},
};
const MOST_LOGIT = 4.6; // where D(G(z)) is 0.99
const STEPS = 92;

const logit = (p) => Math.log(p / (1 - p));
const x = (p) => 160 + (150 * logit(p)) / MOST_LOGIT;
const y = (value) => 80 - (70 * value) / MOST_LOGIT;

/** Draws the curves and follows the slider. */
export function start() {
  const logits = Array.from({length: STEPS + 1}, (_, i) => MOST_LOGIT * ((2 * i) / STEPS - 1));
  const outputs = logits.map((value) => 1 / (1 + Math.exp(-value)));
  for (const [name, {value}] of Object.entries(LOSSES)) {
    const points = outputs.map((p) => `${x(p).toFixed(1)} ${y(value(p)).toFixed(1)}`);
    $(`curve-${name}`).setAttribute("d", `M${points.join("L")}`);
  }
  $("verdict").addEventListener("input", follow);
  follow();
}

/** The slopes are those of the curves, without their sign. */
function follow() {
  const p = $("verdict").valueAsNumber;
  for (const [name, {value, slope}] of Object.entries(LOSSES)) {
    $(`dot-${name}`).setAttribute("cx", x(p));
    $(`dot-${name}`).setAttribute("cy", y(value(p)));
    say($(`slope-${name}`), "gradient.slope", {slope: slope(p).toFixed(2)});
  }
  $("verdict").setAttribute("aria-valuetext", `D(G(z)) = ${p.toFixed(2)}`);
}
