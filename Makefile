# `make demo` searches the sample scene; `make test` runs every check. Both work from a fresh clone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WHOLE := build/whole
OUT := demo/airport

.PHONY: demo test check clean

demo: $(VENV)/.installed
	@mkdir -p $(dir $(OUT))
	$(BIN)/geopdn detect sample_scenes/airport.tif --overwrite \
		-o $(OUT).detections.gpkg --project --picture $(OUT).png --saliency $(OUT).saliency.tif
	@echo
	@echo "Open in QGIS:  $(OUT).detections.qgz (everything in place), or drag $(OUT).detections.gpkg over the scene"
	@echo "A picture:     $(OUT).png"
	@echo "Where objects were expected:  $(OUT).saliency.tif"

test: check
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2

# cli/ and configs/ ship inside the package: types and layers are checked on a copy where they lie in it.
check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@mkdir -p $(WHOLE) && rm -rf $(WHOLE)/geopdn && cp -r geopdn $(WHOLE)/ && cp -r cli configs $(WHOLE)/geopdn/
	cd $(WHOLE) && $(CURDIR)/$(BIN)/lint-imports --config $(CURDIR)/pyproject.toml
	cd $(WHOLE) && $(CURDIR)/$(BIN)/mypy --config-file $(CURDIR)/pyproject.toml

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "geopdn needs Python 3.11 or newer, $(PYTHON) is $$($(PYTHON) --version 2>&1): try make PYTHON=python3.12"; \
		exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip

# Stamps: a second `make` installs nothing unless the dependencies have changed.
$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@echo "Installing geopdn and its dependencies into $(VENV) (some minutes, once) ..."
	$(BIN)/python -m pip install -q -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	@echo "Installing geopdn, its dependencies and the checks' into $(VENV) (some minutes, once) ..."
	$(BIN)/python -m pip install -q -e ".[dev]"
	@touch $(VENV)/.installed $@

clean:
	rm -rf $(VENV) build dist demo *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
