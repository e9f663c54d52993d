# Every target installs what it needs into .venv once, then does its work. CI types the same words.
PYTHON ?= python3
BIN := .venv/bin
MONTH ?=
SEEDS ?= 0
BASE ?= HEAD
HOUSE ?=
ALLOW ?=
export DAGSTER_DISABLE_TELEMETRY := 1
export MLFLOW_DISABLE_TELEMETRY := true
export GX_ANALYTICS_ENABLED := false

.PHONY: help install run test test-long services check check-frozen dev peers bench-accuracy bench-readings bench-features bench-training \
	bench-homes bench-aggregation bench-anomaly format clean

help:            ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/ —/'

install: .venv/installed  ## the environment, from requirements.lock

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

run: install     ## the main job on the real house: raw minutes to a gated champion (MONTH=2010-10 to choose)
	$(BIN)/smartgrid run $(if $(MONTH),--month $(MONTH))

test: install    ## the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

test-long: install services  ## tests that need a service or minutes: a database server, the real house
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m long

services:        ## Debian packages that test-long needs; nothing is started
	@command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || { \
	  if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends postgresql; \
	  else echo "PostgreSQL is not installed (apt-get install postgresql): its tests will be skipped"; fi; }

check: install   ## format, lint, types, import contracts, Dagster definitions
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/dagster definitions validate -w workspace.yaml --log-level warning

check-frozen: install  ## forecasts and alarms, bit for bit those of BASE=commit (HOUSE=1: real house)
	$(BIN)/python -m benchmarks.frozen compare --base $(BASE) $(if $(HOUSE),--house) $(foreach key,$(ALLOW),--allow $(key))

dev: install     ## Dagster and MLflow UIs on loopback; Ctrl-C stops both
	@$(BIN)/smartgrid ui

peers: .venv-peers/neuralforecast/installed .venv-peers/openstef/installed  ## other people's forecasters, an environment each

.venv-peers/%/installed:
	$(PYTHON) -m venv .venv-peers/$*
	.venv-peers/$*/bin/pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	.venv-peers/$*/bin/pip install --quiet --group peers-$*
	@touch $@

bench-accuracy: install peers  ## every model and peer on cards T1–T5 of 2010 (SEEDS="0 1 2" for the spread)
	$(BIN)/python -m benchmarks.accuracy --seeds $(SEEDS)

bench-readings: install  ## all minutes of the house to features: seconds and memory, expectations alone
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.readings

bench-features: install  ## what one new working interval costs each feature block, by days of history
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.feature_updates

bench-training: install  ## how fast experts and mixture learn on the full house, one thread
	$(BIN)/python -m benchmarks.training

bench-homes: install  ## day ahead on ten homes nobody tuned on, and on ever shorter histories
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.homes

bench-aggregation: install  ## error against the number of homes, up to 100,000
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.aggregation

bench-anomaly: install  ## injected faults at two rolling origins: recall, delay, false alarms (EVENTS=60 per kind)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.anomaly --events $(or $(EVENTS),60)

format: install  ## rewrite the sources in the house style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:           ## remove caches; data and runs stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist *.egg-info
