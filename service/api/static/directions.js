/** Names of translations, such as horse2zebra, in words. */

import {t} from "./i18n.js";

const WORDS = {horse: "word.horse", zebra: "word.zebra"};

/** Returns the two domains of a direction, as the service names them. */
export function domains(direction) {
  return direction.split("2");
}

/** Returns a direction in the page's language; domains that it does not know keep their names. */
export function inWords(direction) {
  return domains(direction)
    .map((domain) => (domain in WORDS ? t(WORDS[domain]) : domain))
    .join(" → ");
}

/** Returns the direction back. */
export function reverse(direction) {
  return domains(direction).reverse().join("2");
}
