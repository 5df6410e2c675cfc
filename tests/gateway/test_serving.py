"""`scr serve` as a process of its own."""

from __future__ import annotations

import os
import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from scr.commands import run
from scr.facts import NewFact
from scr.store import FactStore

from .conftest import ASKED, LYON, chat
from .recorder import Recorder
from .test_console import Browser

ROOT = Path(__file__).resolve().parents[2]
CHAT = "/v1/chat/completions"


@contextmanager
def process(*options: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`scr serve`, and its address once it answers."""
    command = [sys.executable, "cli.py", "serve", "--port", "0", *options]
    own = {name: value for name, value in os.environ.items() if not name.startswith("SCR_")}
    started = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=own | environment)
    assert started.stderr is not None
    said = []
    try:
        for line in started.stderr:
            said.append(line)
            if found := re.search(r"on (https?://\S+)", line):
                address = found[1]
            if "startup complete" in line:
                break
        else:
            pytest.fail("".join(said))
        yield started, address
    finally:
        started.send_signal(signal.SIGINT)
        _, rest = started.communicate(timeout=60)
        assert "Traceback" not in rest


def test_workers_share_a_store_and_their_metrics(tmp_path: Path, upstream: Recorder) -> None:
    options = ["--upstream", upstream.url, "--store", str(tmp_path / "s"), "--decision-timeout", "60"]
    with process(*options, "--workers", "2", "--api-key", "root sk-root admin") as (started, address):
        limits = httpx.Limits(max_keepalive_connections=0)  # a new connection each time reaches either worker
        own = {"Authorization": "Bearer sk-root"}
        with httpx.Client(base_url=address, timeout=60, trust_env=False, limits=limits, headers=own) as client:
            wait_for(client)

            def decisions() -> set[str]:
                with ThreadPoolExecutor(8) as threads:
                    answers = list(threads.map(lambda _: client.post(CHAT, json=chat()), range(24)))
                return {answer.headers["x-scr-decision"] for answer in answers}

            assert decisions() == {"passed"}
            with FactStore.open(tmp_path / "s") as store:
                store.add(NewFact.of({"text": LYON}))
            assert decisions() == {"edited"}
            page = client.get("/metrics").text
            assert 'scr_decisions_total{decision="edited"} 24.0' in page
            assert 'scr_decisions_total{decision="passed"} 24.0' in page
            # One sum over both processes; a request may still be about to end when its answer has arrived.
            assert len([line for line in page.splitlines() if line.startswith("scr_requests_under_way")]) == 1
        the_console_is_the_same_in_all(address)
        assert started.poll() is None


def the_console_is_the_same_in_all(address: str) -> None:
    browser = Browser(address)
    with browser.client:
        browser.log_in("sk-root")
        for outcome, count in (("edited", 24), ("passed", 24), ("", 48)):
            assert browser.get("/decisions", outcome=outcome).text.count('<span class="query">') == count
        assert "48 requests, 24 edited" in browser.get("/activity").text
        cookies = dict(browser.client.cookies)

        def pages(_: int) -> str:
            answer = httpx.get(f"{address}/console/log", cookies=cookies, timeout=60, trust_env=False)
            return answer.headers.get("location", "the page")

        with ThreadPoolExecutor(4) as threads:
            assert set(threads.map(pages, range(16))) == {"the page"}
            browser.get("/log")
            browser.post("/logout", {})
            assert set(threads.map(pages, range(16))) == {"/console/login"}


def wait_for(client: httpx.Client) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            if client.get("/health").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    pytest.fail("the gateway did not answer")


def test_tls_and_an_interrupt(tmp_path: Path, upstream: Recorder) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=localhost"]
    try:
        subprocess.run([*command, "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no openssl here to make a certificate")
    options = ["--upstream", upstream.url, "--store", str(tmp_path / "s")]
    with process(*options, "--ssl-keyfile", str(key), "--ssl-certfile", str(certificate)) as (started, address):
        port = address.rsplit(":", 1)[1]
        trusted = ssl.create_default_context(cafile=str(certificate))
        answer = httpx.post(
            f"https://localhost:{port}{CHAT}", json=chat(ASKED), verify=trusted, trust_env=False, timeout=60
        )
        assert answer.headers["x-scr-decision"] == "passed"
        started.send_signal(signal.SIGINT)
        assert started.wait(60) in {0, 130, -signal.SIGINT}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--upstream", "http://localhost:1", "--host", "0.0.0.0"], "--api-key"),
        (["--upstream", "ftp://localhost"], "http://"),
        (["--upstream", "http://localhost:1/v2"], "/v1"),
        (["--upstream", "http://localhost:1", "--ssl-keyfile", "no.pem"], "--ssl-certfile"),
        (["--upstream", "http://localhost:1", "--ssl-certfile", "no.pem"], "no file"),
        (["--upstream", "http://localhost:1", "--api-key", "a b c d e"], "5 words"),
        (["--upstream", "http://localhost:1", "--api-key-file", "no.txt"], "no.txt"),
        (["--upstream", "http://localhost:1", "--prompts", "no-folder"], "no-folder"),
        ([], "--upstream"),
    ],
)
def test_wrong_options_are_told_before_anything_is_served(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    assert run(["serve", "--store", str(tmp_path / "s"), *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_an_address_that_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str], upstream: Recorder) -> None:
    taken = str(upstream.server_port)
    assert run(["serve", "--store", str(tmp_path / "s"), "--upstream", upstream.url, "--port", taken]) == 1
    assert "choose another" in capsys.readouterr().err.splitlines()[-1]


def test_without_the_extra_it_is_named() -> None:
    code = "import sys; sys.modules |= {'starlette': None, 'uvicorn': None}; from scr.commands import run; "
    code += "sys.exit(run(['serve', '--upstream', 'http://localhost:1']))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "pip install 'scr-edit[serve]'" in done.stderr
