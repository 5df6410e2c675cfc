"""The command that serves: an OpenAI-compatible gateway in front of a model server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from scr.commands import options
from scr.commands.groups import Deciding, spread
from scr.commands.opening import default_store


@dataclass(frozen=True, slots=True)
class Asked:
    """How the model server is asked."""

    upstream_api_key: Annotated[
        str | None,
        typer.Option(
            "--upstream-api-key", envvar="SCR_UPSTREAM_API_KEY", metavar="KEY", help="Its key; clients never see it."
        ),
    ] = None
    upstream_timeout: Annotated[
        float, typer.Option("--upstream-timeout", metavar="S", min=1, help="Seconds that it may be silent.")
    ] = 600.0


@dataclass(frozen=True, slots=True)
class Reached:
    """Where the gateway is reached; options have vLLM's names."""

    host: Annotated[str, typer.Option("--host", metavar="HOST", help="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, typer.Option("--port", metavar="N", min=0, max=65535, help="0 is a free one.")] = 8080
    workers: Annotated[
        int, typer.Option("--workers", metavar="N", min=1, max=256, help="Processes, which share the store.")
    ] = 1
    log_requests: Annotated[bool, typer.Option(help="One line on stderr for each request.")] = True
    ssl_keyfile: Annotated[Path | None, typer.Option(metavar="FILE", help="TLS: the private key.")] = None
    ssl_certfile: Annotated[Path | None, typer.Option(metavar="FILE", help="TLS: the certificate.")] = None
    ssl_ca_certs: Annotated[Path | None, typer.Option(metavar="FILE", help="TLS: who signs clients.")] = None
    ssl_cert_reqs: Annotated[
        int, typer.Option(metavar="0|1|2", min=0, max=2, help="TLS: clients' certificates: no, optional, required.")
    ] = 0
    ssl_ciphers: Annotated[str | None, typer.Option(metavar="LIST", help="TLS: ciphers, as OpenSSL has them.")] = None


@dataclass(frozen=True, slots=True)
class Limited:
    """Who may do what, and how much."""

    api_key: Annotated[
        list[str] | None,
        typer.Option(
            "--api-key",
            metavar="KEY",
            help="A client's key: SECRET, or 'NAME SECRET RIGHTS NAMESPACES'. May be repeated. [env: SCR_API_KEYS, "
            "one a line]",
        ),
    ] = None
    api_key_file: Annotated[
        Path | None,
        typer.Option("--api-key-file", envvar="SCR_API_KEY_FILE", metavar="FILE", help="Keys, one a line."),
    ] = None
    rate_limit: Annotated[
        int | None, typer.Option("--rate-limit", metavar="N", min=1, help="Requests a minute of one key.")
    ] = None
    max_connections: Annotated[
        int, typer.Option("--max-connections", metavar="N", min=1, help="Connections at once, in each process.")
    ] = 2048
    max_connections_per_address: Annotated[
        int | None,
        typer.Option(
            "--max-connections-per-address",
            metavar="N",
            min=1,
            help="Of them from one address; not behind a reverse proxy, whose connections are all from one.",
        ),
    ] = None
    max_requests: Annotated[
        int, typer.Option("--max-requests", metavar="N", min=1, help="Requests under way at once, in each process.")
    ] = 1024
    write_timeout: Annotated[
        float,
        typer.Option(
            "--write-timeout", metavar="S", min=1, help="Seconds that an answer may wait for its client to read on."
        ),
    ] = 60.0
    max_body: Annotated[int, typer.Option("--max-body", metavar="BYTES", min=1024, help="Longest request.")] = (
        16 * 2**20
    )
    max_fact: Annotated[
        int, typer.Option("--max-fact", metavar="N", min=1, max=4000, help="Characters of the longest fact.")
    ] = 4000


@spread
def serve(
    *,
    upstream: Annotated[
        str,
        typer.Option("--upstream", envvar="SCR_UPSTREAM", metavar="URL", help="The model server, such as a vLLM."),
    ],
    asked: Asked,
    reached: Reached,
    limited: Limited,
    on_failure: Annotated[
        Literal["pass", "refuse"],
        typer.Option(
            metavar="pass|refuse", help="A request that cannot be decided goes through unedited, or is refused."
        ),
    ] = "pass",
    decision_timeout: Annotated[
        float, typer.Option("--decision-timeout", metavar="S", min=0.01, help="Seconds that a decision may take.")
    ] = 5.0,
    deciding: Deciding,
    prompts: options.Prompts = None,
    store: options.Store = None,
    namespace: options.Namespace = options.NAMESPACE,
    encoder: options.EncoderName = None,
) -> None:
    """Serve the OpenAI protocol with the facts on.

    A chat client changes its base URL and nothing else. A request that no fact governs reaches the model server byte
    for byte. Facts are managed at /scr/facts; /scr/openapi.json describes that.

    A key's rights are ask, read, write, metrics and admin, with commas between; one whose rights are not said may ask.
    Without keys the gateway serves this machine alone.

    Examples:

      scr serve --upstream http://localhost:8000

      scr serve --upstream http://gpu-1:8000 --host 0.0.0.0 --workers 4 --api-key-file keys.txt

      scr serve --upstream http://localhost:8000 --api-key "alice sk-alice ask,read,write default"
    """
    import os

    try:
        from scr.gateway.serving import Listening
        from scr.gateway.serving import serve as run
    except ImportError as error:
        if str(error.name).partition(".")[0] in {"starlette", "uvicorn", "prometheus_client", "anyio"}:
            from scr.errors import MissingExtra

            raise MissingExtra("serve", "`scr serve`") from None
        raise
    from scr.gateway.keys import read_keys
    from scr.gateway.settings import Settings

    lines = limited.api_key or os.environ.get("SCR_API_KEYS", "").splitlines()
    settings = Settings(
        upstream=upstream,
        store=store or default_store(),
        namespace=namespace,
        encoder=encoder,
        scope=deciding.scope,
        threshold=deciding.threshold,
        k=deciding.top_k,
        prompts=prompts,
        upstream_api_key=asked.upstream_api_key,
        upstream_timeout=asked.upstream_timeout,
        keys=read_keys(lines, limited.api_key_file),
        on_failure=on_failure,
        decision_timeout=decision_timeout,
        max_body=limited.max_body,
        max_fact=limited.max_fact,
        rate_limit=limited.rate_limit,
        max_connections=limited.max_connections,
        max_connections_per_address=limited.max_connections_per_address,
        max_requests=limited.max_requests,
        write_timeout=limited.write_timeout,
    )
    listening = Listening(**{name: getattr(reached, name) for name in Listening.__dataclass_fields__})
    run(settings, listening)
