# `make quickstart` and `make test` work from a fresh checkout: each makes its own environment.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
XPK := $(VENV)/xpk
INTEROP := $(VENV)/interop
# Tests run in as many processes as there are cores.
WORKERS ?= auto

.PHONY: quickstart test docs wheel manifests interop lint format lock clean

quickstart: $(VENV)/ready
	$(BIN)/python -m ssljax.main --config simclr/digits --workdir runs/quickstart

test: $(VENV)/ready
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder -q

# The documentation, with its notebooks run anew: runs/docs/index.html. A warning is an error.
docs: $(VENV)/ready
	$(BIN)/python -m sphinx -q -W --keep-going -E -b html docs runs/docs

# The wheel: built, installed into an empty environment outside the checkout, and trained with.
wheel: $(VENV)/ready
	rm -rf runs/wheel
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir runs/wheel .
	WHEEL="$$(echo runs/wheel/*.whl)" $(BIN)/python -m pytest -q tests/test_wheel.py

# What XPK makes of launch/xpk.sh, without a cloud account. It needs many packages: they have an environment of their own.
manifests: $(VENV)/ready $(XPK)/ready
	PATH="$(CURDIR)/$(XPK)/bin:$$PATH" MANIFESTS=runs/manifests $(BIN)/python -m pytest -q tests/test_manifests.py

# Weights to and from PyTorch's libraries, which have an environment of their own.
interop: $(INTEROP)/ready
	$(INTEROP)/bin/python -m pytest -q tests/interop

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/shellcheck launch/*.sh launch/*.sbatch .ci/run

format: $(VENV)/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The versions that are tested. Needs uv.
lock:
	uv pip compile --universal --python-version 3.11 --extra dev --no-emit-index-url \
		--custom-compile-command "make lock" --quiet --output-file requirements.lock pyproject.toml

$(VENV)/ready: pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

$(XPK)/ready:
	$(PYTHON) -m venv $(XPK)
	$(XPK)/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(XPK)/bin/uv pip install --quiet --python $(XPK)/bin/python xpk==1.16.0
	touch $@

# PyTorch for the CPU, where its own index is reached: that of PyPI, which is taken otherwise, brings CUDA.
$(INTEROP)/ready: pyproject.toml requirements.lock
	$(PYTHON) -m venv $(INTEROP)
	$(INTEROP)/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(INTEROP)/bin/python -m pip install --quiet --disable-pip-version-check --retries 1 \
		--extra-index-url https://download.pytorch.org/whl/cpu --editable '.[interop]'
	touch $@

clean:
	rm -rf $(VENV) runs dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
