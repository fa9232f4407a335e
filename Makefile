# `make run` and `make test` set everything up on a machine with Python 3.11+, make and a C++ compiler.
# Stamps in .venv make the second run immediate. Build for a GPU with, say,
#   CMAKE_ARGS="-DGGML_CUDA=on" make run

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
ARGS   ?=

# Parts of llama.cpp that r1chat never loads are left out: 83 build steps instead of 193.
# Given as settings of this one build, so that CMAKE_ARGS stays the user's own.
LLAMA_SETTINGS := --config-settings=cmake.define.LLAVA_BUILD=OFF \
	--config-settings=cmake.define.CMAKE_PROJECT_llama.cpp_INCLUDE="$(CURDIR)/cmake/llama_only.cmake"

.PHONY: run test test-ui outside lint format clean

run: $(VENV)/base.stamp
	$(BIN)/r1chat $(ARGS)

# In two processes, each with whole files: a good part of the tests wait for a child, a clock or a browser.
# ARGS="-n 0" runs them in one, which a debugger needs; ARGS="-m 'not timed'" adds the slow ones, more than half of the
# time, as .ci/run does.
test: lint
	$(BIN)/python -m pytest -q -n 2 --dist loadfile $(ARGS)

# What the page promises, in a real browser, with its figures; the long and the timed ones, too, so nothing else
# should run meanwhile.
test-ui: $(VENV)/test.stamp
	$(BIN)/python -m pytest -q -s -m "" tests/app/ui/acceptance $(ARGS)

# Suites that others wrote; fetches them and their environments into the user's cache at first.
outside: $(VENV)/test.stamp
	$(BIN)/python -m tests.outside $(ARGS)

lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/test.stamp
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/venv.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "r1chat needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install "pip>=23.1"
	@touch $@

# Written anew only when CMAKE_ARGS asks for another build; without CMAKE_ARGS the one at hand stays.
$(VENV)/cmake_args: $(VENV)/venv.stamp FORCE
	@if [ ! -e $@ ] || { [ -n "$$CMAKE_ARGS" ] && [ "$$CMAKE_ARGS" != "$$(cat $@)" ]; }; then \
		printf '%s' "$$CMAKE_ARGS" > $@; fi

# The stamp holds the CMAKE_ARGS of the build at hand. pip's cache keys a built wheel by its source alone,
# so a build with CMAKE_ARGS must not come from it.
$(VENV)/llama.stamp: $(VENV)/cmake_args cmake/llama_only.cmake constraints.txt
	@echo "Compiling llama.cpp for this machine; on two cores this takes two to ten minutes."
	CMAKE_ARGS="$$(cat $(VENV)/cmake_args)" $(PIP) install --constraint constraints.txt $(LLAMA_SETTINGS) \
		$$([ ! -s $(VENV)/cmake_args ] || echo --no-cache-dir) \
		$$(cmp -s $(VENV)/cmake_args $@ || echo --force-reinstall) llama-cpp-python
	@cp $(VENV)/cmake_args $@

$(VENV)/base.stamp: $(VENV)/llama.stamp pyproject.toml constraints.txt
	@echo "Installing r1chat and what it needs."
	$(PIP) install --constraint constraints.txt --editable .
	@touch $@

$(VENV)/test.stamp: $(VENV)/base.stamp
	@echo "Installing the test tools and torch, which the tests of distill need."
	$(PIP) install --constraint constraints.txt --editable ".[distill,test]"
	@touch $@

.PHONY: FORCE
FORCE:
