import http.server
import json
import shutil
import threading
from pathlib import Path

import pytest

from benchmarks.serving.load_generators import GeneratorError, Work, parse_k6, parse_wrk, wrk

SAMPLES = Path(__file__).parent / "samples"


def test_wrk_counts_only_answers_of_status_200_as_rate() -> None:
    load = parse_wrk((SAMPLES / "wrk.txt").read_text(), generator_cpu_seconds=0.5)
    assert load.requests == 4090
    assert load.rate == (4090 - 90) / 2
    assert (load.p50, load.p95, load.p99) == (0.01406, 0.021, 0.05)
    assert load.failed == {"503": 90, "socket": 2}
    assert load.generator_cpu == 0.25


def test_wrk_without_its_line_is_an_error_that_shows_what_it_printed() -> None:
    with pytest.raises(GeneratorError, match="unable to connect"):
        parse_wrk("unable to connect to 127.0.0.1:1 Connection refused")


def test_k6_statuses_come_from_its_submetrics() -> None:
    summary = json.loads((SAMPLES / "k6.json").read_text())
    load = parse_k6(summary, generator_cpu_seconds=2)
    assert load.failed == {"503": 25}
    assert load.requests == 41
    assert load.rate == pytest.approx(4, abs=0.01)
    assert (load.p50, load.p99) == pytest.approx((0.000616, 0.016589), abs=1e-6)
    assert load.generator_cpu == pytest.approx(0.5, abs=0.01)


def test_k6_says_what_it_could_not_send_and_what_never_came_back() -> None:
    summary = json.loads((SAMPLES / "k6.json").read_text())
    summary["metrics"]["statuses{code:0}"]["count"] = 3
    summary["metrics"]["dropped_iterations"] = {"count": 7}
    assert parse_k6(summary).failed == {"503": 25, "socket": 3, "not sent": 7}


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed: apt install wrk")
def test_wrk_sends_every_file_in_turn_with_its_headers(tmp_path: Path) -> None:
    seen: set[tuple[str, str | None, bytes]] = set()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.add((self.headers["Content-Type"], self.headers["Inference-Header-Content-Length"], body))
            self.send_response(503 if body == b"two" else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    files = (tmp_path / "one", tmp_path / "two")
    for file in files:
        file.write_bytes(file.name.encode())
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        load = wrk(url, Work("/x", "POST", "image/jpeg", 12, files), concurrency=2, seconds=1)
    finally:
        server.shutdown()
        server.server_close()
    assert seen == {("image/jpeg", "12", b"one"), ("image/jpeg", "12", b"two")}
    assert 0 < load.failed["503"] < load.requests
