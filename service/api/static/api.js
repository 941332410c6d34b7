/** Requests to the service. A request that is replaced by a newer one of the same purpose is aborted. */

const KEY = "api-key";
const running = new Map();
let key = sessionStorage.getItem(KEY);

/** An error in words: a key of the catalogue with its values, and the service's own explanation in English. */
export class ServiceError extends Error {
  constructor(key, values = {}, detail = "", status = 0) {
    super(detail || key);
    Object.assign(this, {key, values, detail, status});
  }
}

/** Sends this API key from now on. Throws ServiceError for one that no service gives and no header can have. */
export function tryKey(text) {
  if (!/^[!-~]+$/.test(text)) throw new ServiceError("error.key", {}, "", 401);
  key = text;
}

/** Keeps the API key for this tab, once the service has accepted it. */
export function keepKey() {
  if (key) sessionStorage.setItem(KEY, key);
}

/**
 * Sends a request and reads its response as "json", "blob" or "text".
 * Returns {body, headers}, or null once a newer request of the same purpose has begun. Throws ServiceError.
 */
export async function request(path, {purpose, read = "json", headers = {}, ...options}) {
  abort(purpose);
  const controller = new AbortController();
  running.set(purpose, controller);
  const sent = key ? {...headers, "X-API-Key": key} : headers;
  try {
    const response = await fetch(path, {...options, headers: sent, signal: controller.signal});
    if (!response.ok) throw await errorOf(response);
    if ((response.headers.get("Content-Type") ?? "").startsWith("text/html")) throw notOurs(response);
    const body = await response[read]();
    return running.get(purpose) === controller ? {body, headers: response.headers} : null;
  } catch (error) {
    if (running.get(purpose) !== controller) return null;
    if (error instanceof ServiceError) throw error;
    throw error instanceof SyntaxError
      ? new ServiceError("error.foreign", {status: 200})
      : new ServiceError("error.lost");
  } finally {
    if (running.get(purpose) === controller) running.delete(purpose);
  }
}

/** Aborts the running request of a purpose, whose response nobody wants any more. */
export function abort(purpose) {
  const controller = running.get(purpose);
  running.delete(purpose);
  controller?.abort();
}

const BY_STATUS = {
  400: "error.request",
  401: "error.key",
  404: "error.missing",
  408: "error.slow",
  413: "error.large",
  415: "error.image",
  422: "error.request",
  429: "error.limit",
  503: "error.busy",
  504: "error.slow",
};

const OF_PROXIES = [413, 429, 503, 504]; // a proxy means the same by these

async function errorOf(response) {
  const {status} = response;
  const problem = await response.json().catch(() => null);
  const ours = typeof problem?.detail === "string";
  if (!ours && !OF_PROXIES.includes(status)) return notOurs(response);
  const detail = ours && status !== 401 ? problem.detail : ""; // the page's own words on keys say all
  const seconds = response.headers.get("Retry-After");
  if (/^\d+$/.test(seconds) && (status === 429 || status === 503)) {
    return new ServiceError("error.wait", {seconds}, detail, status);
  }
  const empty = ours && problem.type?.endsWith("empty-body");
  return new ServiceError(empty ? "error.image" : (BY_STATUS[status] ?? "error.other"), {status}, detail, status);
}

/** A proxy, or a network's log-in page, has answered in the service's place. */
function notOurs(response) {
  return new ServiceError("error.foreign", {status: response.status}, "", response.status);
}
