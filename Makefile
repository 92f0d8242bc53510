# Everything a checkout needs, from nothing but python3 and make. `make help` lists the targets.
#
#   make run RUN="simdiffrec --noise gaussian"     another run
#   make run PYTHON=python3.12                     another Python (3.11 or newer)
#   PIP_EXTRA_INDEX_URL=... make run               with the index of torch's CPU builds (torch's install page names it):
#                                                  smaller by gigabytes on Linux

PYTHON ?= python3
VENV   ?= .venv
RUN    ?=
TESTS  ?=
BENCH  ?=

bin  := $(VENV)/bin
pip  := $(bin)/python -m pip --disable-pip-version-check
# A stamp per set of extras: make installs again only when what is to be installed has changed.
what := pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.PHONY: help run test test-all lint types docs references plugins bench slower clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/.stamp-run ## train simdiffrec on the bundled data set and print the result
	$(bin)/seqaug run $(RUN)

# One thread a process: the threads of small tensors mostly wait for one another.
test: $(VENV)/.stamp-test ## run the tests; some of them: make test TESTS="tests/data -m slow"
	OMP_NUM_THREADS=1 $(bin)/python -m pytest -n auto --maxprocesses 4 $(TESTS)

lint: $(VENV)/.stamp-dev ## ruff: mistakes and layout
	$(bin)/ruff check .
	$(bin)/ruff format --check .

types: $(VENV)/.stamp-dev ## mypy --strict on src
	$(bin)/mypy

docs: $(VENV)/.stamp-dev ## build the documentation into site/, and check it
	NO_MKDOCS_2_WARNING=1 $(bin)/mkdocs build --strict
	$(bin)/python docs/check_site.py site

references: $(VENV)/.stamp-test ## write the generated pages of the documentation anew
	OMP_NUM_THREADS=1 $(bin)/python docs/write_references.py

plugins: ## install the packages of plugins/ into an environment of their own, and use them
	PYTHON="$(PYTHON)" plugins/check.sh

bench: $(VENV)/.stamp-run ## time an epoch against its own matrix products; make bench BENCH="--data beauty"
	$(bin)/python benchmarks/epoch.py $(BENCH)

slower: $(VENV)/.stamp-run ## what became slower since benchmarks/baseline.json was recorded
	$(bin)/python benchmarks/baseline.py compare $(BENCH)

clean: ## remove what make and the tools made (runs/ stays)
	rm -rf $(VENV) .venv-plugins build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis src/seqaug.egg-info
	find src tests benchmarks plugins examples -name __pycache__ -type d -prune -exec rm -rf {} +

$(bin)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "seqaug needs Python 3.11 or newer; name one: make PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV) || { echo "python3 has no venv module here (Debian and Ubuntu: apt install python3-venv)" >&2; rm -rf $(VENV); exit 2; }

$(VENV)/.stamp-run: $(what) | $(bin)/python
	$(pip) install -c constraints.txt -e .
	@touch $@

$(VENV)/.stamp-test: $(what) | $(bin)/python
	$(pip) install -c constraints.txt -e '.[test]'
	@touch $@ $(VENV)/.stamp-run

$(VENV)/.stamp-dev: $(what) | $(bin)/python
	$(pip) install -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.stamp-run $(VENV)/.stamp-test
