"""The gateway against its own OpenAPI document: whatever fits it, and much that does not, gets an answer that fits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from scr.encoder import Encoder
from scr.facts import NewFact
from scr.gateway.openapi import openapi
from scr.gateway.settings import Settings
from scr.scope import ScopeClassifier
from scr.store import FactStore

from .conftest import LYON, serving
from .recorder import recording

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@schemathesis.serializer("application/jsonl", "text/csv")
def as_text(_: object, value: object) -> bytes:
    return str(value).encode(errors="replace")


schema = schemathesis.openapi.from_dict(openapi())


@pytest.fixture(scope="module")
def client(
    encoder: Encoder, classifier: ScopeClassifier, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """One gateway for all examples; they add, change and remove facts as they like."""
    path = tmp_path_factory.mktemp("schema") / "store"
    with ExitStack() as stack:
        patch, upstream = (stack.enter_context(one) for one in (pytest.MonkeyPatch.context(), recording()))
        patch.setattr("scr.encoder.open_encoder", lambda _=None: encoder)
        patch.setattr("scr.gateway.service.open_scope", lambda *_: classifier)
        with FactStore.open(path, encoder=encoder) as store:
            store.add(NewFact.of({"text": LYON}))
        url = stack.enter_context(serving(Settings(upstream.url, path, decision_timeout=60)))
        yield stack.enter_context(httpx.Client(base_url=url, timeout=30, trust_env=False))


@schema.parametrize()
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[*HealthCheck],
)
def test_every_answer_is_described(case: schemathesis.Case, client: httpx.Client) -> None:
    case.call_and_validate(base_url=str(client.base_url), checks=CHECKS)
