# Everything a person does with this repository. `make` alone lists it.
# Set-up is part of every target: the first run makes .venv, later runs only look at a stamp file.
# A stamp is written last, so an interrupted set-up is never taken for a finished one.

PYTHON ?= python3
ARGS   ?=
PY     := .venv/bin/python
BASE   := .venv/.striate-base
DEV    := .venv/.striate-dev
BENCH  := .venv-bench/.striate-bench
PIP    := $(PY) -m pip --disable-pip-version-check install --quiet

# An environment in $(1); the second way is for a Python without ensurepip. What is installed there already stays.
venv = $(PYTHON) -m venv $(1) >/dev/null 2>&1 || { $(PYTHON) -m venv --without-pip $(1) \
  && $(PYTHON) -m pip --python $(1)/bin/python install --quiet pip; }

# Tests start hundreds of processes: bytecode is written even where the shell says not to.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help tour test quick check golden bench soak reference docs format setup clean

help: ## this list
	@echo "Striate: convolutional networks you can see through"
	@echo
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-17s %s\n", $$1, $$2 }'
	@echo
	@echo "  PYTHON=python3.12 chooses the interpreter, ARGS='-k geometry' goes to pytest."
	@echo "  After any of them the command is .venv/bin/striate."

tour: $(BASE) ## the main workflow in a minute, in this terminal
	@$(PY) -m striate tour

test: check ## style, types, import law, then all tests
	@$(PY) -m pytest --numprocesses auto --dist loadfile $(ARGS)

# What `make quick` runs: the folders whose tests need no kernel, no file of another framework and no training.
QUICK := tests/registry tests/geometry tests/ops tests/network tests/checks tests/analysis tests/views tests/formats \
  tests/laws tests/engine/plan tests/engine/numpy_/test_vectorized.py tests/test_tensor_axes_hint.py tests/test_diagnostics.py \
  tests/test_files.py
# The slow files among them.
SLOW := tests/laws/test_round_trips.py tests/laws/test_hostile_process.py tests/laws/test_fuzz_files.py \
  tests/laws/test_drawings.py tests/laws/test_other_drawings.py tests/laws/test_moving_drawings.py tests/views/html \
  tests/views/drawing/test_animation.py tests/views/drawing/test_raster.py tests/views/drawing/test_tikz.py \
  tests/views/drawing/kinds/test_filters.py tests/registry/test_bounds.py tests/views/lab tests/engine/plan/test_stages.py \
  tests/registry/test_dependencies.py tests/analysis/test_fitting.py tests/analysis/test_fields.py tests/formats/test_rewriting.py

quick: $(DEV) ## while you work: laws, registries, checks, notation; no kernels, no other frameworks
	@$(PY) -m pytest --numprocesses auto --dist loadfile --quiet -m 'not torch and not onnx and not keras' \
	  $(addprefix --ignore=,$(SLOW)) $(QUICK) $(ARGS)

check: $(DEV) ## style, types and import law only
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(PY) -c "from importlinter.cli import lint_imports_command as law; law()" --no-logo

format: $(DEV) ## rewrite the source in the project's style
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

golden: $(DEV) ## rewrite the expected texts in tests/golden, then read the diff
	@$(PY) -m pytest --update-golden $(ARGS)
	@git --no-pager diff --stat -- tests/golden

bench: $(BENCH) ## every benchmark in bench/, with the other tools, which it installs
	@for question in $(filter-out bench/soak.py,$(wildcard bench/*.py)); do echo "== $$question"; .venv-bench/bin/python "$$question" $(ARGS) || exit 1; done

soak: $(DEV) ## generated inputs for minutes (ARGS='--minutes 60')
	@$(PY) bench/soak.py $(ARGS)

reference: $(BENCH) $(DEV) ## inference on this machine, saved as the run of its kind of processor, and the pages that show it
	@.venv-bench/bin/python bench/inference.py --reference $(ARGS)
	@$(PY) -m pytest --quiet --update-golden tests/test_benchmarks.py
	@git --no-pager diff --stat -- README.md docs

docs: $(DEV) ## write the pages in docs/ that are derived from the source
	@$(PY) -m pytest --quiet --update-golden tests/registry/test_derived_pages.py
	@git --no-pager diff --stat -- docs

setup: $(DEV) ## only the set-up, with the developer's tools

clean: ## remove .venv and everything else that make creates
	rm -rf .venv .venv-bench build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests bench examples -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

$(BASE): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Striate needs Python 3.11 or newer; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "Setting up .venv (once; about a minute) ..."
	@$(PY) -m pip --version >/dev/null 2>&1 || { $(call venv,.venv); }
	@$(PIP) --editable '.[samples]' # the tour learns from real images inside these wheels
	@$(PY) -m compileall -q src # an editable install is not compiled; half of the start-up where no bytecode is written
	@touch $(BASE)

$(DEV): $(BASE)
	@echo "Adding the developer's tools to .venv ..."
	@$(PIP) --editable '.[samples,dev]'
	@touch $(DEV)

# The peers weigh much more than Striate: they get an environment of their own.
$(BENCH): pyproject.toml bench/requirements.txt tests/oracles/requirements.txt tests/oracles/requirements-nodeps.txt
	@echo "Setting up .venv-bench with the peers (once; some minutes) ..."
	@test -e $(BENCH) || { rm -rf .venv-bench && $(call venv,.venv-bench); }
	@$(subst $(PY),.venv-bench/bin/python,$(PIP)) --editable . -r tests/oracles/requirements.txt -r bench/requirements.txt
	@$(subst $(PY),.venv-bench/bin/python,$(PIP)) --no-deps -r tests/oracles/requirements-nodeps.txt
	@touch $(BENCH)
