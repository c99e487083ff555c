# Everything needs only Python 3.11+ and make. `make run` and `make test` set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONFIG ?=
CORPUS ?= tests/data/sales_dev.jsonl
ERRORS ?=

.PHONY: run test check browser tour soak bench evaluate lock clean

$(BIN)/.run: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python -m gateway redact --config config < /dev/null  # what is made of the rules is kept: a start takes seconds
	touch $@

# The tests start each server themselves, on a free port; a package that starts a service is told not to.
$(BIN)/.servers: $(BIN)/.run
	sh tests/servers.sh
	touch $@

$(BIN)/.test: requirements-dev.lock $(BIN)/.run $(BIN)/.servers
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.lock
	touch $@

$(BIN)/.browser: tests/equipment.py $(BIN)/.test
	$(BIN)/python -m tests.equipment
	touch $@

browser: $(BIN)/.browser  ## what the tests in a browser need: a Chromium of the distribution, and axe-core

run: $(BIN)/.run  ## the gateway, the operations port and (without CONFIG) a simulated provider
	$(BIN)/python -m gateway.demo $(if $(CONFIG),--config $(CONFIG))

check: $(BIN)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: check browser  ## the whole check, in under 15 minutes
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

tour: $(BIN)/.browser  ## the screenshots of the README, taken anew
	$(BIN)/python -m tests.tour

soak: $(BIN)/.test  ## the full doses of the fault, crash, fuzz and load tests
	$(BIN)/python -m pytest -m soak -s

bench: $(BIN)/.test  ## the benchmarks, side by side in one run, as ratios
	$(BIN)/python -m tests.bench

evaluate: $(BIN)/.test  ## the redactor's quality and speed: make evaluate CORPUS=a.jsonl
	$(BIN)/python -m tests.evaluate $(CORPUS) $(if $(ERRORS),--errors $(ERRORS))

lock: $(BIN)/.test  ## resolve the dependencies again, with hashes
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --all-extras pyproject.toml --output-file requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --all-extras --group dev pyproject.toml --output-file requirements-dev.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
