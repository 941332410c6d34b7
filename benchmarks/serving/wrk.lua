-- wrk -s wrk.lua URL -- METHOD CONTENT_TYPE TENSOR_HEAD_LENGTH FILE...
-- Sends the files in turn and prints one line of JSON at the end. "-" leaves an argument out.
local requests, turn, threads = {}, 0, {}

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  local headers = {}
  if args[2] ~= "-" then headers["Content-Type"] = args[2] end
  if args[3] ~= "-" then headers["Inference-Header-Content-Length"] = args[3] end
  for i = 4, #args do
    local file = assert(io.open(args[i], "rb"))
    table.insert(requests, wrk.format(args[1], nil, headers, file:read("*a")))
    file:close()
  end
  if #requests == 0 then table.insert(requests, wrk.format(args[1], nil, headers)) end
  statuses = ""
  seen = {}
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function response(status)
  if status ~= 200 then
    seen[status] = (seen[status] or 0) + 1
    local parts = {}
    for code, count in pairs(seen) do table.insert(parts, string.format('"%d": %d', code, count)) end
    statuses = table.concat(parts, ", ")
  end
end

function done(summary, latency, _)
  local failures = {}
  for _, thread in ipairs(threads) do
    local part = thread:get("statuses")
    if part ~= "" then table.insert(failures, part) end
  end
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "microseconds": %d, "p50": %d, "p95": %d, "p99": %d, "largest": %d, "mean": %.1f, '
      .. '"failed": {%s}, "socket_errors": %d, "bytes": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(95), latency:percentile(99),
    latency.max, latency.mean, table.concat(failures, ", "),
    errors.connect + errors.read + errors.write + errors.timeout, summary.bytes))
end
