/** The page: loads its language and the list of models, and starts its parts. */

import {request, setKey} from "./api.js";
import * as digits from "./digits.js";
import * as gradient from "./gradient.js";
import * as i18n from "./i18n.js";
import {showError} from "./panel.js";
import * as service from "./service.js";
import * as translate from "./translate.js";
import * as url from "./url.js";

const $ = (id) => document.getElementById(id);

async function start() {
  $("page-alert").replaceChildren();
  try {
    const response = await request("models", {purpose: "models"});
    if (!response) return;
    const {models} = response.body;
    for (const part of [digits, translate, service]) part.start(models);
  } catch (error) {
    showError($("page-alert"), error);
  }
}

document.addEventListener("key-needed", () => {
  if (!$("key").hidden) return;
  $("key").hidden = false;
  $("key").elements.key.focus();
});
$("key").addEventListener("submit", (event) => {
  event.preventDefault();
  setKey($("key").elements.key.value.trim());
  $("key").reset();
  $("key").hidden = true;
  start();
});

for (const button of document.querySelectorAll("[data-language]")) {
  button.addEventListener("click", async () => {
    url.write({lang: button.dataset.language});
    await i18n.use(button.dataset.language);
    document.dispatchEvent(new Event("language"));
  });
}
for (const link of document.querySelectorAll("nav a[href^='#']")) {
  link.hidden = Boolean(document.querySelector(link.hash).closest("[hidden]")); // no model does this
}

try {
  await i18n.use(i18n.language());
  gradient.start();
  await start();
} catch (error) {
  $("page-alert").textContent =
    "The page could not load completely: reload it. " + "페이지를 다 불러오지 못했습니다. 새로 고침하십시오.";
  throw error;
}
