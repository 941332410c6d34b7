/** The page: loads its language and the list of models, and starts its parts. */

import {keepKey, request, tryKey} from "./api.js";
import * as digits from "./digits.js";
import * as gradient from "./gradient.js";
import * as i18n from "./i18n.js";
import {showError} from "./panel.js";
import * as service from "./service.js";
import * as translate from "./translate.js";
import * as url from "./url.js";

const $ = (id) => document.getElementById(id);

/** Starts the parts, and returns once they show their first responses. */
async function start() {
  $("page-alert").replaceChildren();
  translate.wait();
  try {
    const response = await request("models", {purpose: "models"});
    if (!response) return;
    keepKey();
    if ($("key").contains(document.activeElement)) $("main").focus();
    $("key").hidden = true;
    const {models} = response.body;
    await Promise.all([digits, translate, service].map((part) => part.start(models)));
    document.getElementById(location.hash.slice(1))?.scrollIntoView(); // what is above it has its height now
  } catch (error) {
    showError($("page-alert"), error);
    if (error.status !== 401) $("page-alert").append(again());
    translate.wait(error);
  }
}

function again() {
  const button = Object.assign(document.createElement("button"), {type: "button"});
  i18n.say(button, "top.again");
  button.addEventListener("click", start);
  return button;
}

document.addEventListener("key-needed", () => {
  if (!$("key").hidden) return; // a response to another request must not move the focus
  $("key").hidden = false;
  $("key").elements.key.focus();
});
$("key").addEventListener("submit", (event) => {
  event.preventDefault();
  $("key").elements.key.focus(); // until the key is accepted
  try {
    tryKey($("key").elements.key.value.trim());
    start();
  } catch (error) {
    showError($("page-alert"), error);
  }
  $("key").reset();
});

for (const button of document.querySelectorAll("[data-language]")) {
  button.addEventListener("click", async () => {
    try {
      if (!(await i18n.use(button.dataset.language))) return;
      url.write({lang: button.dataset.language});
      if (!$("key").offsetParent) $("page-alert").replaceChildren();
      document.dispatchEvent(new Event("language"));
    } catch (error) {
      showError($("page-alert"), error);
    }
  });
}
for (const link of document.querySelectorAll("nav a[href^='#']")) {
  link.hidden = Boolean(document.querySelector(link.hash).closest("[hidden]")); // no model does this
}

try {
  await i18n.use(i18n.language());
  gradient.start();
} catch (error) {
  $("lost").hidden = false;
  throw error;
}
await start();
