# make demo    set up, and run the main job on real layers
# make test    set up, and run everything that CI runs
# make check   lint and types only
# make matrix  the tests on the lowest and newest versions, on every Python, with each extra alone: hours
# make clean   remove everything that was made here
#
# Needs Python 3.11 or newer with pip. Another one than the first that is found: make test PYTHON=/path/to/python

NAMES := python3 python3.15 python3.14 python3.13 python3.12 python3.11 python
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for name in $(NAMES); do "$$name" -c '$(NEW_ENOUGH)' 2>/dev/null && echo "$$name" && break; done)

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
QUIETLY = > $(VENV)/install.log 2>&1 || { cat $(VENV)/install.log; exit 1; }
EDITABLE := --config-settings editable_mode=strict --editable
STAMP := $(VENV)/.installed
CHECKED := backends benchmarks compiler docs grammar notebooks tests
PYTEST_ARGS ?= --numprocesses auto --maxprocesses 4

.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: demo test check matrix lint install clean

demo: install
	$(BIN)/python -m benchmarks.demo

test: install lint
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: install lint

# Goes on where it was interrupted; some rows alone: make matrix MATRIX_ARGS="--row 'Python 3.12'"
matrix: install
	nice -n 10 $(BIN)/python -m benchmarks.matrix --save $(MATRIX_ARGS)

lint:
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/ruff format --check $(CHECKED)
	$(BIN)/mypy -p diagrammar

# A strict editable install links file by file, so it sees a new file only when it is made again; a second.
install: $(STAMP)
	@rm -rf build
	@$(PIP) --no-deps --no-build-isolation $(EDITABLE) . $(QUIETLY)

$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into $(VENV): the first time, this loads torch and takes minutes"
	@rm -rf build
	@$(PIP) --constraint constraints.txt $(EDITABLE) '.[dev]' $(QUIETLY)
	@touch $@

# Some systems ship venv without its pip: then pip installs itself there.
$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "diagrammar needs Python 3.11 or newer; name it: make PYTHON=…"; exit 1; }
	@$(PYTHON) -m venv $(VENV) 2>/dev/null || { \
		$(PYTHON) -m venv --clear --without-pip $(VENV) && \
		$(PYTHON) -m pip --python $(VENV)/bin/python install --quiet pip; }

clean:
	rm -rf $(VENV) build dist out *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find $(CHECKED) -name __pycache__ -type d -prune -exec rm -rf {} +
