# Every target first makes .venv ready (tools/bootstrap.py), which takes no time when nothing has changed.
# Nothing is written outside this directory and the temporary one, and nothing here needs root.

PYTHON ?=
export PYTHON
VENV := .venv/bin/python

.PHONY: help setup demo test test-long test-libpq18 check bench fuzz leaks soak docs sync format clean

help:
	@echo 'make demo       run examples/quickstart.py against an embedded PostgreSQL server'
	@echo 'make test       all tests but the long ones (PSQLPY_TEST_DSN: against another server; ARGS: for pytest)'
	@echo 'make test-long  the long ones'
	@echo 'make test-libpq18  as make test, with the libpq of the embedded server (no TLS)'
	@echo 'make check      linters, types, layers, drift of generated files'
	@echo 'make bench      psqlpy beside other drivers, into docs/benchmarks.md (ONLY: one part, such as bulk)'
	@echo 'make fuzz       fuzz the C with libFuzzer (RUNS: of each target, 10000000; TARGETS: some of them)'
	@echo 'make leaks      the same work a million times, and what the process has grown by (SCALE: 0.01 of it)'
	@echo 'make soak       mixed load on all event loops and threads, with random faults (MINUTES: 30; SEED)'
	@echo 'make docs       build the site: build/site/index.html'
	@echo 'make sync       generate psqlpy/_sync and tests/_sync'
	@echo 'make format     format Python and C'
	@echo 'make clean      remove .venv and everything that was built'

setup:
	@sh tools/bootstrap.sh

# The rest of the tools comes with the first of the other targets.
demo:
	@sh tools/bootstrap.sh demo
	@$(VENV) examples/quickstart.py

test: setup
	@$(VENV) tools/run_tests.py -m 'not long' $(ARGS)

test-long: setup
	@$(VENV) tools/run_tests.py -m long $(ARGS)

test-libpq18:
	@PSQLPY_LIBPQ=embedded $(MAKE) test

check: setup
	@$(VENV) tools/check.py

fuzz: setup
	@$(VENV) tools/fuzz.py --runs $(or $(RUNS),10000000) $(TARGETS)

leaks: setup
	@$(VENV) -m soak.leaks --scale $(or $(SCALE),1)

soak: setup
	@$(VENV) -m soak --minutes $(or $(MINUTES),30) $(if $(SEED),--seed $(SEED))

docs: setup
	@NO_MKDOCS_2_WARNING=1 $(VENV) -m mkdocs build --strict

sync: setup
	@$(VENV) tools/make_sync.py

format: setup
	@$(VENV) -m ruff check --select I --fix --quiet .
	@$(VENV) -m ruff format --quiet .
	@.venv/bin/clang-format -i $(filter-out %.cdef.h,$(wildcard psqlpy/_ffi/*.[ch] fuzz/*.[ch]))

bench: setup
	@$(VENV) -m benchmarks $(if $(ONLY),--only $(ONLY)) $(ARGS)

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -f psqlpy/_ffi/*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
