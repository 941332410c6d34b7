/** What is seen, in the query of the address bar. */

/** Returns a parameter, or "" where there is none. */
export function read(name) {
  return new URLSearchParams(location.search).get(name) ?? "";
}

let current = location.search;

/** Sets parameters; an empty value removes one. */
export function write(changes) {
  history.replaceState(null, "", addressOf(new URLSearchParams(location.search), changes) + location.hash);
  current = location.search;
}

/** Begins a new entry of the browser's history, so that Back leads to what the address bar has now. */
export function step() {
  history.pushState(null, "", location.href);
}

/** After a step through the history: takes these parameters from the entry, and keeps all others as they were. */
export function take(names) {
  const entry = new URLSearchParams(location.search);
  const kept = addressOf(new URLSearchParams(current), Object.fromEntries(names.map((name) => [name, entry.get(name)])));
  history.replaceState(null, "", kept + location.hash);
  current = location.search;
}

/** Returns the address of a part of the page, with these parameters only. */
export function linkTo(parameters, part) {
  return `${addressOf(new URLSearchParams(), parameters)}#${part}`;
}

function addressOf(query, changes) {
  for (const [name, value] of Object.entries(changes)) {
    if (value) query.set(name, value);
    else query.delete(name);
  }
  const text = query.toString();
  return location.origin + location.pathname + (text ? `?${text}` : "");
}
