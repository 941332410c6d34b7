/** One part of the page that shows responses: busy, done, or failed. */

import {ServiceError} from "./api.js";
import {hush, say} from "./i18n.js";

/** The status line and the alert directly below `root`, announced by screen readers, and what they belong to. */
export class Panel {
  /** `clear`: removes what an earlier response has shown. */
  constructor(root, clear) {
    this.root = root;
    this.clear = clear;
    this.status = root.querySelector(":scope > .status");
    this.alert = root.querySelector(":scope > .alert");
  }

  /** Says that a response is awaited. */
  busy(key, values) {
    this.root.setAttribute("aria-busy", "true");
    this.alert.replaceChildren();
    say(this.status, key, values);
  }

  /** Says what is shown. */
  done(key, values) {
    this.root.setAttribute("aria-busy", "false");
    say(this.status, key, values);
  }

  /** Shows an error in place of what was shown before. */
  fail(error) {
    this.root.setAttribute("aria-busy", "false");
    hush(this.status);
    this.clear();
    showError(this.alert, error);
  }
}

/**
 * Shows an error in the page's language, and below it the service's explanation, which is English.
 * Any other error than a ServiceError comes from a response that is not as expected.
 */
export function showError(alert, cause) {
  const error = cause instanceof ServiceError ? cause : new ServiceError("error.unexpected");
  if (error !== cause) console.error(cause);
  const summary = document.createElement("p");
  say(summary, error.key, error.values);
  alert.replaceChildren(summary);
  if (error.detail) {
    const detail = document.createElement("p");
    Object.assign(detail, {lang: "en", textContent: error.detail, className: "detail"});
    alert.append(detail);
  }
  if (error.status === 401) document.dispatchEvent(new Event("key-needed"));
}
