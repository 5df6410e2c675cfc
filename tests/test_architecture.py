"""Arrows between modules point one way, heavy libraries have one door each, and files fit in a head."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "scr").rglob("*.py"))

# Each layer may import what stands below it, and itself; the names are modules or sub-packages of scr.
LAYERS: list[set[str]] = [
    {"commands", "gateway", "evaluation", "diagnosis", "wrapping", "langchain"},
    {"api", "async_api", "batch", "answers", "questions", "editors"},
    {"pipeline"},
    {"store", "searcher", "changes", "reembedding", "context", "query", "followups", "importing"},
    {"scope", "engines"},
    {"ledger", "index", "encoder"},
    {"bert", "assets", "conversion", "shipped", "progress", "templates", "lines"},
    {"facts"},
    {"errors", "version"},
]
# The model is unmodified and knows nothing of facts, and neither does the encoder or the vector index.
KNOWS_NOTHING_OF_FACTS = {"engines", "encoder", "index", "bert", "assets", "conversion"}
# `errors` names the remedy everywhere; nothing else may be reached across two layers in the wrong direction.
DOORS = {
    "torch": {"engines/transformers.py", "engines/drawing.py", "engines/loading.py", "encoder/torch_encoder.py",
              "conversion.py", "scope/training/", "editors/"},
    "transformers": {"engines/transformers.py", "engines/loading.py", "engines/tokens.py", "conversion.py",
                     "encoder/torch_encoder.py", "scope/training/", "editors/"},
    "sentence_transformers": {"encoder/torch_encoder.py", "scope/training/"},
    "vllm": {"engines/vllm.py"},
    "faiss": {"index/"},
    "sqlite3": {"ledger/"},
    "onnxruntime": {"encoder/", "scope/network.py"},
    "typer": {"commands/"},
    "httpx": {"engines/", "gateway/", "assets.py"},
    "datasets": {"evaluation/datasets/hub.py"},
    "starlette": {"gateway/"},
    "uvicorn": {"gateway/"},
    "prometheus_client": {"gateway/"},
    "langchain_core": {"langchain.py"},
}  # fmt: skip
LONGEST = 400


def imports_of(path: Path) -> Iterator[tuple[str, bool]]:
    """Each imported module, and whether the import happens when the file is imported."""

    def walk(node: ast.AST, top: bool) -> Iterator[tuple[str, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from ((alias.name, top) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                package = path.relative_to(ROOT).parts[: -child.level] if child.level else ()
                module = ".".join([*package, *filter(None, [child.module])])
                yield from ((f"{module}.{alias.name}", top) for alias in child.names)
            elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                yield from ((name, False) for name, _ in walk(child, False))
            else:
                inside = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
                yield from walk(child, top and not inside)

    yield from walk(ast.parse(path.read_text("utf-8")), True)


def part_of(module: str) -> str | None:
    """``scr.ledger.sqlite.X`` → ``ledger``; None for anything that is not scr's."""
    names = module.split(".")
    return names[1] if names[0] == "scr" and len(names) > 1 else None


def name_of(path: Path) -> str:
    return path.relative_to(ROOT / "scr").as_posix()


def layer_of(part: str) -> int:
    found = [number for number, layer in enumerate(LAYERS) if part in layer]
    assert found, f"scr.{part} has no place in the layers: give it one in tests/test_architecture.py"
    return found[0]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_arrows_point_down(path: Path) -> None:
    part = name_of(path).split("/")[0].removesuffix(".py")
    if part == "__init__":
        return
    for module, _ in imports_of(path):
        other = part_of(module)
        if other is None or other in {part, "__version__"}:
            continue
        assert layer_of(other) >= layer_of(part), f"{name_of(path)} imports {module}, which stands above it"
        if part in KNOWS_NOTHING_OF_FACTS:
            assert other not in {"facts", "store", "ledger", "scope"}, f"{name_of(path)} imports {module}"


@pytest.mark.parametrize("library", DOORS)
def test_a_library_has_its_doors(library: str) -> None:
    importers = {name_of(path) for path in FILES for module, _ in imports_of(path) if module.split(".")[0] == library}
    strangers = {name for name in importers if not any(name.startswith(door) for door in DOORS[library])}
    assert not strangers, f"{library} is imported by {strangers}"


@pytest.mark.parametrize("library", ["torch", "transformers", "vllm", "sentence_transformers", "onnx"])
def test_what_is_slow_to_import_is_not_imported_by_importing_a_module(library: str) -> None:
    """Modules that nothing imports before it needs them may."""
    own = {"engines/transformers.py", "engines/drawing.py", "engines/vllm.py", "encoder/torch_encoder.py", "bert.py"}
    eager = {
        name_of(path)
        for path in FILES
        for module, top in imports_of(path)
        if top and module.split(".")[0] == library and "training/" not in name_of(path)
    }
    assert eager <= own


def test_importing_scr_imports_next_to_nothing() -> None:
    code = "import sys; before = {*sys.modules}; import scr; print(*sorted({*sys.modules} - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert {name for name in done.stdout.split() if name.startswith("scr")} == {"scr", "scr.version"}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_fits_in_a_head(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= LONGEST


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_what_is_exported_is_there(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    exported = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and any(getattr(target, "id", "") == "__all__" for target in node.targets)
    ]
    if exported:
        name = ".".join(("scr", *path.relative_to(ROOT / "scr").with_suffix("").parts)).removesuffix(".__init__")
        module = importlib.import_module(name)
        assert [one for one in exported[0] if not hasattr(module, one)] == []


def test_no_pickle_and_no_eval() -> None:
    for path in FILES:
        assert {module.split(".")[0] for module, _ in imports_of(path)}.isdisjoint({"pickle", "shelve", "marshal"})
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"eval", "exec"}, f"{name_of(path)} line {node.lineno}"
