"""Who may do what, and how much."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import httpx
import pytest

from scr.errors import UsageError
from scr.facts import NewFact
from scr.gateway.keys import ANYONE, Key, KeyRing, digest_of, read_keys
from scr.gateway.limits import RateLimit
from scr.gateway.refusals import Refusal
from scr.gateway.settings import check_exposure

from .conftest import LYON, Open, chat
from .recorder import Recorder

CHAT = "/v1/chat/completions"
LINES = (
    "sk-plain",
    "reader sk-reader read",
    "writer sk-writer read,write default,acme",
    "tenant sk-tenant ask,read,write acme",
    "root sk-root admin",
    "prometheus sk-scraper metrics",
)


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def test_keys_in_lines_and_files(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    file.write_text(f"# of the tests\n\n{LINES[2]}  # who writes\nhashed sha256:{digest_of('sk-hashed').hex()} ask\n")
    keys = read_keys([LINES[0], ""], file)
    plain, writer, hashed = keys
    assert plain.name.startswith("key-")
    assert plain.rights == {"ask"}
    assert writer.namespaces == ("default", "acme")
    ring = KeyRing(keys)
    assert ring.find("sk-writer") is writer
    assert ring.find("sk-hashed") is hashed
    assert ring.find("sk-writer ") is ring.find("") is None
    assert "sk-plain" not in repr(keys)
    for wrong in ("a b c d e", "a b fly", "na/me b", "a b ask ,", "a sk-\u00e9"):
        with pytest.raises(UsageError):
            Key.parse(wrong)
    for twice in (["a x", "a y"], ["a x", "b x"]):
        with pytest.raises(UsageError, match="same"):
            read_keys(twice, None)
    file.write_text("fine\na b fly")
    with pytest.raises(UsageError, match="line 2"):
        read_keys([], file)
    file.write_text("# sk-not-in-use\n\n")
    with pytest.raises(UsageError, match="holds no key"):
        read_keys([LINES[0]], file)
    assert read_keys([], None) == ()
    assert not KeyRing(())


def test_rights_and_namespaces() -> None:
    tenant = Key.parse(LINES[3])
    assert tenant.namespace(None, "default") == "acme"
    assert tenant.namespace("default", "default") is None
    assert Key.parse(LINES[2]).namespace(None, "default") == "default"
    assert Key.parse(LINES[4]).may("write")
    assert all(ANYONE.may(right) for right in ("ask", "read", "write", "metrics", "admin"))


def test_nothing_is_served_to_the_network_without_a_key() -> None:
    for host in ("0.0.0.0", "::", "192.168.1.1", "example.org", ""):
        with pytest.raises(UsageError, match="--api-key"):
            check_exposure(host, ())
        check_exposure(host, (Key.parse("sk-1"),))
    for host in ("127.0.0.1", "localhost", "::1"):
        check_exposure(host, ())


def test_each_key_may_what_it_may(open_gateway: Open, upstream: Recorder) -> None:
    gateway = open_gateway(keys=read_keys(LINES, None), upstream_api_key="sk-up")
    gateway.store.view(namespace="acme").add(NewFact.of({"text": LYON}))

    def status(method: str, path: str, secret: str, **more: object) -> int:
        return gateway.client.request(method, path, headers=bearer(secret), **more).status_code  # type: ignore[arg-type]

    for path in (CHAT, "/v1/models", "/metrics", "/scr/facts", "/scr/openapi.json"):
        method = "POST" if path == CHAT else "GET"
        for headers in ({}, bearer("wrong"), {"Authorization": "Basic sk-root"}):
            refused = gateway.client.request(method, path, headers=headers)
            assert refused.status_code == 401
            assert refused.json()["error"]["type"] == "authentication_error"
    assert upstream.sent == []
    assert gateway.client.get("/health").status_code == 200
    new = {"text": "The tallest tree is an oak."}
    assert status("POST", CHAT, "sk-plain", json=chat()) == 200
    assert upstream.last.headers["authorization"] == "Bearer sk-up"
    assert "sk-plain" not in json.dumps(upstream.last.headers)
    assert status("GET", "/scr/facts", "sk-plain") == 403
    assert status("GET", "/scr/facts", "sk-reader") == 200
    assert status("POST", CHAT, "sk-reader", json=chat()) == 403
    assert status("POST", "/scr/facts", "sk-reader", json=new) == 403
    assert status("POST", "/scr/facts", "sk-writer", json=new) == 201
    assert status("POST", "/scr/facts?namespace=acme", "sk-writer", json=new) == 201
    assert status("POST", "/scr/facts", "sk-writer", json={**new, "namespace": "other"}) == 403
    assert status("GET", "/scr/facts?namespace=default", "sk-tenant") == 403
    assert status("GET", "/metrics", "sk-writer") == 403
    assert status("GET", "/metrics", "sk-root") == 200
    assert status("GET", "/metrics", "sk-scraper") == 200
    assert status("GET", "/scr/facts", "sk-scraper") == 403
    assert status("POST", CHAT, "sk-scraper", json=chat()) == 403
    assert gateway.store.ledger.log("default", 1)[0].actor == "writer"
    assert status("POST", "/scr/undo", "sk-tenant") == 200
    assert gateway.store.ledger.log("acme", 1)[0].actor == "tenant"
    edited = gateway.client.post(CHAT, headers=bearer("sk-tenant"), json=chat())
    assert edited.headers["x-scr-facts"] == next(gateway.store.view(namespace="acme").facts()).id
    elsewhere = chat(scr={"namespace": "default"})
    assert status("POST", CHAT, "sk-tenant", json=elsewhere) == 403
    assert status("POST", CHAT, "sk-plain", json=chat(scr={"mode": "explain"})) == 403
    assert status("POST", CHAT, "sk-tenant", json=chat(scr={"mode": "explain"})) == 200


def test_a_gateway_with_keys_does_not_pass_them_on(open_gateway: Open, upstream: Recorder) -> None:
    gateway = open_gateway(keys=(Key.parse("sk-plain"),))
    gateway.client.post(CHAT, headers=bearer("sk-plain") | {"X-Api-Key": "sk-plain"}, json=chat())
    assert {"authorization", "x-api-key"}.isdisjoint(upstream.last.headers)


def test_without_keys_a_web_page_cannot_use_it(open_gateway: Open, upstream: Recorder) -> None:
    gateway = open_gateway()
    for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}, {"Origin": "null"}):
        assert gateway.client.post(CHAT, json=chat(), headers=headers).status_code == 403
        assert gateway.client.post("/scr/facts", content="{}", headers=headers).status_code == 403
    assert upstream.sent == []
    assert gateway.client.post(CHAT, json=chat(), headers={"Origin": gateway.url}).status_code == 200


def test_bodies_have_a_limit(open_gateway: Open, upstream: Recorder) -> None:
    gateway = open_gateway(max_body=2_000)
    assert gateway.client.post(CHAT, json=chat("x" * 1_500)).status_code == 200

    def parts() -> object:
        yield from (b"x" * 500 for _ in range(10))

    for content in (b"x" * 2_001, parts()):
        refused = gateway.client.post(CHAT, content=content)  # type: ignore[arg-type]
        assert refused.status_code == 413
        assert refused.json()["error"]["code"] == "too_large"
    assert len(upstream.sent) == 1


def test_a_body_that_does_not_come(open_gateway: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scr.gateway.limits.BODY_SECONDS", 0.3)
    gateway = open_gateway()
    with socket.create_connection(("127.0.0.1", httpx.URL(gateway.url).port or 0), timeout=10) as client:
        client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        answer = b""
        while part := client.recv(4096):
            answer += part
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"slow_request"' in answer


def test_the_rate_of_a_key(open_gateway: Open) -> None:
    gateway = open_gateway(keys=read_keys(["a sk-a ask", "b sk-b ask"], None), rate_limit=3)
    statuses = [gateway.client.get("/v1/models", headers=bearer("sk-a")).status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    refused = gateway.client.get("/v1/models", headers=bearer("sk-a"))
    assert 1 <= int(refused.headers["retry-after"]) <= 20
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert gateway.client.get("/v1/models", headers=bearer("sk-b")).status_code == 200


def test_a_bucket_fills_again() -> None:
    now = 0.0
    limit = RateLimit(60, clock=lambda: now)
    for _ in range(60):
        limit.take("a")
    with pytest.raises(Refusal) as refused:
        limit.take("a")
    assert refused.value.headers == {"Retry-After": "1"}
    now = 1.0
    limit.take("a")
    with pytest.raises(Refusal):
        limit.take("a")
    now = 1_000.0
    for _ in range(60):
        limit.take("a")
    with pytest.raises(Refusal):
        limit.take("a")
    for _ in range(1_000):
        RateLimit(None).take("a")
