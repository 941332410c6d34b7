/** The generator's two objectives over D(G(z)), and their slopes where the reader puts the slider. */

import {say} from "./i18n.js";

const $ = (id) => document.getElementById(id);
const LOSSES = {
  minimax: {value: (p) => Math.log(1 - p), slope: (p) => p},
  substitute: {value: (p) => -Math.log(p), slope: (p) => 1 - p},
};
const RANGE = 4.7;

const x = (p) => 10 + 300 * p;
const y = (value) => 80 - (70 * value) / RANGE;

/** Draws the curves and follows the slider. */
export function start() {
  for (const [name, {value}] of Object.entries(LOSSES)) {
    const points = Array.from({length: 99}, (_, i) => (i + 1) / 100).map(
      (p) => `${x(p).toFixed(1)} ${y(value(p)).toFixed(1)}`,
    );
    $(`curve-${name}`).setAttribute("d", `M${points.join("L")}`);
  }
  $("verdict").addEventListener("input", follow);
  follow();
}

/** The slopes are those with respect to the discriminator's logit, which is what the generator learns through. */
function follow() {
  const p = $("verdict").valueAsNumber;
  for (const [name, {value, slope}] of Object.entries(LOSSES)) {
    $(`dot-${name}`).setAttribute("cx", x(p));
    $(`dot-${name}`).setAttribute("cy", y(value(p)));
    say($(`slope-${name}`), "gradient.slope", {slope: slope(p).toFixed(2)});
  }
  $("verdict").setAttribute("aria-valuetext", `D(G(z)) = ${p.toFixed(2)}`);
}
