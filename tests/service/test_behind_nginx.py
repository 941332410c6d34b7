"""The service behind a real nginx, which serves it under a path prefix. Skipped where nginx is not installed."""

import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

PATIENCE_S = 30.0
PREFIX = "/apps/gan"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed: apt-get install nginx-light"),
]

CONFIGURATION = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{}}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location {prefix}/ {{
            proxy_pass http://127.0.0.1:{upstream}{stripped};
            proxy_http_version 1.1; proxy_set_header Host $http_host; {header}
        }}
    }}
}}
"""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(url: str) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while True:
        try:
            if httpx.get(url, trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            assert time.monotonic() < give_up, url
        time.sleep(0.05)


@pytest.fixture(params=["taken off by nginx", "left on by nginx"])
def client(request: pytest.FixtureRequest, tmp_path: Path, models: Path) -> Iterator[httpx.Client]:
    """A client of nginx, which takes the prefix off the path, or leaves that to GAN_ROOT_PATH."""
    taken_off, port, upstream = request.param.startswith("taken"), free_port(), free_port()
    flags = [] if taken_off else ["--root-path", PREFIX]
    service = [sys.executable, "-m", "service", "--port", str(upstream), "--device", "cpu", "--models", str(models)]
    text = CONFIGURATION.format(
        folder=tmp_path,
        port=port,
        upstream=upstream,
        prefix=PREFIX,
        stripped="/" if taken_off else "",
        header=f"proxy_set_header X-Forwarded-Prefix {PREFIX};" if taken_off else "",
    )
    (tmp_path / "nginx.conf").write_text(text)
    nginx = ["nginx", "-p", str(tmp_path), "-e", str(tmp_path / "error.log"), "-c", str(tmp_path / "nginx.conf")]
    with subprocess.Popen([*service, *flags]) as served, subprocess.Popen(nginx) as proxy:
        try:
            wait_for(f"http://127.0.0.1:{port}{PREFIX}/healthz/ready")
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=PATIENCE_S) as made:
                yield made
        finally:
            for process in (proxy, served):
                process.terminate()


def test_everything_works_under_the_prefix(
    client: httpx.Client, encoded: Callable[..., bytes], noise: Callable[..., Any]
) -> None:
    for page in ("/", "/docs"):  # what a page refers to, as a browser resolves it
        response = client.get(f"{PREFIX}{page}").raise_for_status()
        links = re.findall(r"""(?:src|href|url)[=:] ?["']([^"'#]+)""", response.text)
        assert links
        for link in links:
            if not link.startswith("data:"):
                assert client.get(urljoin(str(response.url), link)).status_code == 200, link
    document = client.get(f"{PREFIX}/openapi.json").raise_for_status()
    server = urljoin(str(document.url), document.json()["servers"][0]["url"])
    assert client.get(f"{server}mnist/sample?seed=1").status_code == 200
    body = encoded(noise(64, 64), "PNG")
    for path in ("/translate/horse2zebra", "/translate/horse2zebra/"):
        moved = client.post(f"{PREFIX}{path}?size=64", content=body, follow_redirects=True)
        assert (moved.status_code, moved.url.path) == (200, f"{PREFIX}/translate/horse2zebra")
    assert client.head(f"{PREFIX}/docs/", follow_redirects=True).url.path == f"{PREFIX}/docs"
    assert client.get("/models").status_code == 404  # nginx's own: nothing is outside the prefix
