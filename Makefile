# `make demo` and `make test` do everything; each makes its own environment in .venv first.

# The first of these that is 3.11 or newer; make PYTHON=/path/to/python names another.
CANDIDATES := python3.11 python3.12 python3.13 python3.14 python3 python
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in $(CANDIDATES); do "$$p" -c '$(NEW_ENOUGH)' 2>/dev/null && echo "$$p" && break; done)
PY := .venv/bin/python
# TORCH=cpu takes the small CPU build of torch from its own index (users online, no GPU).
TORCH ?=
EXTRA ?= dev,timm
export OMP_WAIT_POLICY ?= passive
export GRADIO_ANALYTICS_ENABLED ?= False

.PHONY: demo test test-all test-gpu lint docs env chromium clean

env: .venv/.made

.venv/.made: pyproject.toml
	@test -x $(PY) || test -n "$(PYTHON)" || { \
	  echo "This needs Python 3.11 or newer, and none of $(CANDIDATES) is: install one, or name it with" \
	    "make env PYTHON=/path/to/python"; exit 2; }
	test -x $(PY) || $(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --upgrade pip
ifeq ($(TORCH),cpu)
	$(PY) -m pip install --quiet torch torchvision --index-url https://download.pytorch.org/whl/cpu
endif
	$(PY) -m pip install --quiet -e '.[$(EXTRA)]'
	touch $@

demo: env
	$(PY) -m train study demo $(if $(filter 1,$(FULL)),--full)
	$(PY) -m analysis convergence runs/demo
	@if [ "$(SERVE)" != "0" ]; then \
	  $(PY) -m app runs/demo/$(if $(filter 1,$(FULL)),distilled --compare runs/demo/alone,few_logits --compare runs/demo/few_alone); fi

chromium:
	@command -v chromium >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; \
	  else echo "The browser tests need Chromium: sudo apt-get install chromium"; fi; }

lint: env
	$(PY) -m ruff check .
	$(PY) -m ruff format --check --quiet .
	.venv/bin/biome ci --error-on-warnings app/web
	$(PY) -m mypy

docs: env
	$(PY) docs/draw.py >/dev/null
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict --quiet

test: env chromium lint docs
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadfile

test-all: env chromium lint docs
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadfile -m ""

# Needs no `make env`: make test-gpu PY=python3 takes a machine's own torch. DEVICE=cpu runs it as far as a CPU goes.
DEVICE ?= cuda
test-gpu:
	$(if $(filter cpu,$(DEVICE)),TRITON_INTERPRET=1) $(PY) -m pytest -o addopts=--import-mode=importlib -m cuda -rs \
	  --device $(DEVICE) tests/gpu

clean:
	rm -rf .venv build site *.egg-info
