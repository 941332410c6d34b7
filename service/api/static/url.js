/** What is seen, in the query of the address bar. */

/** Returns a parameter, or "" where there is none. */
export function read(name) {
  return new URLSearchParams(location.search).get(name) ?? "";
}

/** Sets parameters; an empty value removes one. */
export function write(changes) {
  history.replaceState(null, "", addressOf(new URLSearchParams(location.search), changes) + location.hash);
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
