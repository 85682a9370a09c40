# SPDX-License-Identifier: Apache-2.0
# The two commands to start with are `make run` and `make test`; `make help` names the others.

SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

JOBS ?= $(shell nproc 2>/dev/null || echo 2)
# Most tests wait more than they compute.
TEST_JOBS ?= $(shell expr $(JOBS) \* 2)
# Warnings are errors where the compiler is the one the sources are checked with.
WERROR ?= $(if $(filter 12 12.%,$(shell g++ -dumpversion 2>/dev/null)),ON,OFF)
# Compile several sources as one: from nothing that takes half the time. OFF is for who edits one file again and again.
UNITY ?= ON
PREFIX ?= /usr/local
DESTDIR ?=
ONCE ?=
# What ctest is to do besides, such as CTEST_ARGS="-R e2e_dkim -V".
CTEST_ARGS ?=

PROGRAMS := programs

.PHONY: help
help: ## what can be made
	@echo "make run              build, start the relay, show one message go all the way, stay up (ONCE=1: end then)"
	@echo "make test             build everything and run every test (CTEST_ARGS=... are handed to ctest)"
	@echo "make bench            measure this relay, and Postfix beside it where it is installed (BENCH_ARGS=...)"
	@echo "make asan             unit, component, dialogue and simulation tests under ASan and UBSan"
	@echo "make fuzz             every fuzzer for a minute (TIME=seconds, FUZZ=one of them)"
	@echo "make chaos            kill -9 under load, twenty times, each store (KILLS=... SEED=...)"
	@echo "make crowd            10,000 idle clients, 2,000 new ones a second, slow ones, and input that might cost time"
	@echo "make powercut         power cuts at every point of a store's run, and each of its file operations failing"
	@echo "make lint             layout, licences, include ranks, shell scripts"
	@echo "make format           lay the sources out with clang-format"
	@echo "make install          PREFIX=$(PREFIX) DESTDIR=$(DESTDIR)"
	@echo "make build            the programs and plugins only, in build/dev"
	@echo "make release          the same, optimised, in build/release"
	@echo "make clean            remove build/"

# --- packages: fast when nothing is missing -------------------------------------------------------------------------

.PHONY: packages-build packages-run packages-test
packages-build:
	@scripts/install-packages packages-build.txt
packages-run:
	@scripts/install-packages packages-build.txt packages-run.txt
packages-test:
	@scripts/install-packages packages-build.txt packages-run.txt packages-test.txt

# --- build ----------------------------------------------------------------------------------------------------------
# `make run` and `make test` share build/dev, so that whichever comes second has little left to compile.

.PHONY: build build-tests release
build: packages-build
	@scripts/build dev $(PROGRAMS) -DHEDWIG_WERROR=$(WERROR) -DHEDWIG_UNITY=$(UNITY)
build-tests: packages-test
	@scripts/build dev all -DHEDWIG_WERROR=$(WERROR) -DHEDWIG_UNITY=$(UNITY) -DHEDWIG_TESTS=ON
release: packages-build
	@scripts/build release $(PROGRAMS) -DHEDWIG_WERROR=$(WERROR) -DHEDWIG_UNITY=$(UNITY)

# --- run and test ---------------------------------------------------------------------------------------------------

.PHONY: run test asan fuzz bench chaos crowd powercut
run: packages-run
	@scripts/build dev $(PROGRAMS) -DHEDWIG_WERROR=$(WERROR) -DHEDWIG_UNITY=$(UNITY)
	@scripts/demo --build build/dev $(if $(filter-out 0 no,$(ONCE)),--once)

test: build-tests
	@ctest --test-dir build/dev --output-on-failure --timeout 600 -j $(TEST_JOBS) $(CTEST_ARGS)

asan: packages-test
	@scripts/build asan tests -DHEDWIG_WERROR=$(WERROR) -DHEDWIG_UNITY=$(UNITY) -DHEDWIG_TESTS=ON
	@ctest --test-dir build/asan --output-on-failure --timeout 600 -j $(TEST_JOBS) -LE e2e $(CTEST_ARGS)

# docs/fuzzing.md has the fuzzers.
TIME ?= 60
FUZZ ?=
fuzz: packages-build
	@scripts/install-packages packages-fuzz.txt
	@scripts/build fuzz hedwig_fuzzers -DHEDWIG_UNITY=$(UNITY) -DHEDWIG_TESTS=ON
	@scripts/fuzz $(TIME) $(JOBS) $(FUZZ)

bench: packages-test
	@scripts/build release $(PROGRAMS) -DHEDWIG_WERROR=$(WERROR) -DHEDWIG_UNITY=$(UNITY)
	@scripts/build release smtp_load
	@scripts/build release raw_limits
	@/usr/bin/python3 -B bench/run.py --build build/release $(BENCH_ARGS)

KILLS ?= 20
SEED ?=
chaos: packages-test
	@scripts/build dev $(PROGRAMS) -DHEDWIG_WERROR=$(WERROR) -DHEDWIG_UNITY=$(UNITY)
	@/usr/bin/python3 -B tests/chaos/kill9.py --build build/dev --kills $(KILLS) $(if $(SEED),--seed $(SEED)) $(CHAOS_ARGS)

# docs/performance.md has its figures; they are an idle machine's.
crowd: packages-test
	@scripts/build release $(PROGRAMS) -DHEDWIG_WERROR=$(WERROR) -DHEDWIG_UNITY=$(UNITY)
	@/usr/bin/python3 -B tests/chaos/crowd.py --build build/release $(CROWD_ARGS)

# docs/durability.md has its figures.
POWERCUT = HEDWIG_PLUGIN_DIR=build/dev/lib/hedwig/plugins build/dev/bin
powercut: build-tests
	@$(POWERCUT)/powercut --messages 20 --points all --choices 6 --seed $(or $(SEED),1)
	@$(POWERCUT)/powercut --messages 300 --runs 5 --points 200 --choices 2 --recoveries 100 --seed $(or $(SEED),1)
	@$(POWERCUT)/powercut --choices 1 --points all --lie all --expect-loss
	@$(POWERCUT)/failing_calls
	@HEDWIG_BUILD_DIR=build/dev HEDWIG_FAULTS_ON_BOTH=1 /usr/bin/python3 -B tests/e2e/fault_test.py

# --- sources --------------------------------------------------------------------------------------------------------

.PHONY: format lint
format:
	@scripts/install-packages packages-lint.txt
	@scripts/sources cpp | xargs -r clang-format -i
lint:
	@scripts/install-packages packages-lint.txt
	@scripts/lint

# --- install --------------------------------------------------------------------------------------------------------

.PHONY: install clean
install: packages-build
	@scripts/build release $(PROGRAMS) -DHEDWIG_WERROR=$(WERROR) -DHEDWIG_UNITY=$(UNITY) "-DCMAKE_INSTALL_PREFIX=$(abspath $(PREFIX))"
	@DESTDIR="$(DESTDIR)" cmake --install build/release
clean:
	@rm -rf build
