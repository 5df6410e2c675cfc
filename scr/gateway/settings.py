"""What a gateway is told when it is started."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_bytes

from scr.errors import UsageError
from scr.facts import DEFAULT_NAMESPACE, MAX_TEXT
from scr.gateway.deciding import DEFAULT_TIMEOUT
from scr.gateway.editing import OnFailure
from scr.gateway.keys import Key
from scr.pipeline import DEFAULT_K

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Settings:
    """How a gateway works; plain values, so that they reach its worker processes.

    Attributes:
        upstream: address of the model server.
        store: folder of the facts.
        namespace: whose facts, where neither the request nor its key says.
        encoder: a folder or hub id; None is the store's own.
        scope: name of the classifier; None is the default one.
        threshold: least score at which a fact applies; None is the classifier's own.
        k: how many candidates to retrieve.
        prompts: folder with templates of one's own.
        upstream_api_key: sent to the model server in place of the clients' keys.
        upstream_timeout: seconds that the model server may be silent.
        keys: who may do what; none means everyone everything, from this machine alone.
        on_failure: what becomes of a request that cannot be decided.
        decision_timeout: seconds that a decision may take.
        max_body: most bytes of a request.
        max_fact: most characters of a fact.
        rate_limit: most requests a minute of one key; None is without limit.
        max_connections: most connections of one process.
        max_connections_per_address: most of them from one address; None is without limit.
        max_requests: most requests under way in one process.
        write_timeout: seconds in which a client has to take a part of the answer that waits for it.
        session_secret: signs the console's sessions, in all processes of one gateway.
        shared: folder of these processes, which ends with them; None where there is one.
    """

    upstream: str
    store: Path
    namespace: str = DEFAULT_NAMESPACE
    encoder: str | None = None
    scope: str | None = None
    threshold: float | None = None
    k: int = DEFAULT_K
    prompts: Path | None = None
    upstream_api_key: str | None = None
    upstream_timeout: float = 600.0
    keys: tuple[Key, ...] = ()
    on_failure: OnFailure = "pass"
    decision_timeout: float = DEFAULT_TIMEOUT
    max_body: int = 16 * 2**20
    max_fact: int = MAX_TEXT
    rate_limit: int | None = None
    max_connections: int = 2048
    max_connections_per_address: int | None = None
    max_requests: int = 1024
    write_timeout: float = 60.0
    session_secret: bytes = field(default_factory=lambda: token_bytes(32), repr=False)
    shared: Path | None = None


def check_exposure(host: str, keys: tuple[Key, ...]) -> None:
    """Refuse to serve the network without a key.

    Raises:
        UsageError: the address is not this machine's own and there is no key.
    """
    if not keys and host not in LOOPBACK:
        raise UsageError(
            f"--host {host} can be reached from other machines: give an --api-key (or --api-key-file), "
            "or serve this machine alone with --host 127.0.0.1"
        )
