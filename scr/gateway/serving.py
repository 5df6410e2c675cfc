"""Running the gateway: one process or several, on one socket."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.supervisors import Multiprocess

from scr.errors import ScrError, UsageError
from scr.gateway.app import make_app
from scr.gateway.connections import protocol
from scr.gateway.metrics import FOLDER
from scr.gateway.settings import Settings, check_exposure

_SHUTDOWN_SECONDS = 30
_BACKLOG = 2048
_OTHER_FILES = 256

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listening:
    """Where and how a gateway is reached; the TLS options are vLLM's.

    Attributes:
        host: address to bind.
        port: 0 is a free one.
        workers: processes.
        log_requests: whether each request has a line in the log.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    log_requests: bool = True
    ssl_keyfile: Path | None = None
    ssl_certfile: Path | None = None
    ssl_ca_certs: Path | None = None
    ssl_cert_reqs: int = 0
    ssl_ciphers: str | None = None

    def tls(self) -> dict[str, Any]:
        """The TLS options that uvicorn takes.

        Raises:
            UsageError: a file is not there, or one is named without the other.
        """
        if bool(self.ssl_keyfile) > bool(self.ssl_certfile):
            raise UsageError("--ssl-keyfile needs --ssl-certfile: give both, or neither")
        files = {"ssl_keyfile": self.ssl_keyfile, "ssl_certfile": self.ssl_certfile, "ssl_ca_certs": self.ssl_ca_certs}
        for name, file in files.items():
            if file is not None and not file.is_file():
                raise UsageError(f"--{name.replace('_', '-')} {file} is no file: correct the path")
        options: dict[str, Any] = {name: str(file) for name, file in files.items() if file is not None}
        if self.ssl_certfile is not None:
            options["ssl_cert_reqs"] = self.ssl_cert_reqs
            if self.ssl_ciphers is not None:
                options["ssl_ciphers"] = self.ssl_ciphers
        return options


def serve(settings: Settings, listening: Listening) -> None:
    """Serve until interrupted.

    Raises:
        UsageError: the settings do not go together.
        ScrError: it cannot be served there, or a part cannot be opened.
    """
    check_exposure(listening.host, settings.keys)
    several = listening.workers > 1
    tls, app = listening.tls(), make_app(settings)  # here, so that a mistake is told before anything is served
    if several:  # each worker makes one of its own
        asyncio.run(app.state.gateway.aclose())
    make_room(settings.max_connections)
    with _bound(listening) as bound, _shared_folder() if several else nullcontext() as folder:
        if folder is not None:
            settings = replace(settings, shared=Path(folder))
        how = _how(settings, listening) | tls
        config = uvicorn.Config(partial(make_app, settings) if several else app, factory=several, **how)
        address, scheme = bound.getsockname(), "https" if config.is_ssl else "http"
        host = f"[{address[0]}]" if ":" in address[0] else address[0]
        log.info("serving %s on %s://%s:%d", app.state.gateway.upstream.address, scheme, host, address[1])
        if several:
            Multiprocess(config, sockets=[bound]).run()
            return
        server = uvicorn.Server(config)
        server.run(sockets=[bound])
    if not server.started:
        raise ScrError("the gateway could not start: the lines above say why")


def make_room(connections: int) -> None:
    """Let this process, and those that it starts, open as many files as connections need, as far as the system lets."""
    try:
        import resource
    except ImportError:  # a system without such a limit
        return
    needed = 2 * connections + _OTHER_FILES  # each may have one to the model server
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if now == resource.RLIM_INFINITY or now >= needed:
        return
    possible = needed if most == resource.RLIM_INFINITY else min(needed, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (possible, most))
    if possible < needed:
        log.warning(
            "%d files may be opened, and %d connections need %d: raise `ulimit -Hn`, or lower --max-connections",
            possible,
            connections,
            needed,
        )


def _bound(listening: Listening) -> socket.socket:
    """The socket that all workers share."""
    family = socket.AF_INET6 if ":" in listening.host else socket.AF_INET
    try:
        return socket.create_server((listening.host, listening.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ScrError(
            f"cannot listen on {listening.host}:{listening.port} ({reason}): choose another --host or --port"
        ) from None


def _how(settings: Settings, listening: Listening) -> dict[str, Any]:
    level = "INFO" if listening.log_requests else "WARNING"
    logs = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
        "loggers": {
            "uvicorn": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
            "scr": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
            "scr.gateway": {"level": level},
            __name__: {"level": "INFO"},
        },
    }
    return {
        "workers": listening.workers,
        "log_config": logs,
        "access_log": False,
        "server_header": False,
        "http": protocol(settings),
        "ws": "none",
        "lifespan": "on",
        "proxy_headers": False,
        "backlog": _BACKLOG,
        "timeout_graceful_shutdown": _SHUTDOWN_SECONDS,
        "timeout_worker_healthcheck": 60,
    }


class _shared_folder(tempfile.TemporaryDirectory[str]):  # noqa: N801 - used as a function
    """A folder of all worker processes; for their metrics, its name is in the environment that they inherit."""

    def __enter__(self) -> str:
        os.environ[FOLDER] = self.name
        return super().__enter__()

    def __exit__(self, *exception: Any) -> None:
        os.environ.pop(FOLDER, None)
        super().__exit__(*exception)
