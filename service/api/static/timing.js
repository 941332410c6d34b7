/** The stages of a request, from the Server-Timing header. */

import {say} from "./i18n.js";

const NAMES = {decode: "timing.decode", queue: "timing.queue", inference: "timing.inference", encode: "timing.encode"};

/** Returns the milliseconds of each stage that a Server-Timing header names. */
export function parse(header) {
  const stages = [...(header ?? "").matchAll(/(\w+);dur=([\d.]+)/g)];
  return stages.filter(([, name]) => name in NAMES).map(([, name, milliseconds]) => [name, Number(milliseconds)]);
}

/** Lists the stages with bars as long as they took, and the time that the browser measured. */
export function show(list, stages, totalMilliseconds) {
  const rows = stages.map(([name, milliseconds]) => row(NAMES[name], milliseconds, totalMilliseconds));
  list.replaceChildren(...rows.flat(), ...row("timing.total", totalMilliseconds, totalMilliseconds));
}

function row(key, milliseconds, whole) {
  const name = document.createElement("dt");
  say(name, key);
  const value = document.createElement("dd");
  const bar = Object.assign(document.createElement("span"), {className: "timebar"});
  bar.style.width = `${Math.min(100, (100 * milliseconds) / whole)}%`;
  const text = Object.assign(document.createElement("span"), {
    textContent: `${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms`,
  });
  value.append(bar, text);
  return [name, value];
}
