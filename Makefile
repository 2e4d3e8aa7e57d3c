# Two commands do everything: `make demo` and `make test`.
PYTHON ?= python3.11
PY := .venv/bin/python
# TORCH=cpu takes the small CPU build of torch from its own index (users online, no GPU).
TORCH ?=
EXTRA ?= dev,timm
export OMP_WAIT_POLICY ?= passive
export GRADIO_ANALYTICS_ENABLED ?= False

.PHONY: demo test env chromium clean

env: .venv/.made

.venv/.made: pyproject.toml
	test -x $(PY) || $(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --upgrade pip
ifeq ($(TORCH),cpu)
	$(PY) -m pip install --quiet torch torchvision --index-url https://download.pytorch.org/whl/cpu
endif
	$(PY) -m pip install --quiet -e '.[$(EXTRA)]'
	touch $@

demo: env
	$(PY) -m train study demo
	$(PY) -m analysis convergence runs/demo
	@if [ "$(SERVE)" != "0" ]; then $(PY) -m app runs/demo/distilled --compare runs/demo/alone; fi

chromium:
	@command -v chromium >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; \
	  else echo "The browser tests need Chromium: sudo apt-get install chromium"; fi; }

test: env chromium
	$(PY) -m ruff check .
	$(PY) -m ruff format --check --quiet .
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadfile

clean:
	rm -rf .venv build *.egg-info
