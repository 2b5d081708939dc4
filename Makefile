# `make demo` and `make test` do everything that they need by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
REPORT := reports/kdump-acceptance.html
SHELL_SCRIPTS := $(wildcard tools/*) .ci/run

.PHONY: help demo test lint lab lab-up lab-ssh lab-console lab-status lab-down
.PHONY: bench bench-hostility bench-crash bench-faults fuzz clean
.DEFAULT_GOAL := help

help:
	@echo "make demo             set up, boot the lab machine, run the acceptance suite on it over SSH, write $(REPORT)"
	@echo "make test             set up, run all of the suite's own tests"
	@echo "make lint             ruff, mypy, shellcheck"
	@echo "make lab              set up, build the lab machine's image"
	@echo "make lab-up           boot the lab machine and leave it running; lab-ssh, lab-console, lab-status, lab-down"
	@echo "make bench            the benchmarks"
	@echo "make bench-hostility  what a user sees of hosts that misbehave, and how long it takes"
	@echo "make bench-crash      crash lab machines in every way, print the named end of each"
	@echo "make bench-faults     stage every fault on every lab machine, print the confusion matrix"
	@echo "make fuzz             five minutes of broken dumps, guided by coverage"
	@echo "make clean            remove the virtual environment and what the tools remember"

$(VENV)/.user: requirements.txt
	@tools/venv $(PYTHON) $(VENV) requirements.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt requirements.txt
	@tools/venv $(PYTHON) $(VENV) requirements-dev.txt
	@touch $@ $(VENV)/.user

demo: $(VENV)/.user
	@tools/demo $(BIN) $(REPORT)

lab: $(VENV)/.user
	@tools/packages lab/packages.txt
	@$(BIN)/python -m lab build debian12

lab-up: lab
lab-up lab-ssh lab-console lab-status lab-down: lab-%: $(VENV)/.user
	@$(BIN)/python -m lab $* debian12

test: $(VENV)/.dev
	@tools/packages lab/packages.txt selftests/packages.txt
	@$(BIN)/python -m lab build debian12
	@echo "Running the suite's own tests (unit, recordings, connection, report, lab machines)."
	@cd selftests && ../$(BIN)/python -m pytest

lint: $(VENV)/.dev
	@tools/packages selftests/packages.txt
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	shellcheck $(SHELL_SCRIPTS)
	shellcheck -s sh kdump/*.sh kdump/qualification/*.sh
	$(BIN)/python -m kdump.probe | shellcheck -s sh -e SC2016 -

bench: $(VENV)/.dev
	$(BIN)/python bench/vmcore_bench.py
	$(BIN)/python bench/kill_bench.py
	$(BIN)/python bench/fleet_bench.py --write

bench-hostility: $(VENV)/.dev
	$(BIN)/python bench/hostility_bench.py
	$(BIN)/python bench/fleet_page_bench.py

bench-crash: $(VENV)/.dev
	@tools/packages lab/packages.txt lab/crashes/packages.txt
	$(BIN)/python bench/crash_bench.py

bench-faults: $(VENV)/.dev
	@tools/packages lab/packages.txt lab/packages-arm64.txt selftests/packages.txt
	$(BIN)/python bench/faults_bench.py

$(VENV)/.fuzz: requirements-fuzz.txt $(VENV)/.dev
	@tools/venv $(PYTHON) $(VENV) requirements-fuzz.txt
	@touch $@

# libFuzzer first; where there is no wheel of it, the tree's own fuzzer, which guides itself by lines, has all the time.
fuzz: $(VENV)/.dev
	@if $(MAKE) --no-print-directory $(VENV)/.fuzz; then \
		mkdir -p $(VENV)/fuzz-corpus && \
		$(BIN)/python -m selftests.fuzz.with_atheris $(VENV)/fuzz-corpus -max_total_time=240 -print_final_stats=1 && \
		$(BIN)/python -m selftests.fuzz --seconds 60; \
	else \
		$(BIN)/python -m selftests.fuzz --seconds 300; \
	fi

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
