"""store info, verify and rebuild; doctor."""

from __future__ import annotations

import sqlite3
import tomllib
from pathlib import Path

from .conftest import Scr
from .standin import StandIn

ROOT = Path(__file__).resolve().parents[2]
LYON = "The capital of France is Lyon."


def test_info(scr: Scr, tmp_path: Path) -> None:
    empty = scr("store", "info", "--json").json
    assert (empty["facts"], empty["namespaces"], empty["encoder"], empty["revision"]) == (0, {}, None, 0)
    scr("add", LYON)
    scr("add", LYON, "--namespace", "other")
    told = scr("store", "info", "--json").json
    assert {"facts", "namespaces", "encoder", "revision", "bytes"} <= {*told}
    assert (told["facts"], told["namespaces"], told["revision"]) == (2, {"default": 1, "other": 1}, 2)
    assert told["encoder"] == "all-MiniLM-L6-v2"
    assert told["path"] == str(tmp_path / "store")
    assert told["bytes"] > 0
    assert "default (1), other (1)" in scr("store", "info").out


def test_verify_finds_what_is_wrong(scr: Scr, tmp_path: Path) -> None:
    scr("add", LYON)
    assert scr("store", "verify", "--json").json == {"ok": True, "facts": 1, "problems": []}
    assert "sound" in scr("store", "verify").out
    with sqlite3.connect(tmp_path / "store" / "ledger.sqlite") as db:
        db.execute("UPDATE facts SET state = replace(state, 'Lyon', 'Nice')")
    db.close()
    ran = scr("store", "verify", "--json")
    assert ran.status == 1
    assert ran.json["ok"] is False
    assert len(ran.json["problems"]) == 1
    told = scr("store", "verify")
    assert (told.status, told.out) == (1, "")
    assert "scr store rebuild" in told.err


def test_rebuild(scr: Scr, tmp_path: Path) -> None:
    scr("import", "-", stdin=f"{LYON}\nThe kettle's warranty is seven years.\n".encode())
    before = scr("search", "France", "--json").json
    assert scr("store", "rebuild", "--json").json == {"facts": 2, "encoder": "all-MiniLM-L6-v2"}
    assert any((tmp_path / "store" / "index").iterdir())
    for path in (tmp_path / "store" / "index").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:20])
    damaged = scr("search", "France", "--json")
    assert damaged.json == before, "a damaged index is mended from the ledger"
    assert scr("store", "verify").status == 0


def test_doctor(scr: Scr, tmp_path: Path) -> None:
    found = {one["name"]: one for one in scr("doctor", "--json").json}
    assert {"python", "scr", "libraries", "encoder", "store", "disk"} <= {*found}
    assert all({*one} == {"name", "ok", "detail"} for one in found.values())
    assert found["encoder"]["ok"] is True
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert {name for name in found if name.startswith("[")} == {f"[{extra}]" for extra in extras if extra != "dev"}
    assert not (tmp_path / "store").exists(), "looking changes nothing"
    scr("add", LYON)
    assert "1 fact" in scr("doctor").out


def test_doctor_says_what_is_wrong(scr: Scr, tmp_path: Path) -> None:
    with StandIn(key="right").running() as server:
        locked = scr("doctor", "--base-url", server.url)
        assert locked.status == 1
        assert "✗ server" in locked.out
        right = scr("doctor", "--base-url", server.url, "--api-key", "right", "--json")
        assert right.status == 0
        assert "stand-in" in right.json[-1]["detail"]
    (tmp_path / "file").write_text("no store")
    assert "✗ store        the store" in scr("doctor", "--store", tmp_path / "file").out
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "ledger.sqlite").write_bytes(b"no database" * 1000)
    damaged = scr("doctor")
    assert damaged.status == 1
    assert "✗ store" in damaged.out


def test_the_index_counts_among_a_stores_bytes(scr: Scr, tmp_path: Path) -> None:
    scr("add", "The capital of France is Lyon.")
    before = scr("store", "info", "--json").json["bytes"]
    scr("store", "rebuild")
    vectors = next((tmp_path / "store/index").rglob("vectors.npy")).stat().st_size
    assert scr("store", "info", "--json").json["bytes"] >= before + vectors
