"""The `gan-serve` command."""

import logging
import os
import sys

from pydantic import ValidationError
from pydantic_settings import CliApp

from service.access import commands
from service.access.keys import KeyFileError
from service.app import create_app
from service.card import CardError
from service.runtime.devices import DeviceError
from service.server import runner, sockets
from service.server.sockets import PortError
from service.settings import Settings, mistyped
from service.telemetry import logs, tracing
from service.telemetry.tracing import TracingError

log = logging.getLogger("service")


def main() -> None:
    """Serves until a signal, or manages keys. Exits with status 2 after an error that the operator can correct."""
    try:
        if sys.argv[1:2] == ["keys"]:
            commands.run(sys.argv[2:])
            return
        settings = CliApp.run(Settings)
        logs.configure(settings)
        for name, near in mistyped(os.environ).items():
            log.warning("%s is no setting and has no effect: the nearest is %s", name, near)
        with tracing.exporting():
            ports = sockets.bind(settings)
            if settings.keys is None and not sockets.only_loopback(ports.public):
                log.warning(
                    "everybody who reaches %s may use the service: set GAN_KEYS, or let only a proxy reach it",
                    settings.host,
                )
            app = create_app(settings)
            runner.run(app, ports, settings)
        if app.state.context.lifecycle.hung:
            logging.shutdown()
            os._exit(1)  # Python would wait for the thread of the hung batch
    except ValidationError as error:
        for detail in error.errors():
            print(
                f"gan-serve: GAN_{str(detail['loc'][0]).upper()}: {detail['msg']} (got {detail['input']!r})",
                file=sys.stderr,
            )
        sys.exit(2)
    except (CardError, DeviceError, KeyFileError, PortError, TracingError) as error:
        print(f"gan-serve: {error}", file=sys.stderr)
        sys.exit(2)
