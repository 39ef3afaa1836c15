# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

.PHONY: demo test lint run bench chaos mutants clean

.venv/ready: requirements.txt requirements-dev.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

demo: .venv/ready
	@$(BIN)/python -m fleetsyncd demo $(ARGS)

test: .venv/ready
	$(BIN)/python -m pytest $(ARGS)

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

run: .venv/ready
	$(BIN)/python -m fleetsyncd run $(ARGS)

bench: .venv/ready
	$(BIN)/python -m tests.bench $(ARGS)

chaos: .venv/ready
	@$(BIN)/python -m tests.chaos $(ARGS)

mutants: .venv/ready
	@nice $(BIN)/python -m tests.mutants $(ARGS)

clean:
	rm -rf .venv .demo .mypy_cache .ruff_cache .hypothesis *.egg-info
