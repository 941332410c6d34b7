// k6: RATE requests a second for SECONDS, whether or not responses come back; the body is FILE.
import http from "k6/http";
import { Counter, Trend } from "k6/metrics";

const body = open(__ENV.FILE, "b");
const accepted = new Trend("accepted", true);
const statuses = new Counter("statuses");

export const options = {
  discardResponseBodies: true,
  systemTags: ["status"],
  summaryTrendStats: ["med", "p(95)", "p(99)", "max", "count"],
  // A threshold that always holds makes k6 report the counter by status.
  thresholds: Object.fromEntries(
    [0, 200, 408, 413, 422, 429, 499, 500, 502, 503, 504].map((code) => [`statuses{code:${code}}`, ["count>=0"]])
  ),
  scenarios: {
    arrivals: {
      executor: "constant-arrival-rate",
      rate: Number(__ENV.RATE),
      timeUnit: "1s",
      duration: `${__ENV.SECONDS}s`,
      preAllocatedVUs: Number(__ENV.CLIENTS),
      maxVUs: Number(__ENV.CLIENTS),
      gracefulStop: `${__ENV.GRACE}s`,
    },
  },
};

export default function () {
  const response = http.post(__ENV.URL, body, {
    headers: { "Content-Type": "image/jpeg", "X-Request-Timeout": __ENV.DEADLINE },
    timeout: `${2 * Number(__ENV.DEADLINE)}s`,
  });
  statuses.add(1, { code: String(response.status) });
  if (response.status === 200) accepted.add(response.timings.duration);
}
