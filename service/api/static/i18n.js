/** The page's strings: a catalogue per language, and the elements that show them. */

import {request} from "./api.js";
import * as url from "./url.js";

const LANGUAGES = ["en", "ko"];
const ATTRIBUTES = {i18nLabel: "aria-label", i18nAlt: "alt", i18nPlaceholder: "placeholder"};
const shown = new WeakMap();
let catalogue = {};

/** Returns the language of the address bar, else the browser's first one that the page has. */
export function language() {
  const wished = [url.read("lang"), ...navigator.languages.map((tag) => tag.slice(0, 2))];
  return wished.find((name) => LANGUAGES.includes(name)) ?? "en";
}

/**
 * Loads the catalogue of a language and shows the page in it. Returns false once another language is asked for.
 * Throws ServiceError, and the page stays as it is.
 */
export async function use(name) {
  const response = await request(`page/${name}.json`, {purpose: "language"});
  if (!response) return false;
  catalogue = response.body;
  document.documentElement.lang = name;
  for (const element of document.querySelectorAll("[data-i18n]"))
    say(element, element.dataset.i18n, shown.get(element));
  for (const [field, attribute] of Object.entries(ATTRIBUTES)) {
    const selector = `[data-${field.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}]`;
    for (const element of document.querySelectorAll(selector)) {
      element.setAttribute(attribute, t(element.dataset[field], shown.get(element)));
    }
  }
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", button.dataset.language === name);
  }
  return true;
}

/**
 * Returns a string of the catalogue, {name} replaced by values; a value that depends on the language is a function.
 * Before the catalogue is there it is empty: `use` then fills what `say` and `describe` have marked.
 */
export function t(key, values = {}) {
  return (catalogue[key] ?? "").replace(/\{(\w+)\}/g, (_, name) =>
    typeof values[name] === "function" ? values[name]() : values[name],
  );
}

/** Shows a string in an element, and again after a change of language. */
export function say(element, key, values = {}) {
  element.dataset.i18n = key;
  shown.set(element, values);
  element.replaceChildren(...withSubscripts(t(key, values)));
}

/** Returns the nodes of a text, where what follows the underscore of D_X, D_Y and p_data is lowered. */
function withSubscripts(text) {
  return text.split(/_([XY]|data)\b/).map((part, i) => {
    return i % 2 ? Object.assign(document.createElement("sub"), {textContent: part}) : part;
  });
}

/** Like `say`, for the name of a control (`i18nLabel`) or the description of an image (`i18nAlt`). */
export function describe(element, field, key, values = {}) {
  element.dataset[field] = key;
  shown.set(element, values);
  element.setAttribute(ATTRIBUTES[field], t(key, values));
}

/** Empties an element that `say` has filled. */
export function hush(element) {
  delete element.dataset.i18n;
  element.textContent = "";
}
