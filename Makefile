# Every target does its own set-up. `make demo` runs the main job, `make test` passes the tests.

# The newest Python that the pinned libraries run on; `make PYTHON=...` chooses another.
PYTHON ?= $(shell for name in python3.13 python3.12 python3.11 python3; do \
	"$$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && { echo "$$name"; break; }; done)
BIN := .venv/bin
READY := .venv/.ready

.PHONY: setup demo test exhaustive check bench lock clean

setup: $(READY)

# Python may be told to keep no byte code (PYTHONDONTWRITEBYTECODE), as in most images; every command would then compile
# Prefect and TensorFlow anew, which takes seconds. It is made once, here.
# pip brings uv, at the version and hash of the lock; uv brings the rest, several times as fast as pip would.
$(READY): deploy/requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11 to 3.13 was found. Install one, or name it: make PYTHON=/path/to/python"; exit 1; }
	@test -x $(BIN)/python || echo "Installing Daybook and its libraries into .venv: some minutes, 4 GB of disk"
	@test -x $(BIN)/python || "$(PYTHON)" -m venv .venv
	@test -x $(BIN)/uv || { awk '/^uv==/ { on = 1 } on { print } on && !/\\$$/ { exit }' deploy/requirements.lock > .venv/uv.txt; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.txt; }
	@VIRTUAL_ENV=.venv $(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode deploy/requirements.lock || { \
		echo "uv could not reach a registry; trying pip, which may be configured otherwise"; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r deploy/requirements.lock; }
	@VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --no-deps --editable . || \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@$(BIN)/python -m compileall -q flows warehouse models reports
	@touch $(READY)

demo: setup
	@$(BIN)/daybook demo

# Thousands of small lakes are made and thrown away: in memory a commit takes a fifth less time than on a disk.
ROOMY = $(shell [ -w /dev/shm ] && [ "$$(df -Pk /dev/shm | awk 'NR == 2 { print $$4 }')" -gt 6000000 ] && echo /dev/shm)

# One worker more than cores, as some always wait for a server or a browser; linear algebra that starts threads of its own
# would wait for its neighbours.
test: setup
	@$(if $(ROOMY),TMPDIR="$${TMPDIR:-$(ROOMY)}" )OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest --dist loadfile --no-loadscope-reorder \
		--numprocesses $$($(BIN)/python -c "import os; print(os.cpu_count() + 1)")

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# What takes minutes: laws over random histories, kills at random moments, many readers. Not part of `make test`.
exhaustive: setup
	@$(BIN)/python -m pytest -m exhaustive

bench: setup
	@$(BIN)/python -m pytest -m benchmark tests/benchmarks -s

# No addresses in the lock: it must install from any registry.
lock:
	uv pip compile pyproject.toml --extra dev --universal --generate-hashes --no-emit-index-url \
		--python-version 3.11 --output-file deploy/requirements.lock

clean:
	rm -rf .venv *.egg-info .pytest_cache .mypy_cache .ruff_cache
