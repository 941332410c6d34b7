"""Exits with status 0 when the service in this container is ready. HEALTHCHECK runs it: the image has no curl."""

import http.client
import os
import sys

TIMEOUT_SECONDS = 4.0


def main() -> int:
    """Requests the readiness route on the management port, or on the public one if that is the only one."""
    port = int(os.environ.get("GAN_MANAGEMENT_PORT") or os.environ.get("GAN_PORT") or 8000)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/healthz/ready")
        response = connection.getresponse()
        print(response.status, response.read(500).decode("utf-8", "replace"))
    except OSError as error:
        print(f"port {port}: {error}")
        return 1
    return 0 if response.status == http.client.OK else 1


if __name__ == "__main__":
    sys.exit(main())
