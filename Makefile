# `make cd` and `make test` work in a fresh clone: each sets the environment up first, once.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# What the user has set for other installations is left out; indexes, proxies and certificates stay, so a mirror works.
# pip.conf can name a target or a prefix, which no variable takes back: `pip download` has neither, and needs the index.
CLEAN := env -u PYTHONHOME -u PYTHONPATH
FETCH := $(CLEAN) -u PIP_CONSTRAINT -u PIP_REQUIREMENT -u PIP_PYTHON PIP_REQUIRE_HASHES=0 PIP_REQUIRE_VIRTUALENV=0
PLACE := $(CLEAN) PIP_CONFIG_FILE=/dev/null
UV := $(CLEAN) -u UV_PYTHON -u UV_SYSTEM_PYTHON -u UV_TARGET -u UV_PREFIX -u UV_CONSTRAINT \
	-u UV_OVERRIDE -u UV_EXCLUDE -u UV_EXCLUDE_NEWER -u UV_NO_BUILD -u UV_NO_BINARY -u UV_REQUIRE_HASHES -u UV_NO_VERIFY_HASHES \
	-u UV_BREAK_SYSTEM_PACKAGES -u UV_PROJECT -u UV_WORKING_DIR -u UV_WORKING_DIRECTORY -u UV_TORCH_BACKEND
# On a terminal uv shows a bar while it downloads, and what it has installed.
QUIET := $$([ -t 2 ] || echo --quiet)
# uv does not read pip's settings: the mirror that pip takes packages from is handed on, unless uv has one of its own.
PIPS_INDEX := env -u PIP_USER $(FETCH) $(BIN)/python -m pip config list | sed -n "s/^[a-z]*\.index-url='\(.*\)'$$/\1/p" | tail -n 1
FIND_INDEX := index="$${UV_DEFAULT_INDEX:-$${UV_INDEX_URL:-$${PIP_INDEX_URL:-$$($(PIPS_INDEX))}}}"
UV_ONLINE := $(FIND_INDEX); $(UV) $${index:+UV_DEFAULT_INDEX="$$index"} $(BIN)/uv
# Tells Git to leave the outputs of notebooks out of commits.
FILTER := $(CLEAN) $(BIN)/python -m workshop.cli.git_filter

.PHONY: help setup cd quick test course thorough lab docs bench spark lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## create .venv with the pinned packages (the other targets do this by themselves)
	-@$(FILTER)

$(READY): requirements.txt pyproject.toml
	@$(CLEAN) $(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is %s: make PYTHON=/path/to/python3.11 …" % sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@echo "Installing the packages of requirements.txt into .venv …"
	@$(CLEAN) $(PYTHON) -m venv .venv
	@pin="$$(grep -oE '^uv==[^ ]+' requirements.txt)" && \
		$(FETCH) $(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --dest .venv/uv "$$pin" && \
		$(PLACE) $(BIN)/python -m pip --isolated install --quiet --disable-pip-version-check --no-index --no-deps .venv/uv/uv-*
	@$(UV_ONLINE) pip sync $(QUIET) --python $(BIN)/python --require-hashes --compile-bytecode requirements.txt
	@$(UV) $(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	-@$(FILTER)
	@touch $@

cd: $(READY) ## the whole delivery loop: prepare, train, judge on production data, swap if better, report
	@$(BIN)/workshop run --action deployment || test $$? -eq 3

quick: $(READY) ## the unit tests that start no server and no kernel: under a minute on two cores
	@$(BIN)/pytest --quiet --numprocesses=logical --dist=worksteal --hypothesis-profile=quick -m "not integration and not registry" tests/unit tests/test_*.py

test: $(READY) ## everything that checks the project: lint, types, unit, integration and notebook tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest --numprocesses=logical --dist=worksteal

course: $(READY) ## the pages, exercises and Azure tabs, carried out in fresh clones: what is printed is compared with what they show
	@$(BIN)/workshop rehearse --compare
	$(BIN)/pytest --thorough --quiet --numprocesses=2 tests/scenarios/test_exercises.py tests/scenarios/test_azure_tabs.py

thorough: $(READY) ## what `make test` leaves out, or does at some calls of a registry only (twenty minutes)
	$(BIN)/pytest --thorough -rP --numprocesses=logical --dist=worksteal

lab: $(READY) ## JupyterLab on the course: README, docs, notebooks
	@$(BIN)/workshop lab

docs: $(READY) ## the course as a site in .site/html, with the notebooks executed (about a minute)
	@$(BIN)/python docs/build.py .site

bench: $(READY) ## performance, as ratios against named peers
	@$(BIN)/python -m bench

spark: $(READY) ## scoring with Spark: installs it (450 MB; Java 17 must be there), tests it and measures it
	@echo "Installing the packages of requirements-spark.txt into .venv …"
	@$(UV_ONLINE) pip install $(QUIET) --python $(BIN)/python --require-hashes --requirement requirements-spark.txt
	$(BIN)/pytest tests/unit/core/scoring/test_spark.py tests/unit/core/data/test_unity_catalog_with_spark.py
	@$(BIN)/python -m bench spark

lock: $(READY) ## compile requirements.txt and requirements-spark.txt again from pyproject.toml
	@$(UV_ONLINE) pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
		--all-extras --no-emit-index-url --custom-compile-command 'make lock' --output-file requirements.txt pyproject.toml
	@$(UV_ONLINE) pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
		--group spark --constraint requirements.txt --no-emit-index-url --custom-compile-command 'make lock' \
		--output-file requirements-spark.txt

clean: ## remove the environment; what runs have left is removed by `workshop reset`
	rm -rf .venv
