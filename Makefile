# `make demo` searches the sample scene; `make test` runs every check; `make bench` measures geopdn against other
# programs. All work from a fresh clone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WHOLE := build/whole
OUT := demo/airport

BENCH := build/bench
GEODEEP := $(BENCH)/geodeep-venv
# of `make bench` and `make bench-growth`, see benchmarks/README.md
SIZES ?=
SHARES ?= 0.05
COMPRESSIONS ?= jpeg
OVERVIEWS ?= with
REPEATS ?= 1
OBJECTS ?= 5 20 80
TIMEOUT ?= 7200
METHODS ?=
BENCH_OPTIONS = --folder $(BENCH) --sizes $(SIZES) --repeats $(REPEATS) --timeout $(TIMEOUT) \
	$(if $(METHODS),--methods $(METHODS)) $(if $(AGAIN),--again)

.PHONY: demo test check bench bench-growth bench-geodeep clean

demo: $(VENV)/.installed
	@mkdir -p $(dir $(OUT))
	$(BIN)/geopdn detect sample_scenes/airport.tif --overwrite \
		-o $(OUT).detections.gpkg --project --picture $(OUT).png --saliency $(OUT).saliency.tif
	$(BIN)/geopdn report $(OUT).detections.gpkg --scene sample_scenes/airport.tif --saliency $(OUT).saliency.tif \
		-o $(OUT).html --overwrite
	@echo
	@echo "Open in QGIS:  $(OUT).detections.qgz (everything in place), or drag $(OUT).detections.gpkg over the scene"
	@echo "To send to a colleague, with marks for right, wrong and missed:  $(OUT).html"
	@echo "A picture:     $(OUT).png"
	@echo "Where objects were expected:  $(OUT).saliency.tif"

test: check
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2

# cli/ and configs/ ship inside the package: types and layers are checked on a copy where they lie in it.
check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@mkdir -p $(WHOLE) && rm -rf $(WHOLE)/geopdn && cp -r geopdn $(WHOLE)/ && cp -r cli configs $(WHOLE)/geopdn/
	rm -rf $(WHOLE)/benchmarks && cp -r benchmarks $(WHOLE)/
	cd $(WHOLE) && $(CURDIR)/$(BIN)/lint-imports --config $(CURDIR)/pyproject.toml
	cd $(WHOLE) && $(CURDIR)/$(BIN)/mypy --config-file $(CURDIR)/pyproject.toml

# NO_MOSAIC=1 leaves the mosaic of the labelled scenes out, AGAIN=1 runs what has been run.
bench: $(VENV)/.installed-bench bench-geodeep
	$(BIN)/python -m benchmarks.run $(BENCH_OPTIONS) --shares $(SHARES) --compressions $(COMPRESSIONS) \
		--overviews $(OVERVIEWS) $(if $(NO_MOSAIC),--no-mosaic)

bench-growth: $(VENV)/.installed-bench bench-geodeep
	$(BIN)/python -m benchmarks.run $(BENCH_OPTIONS) --growth --objects $(OBJECTS)

# GeoDeep is AGPL-3.0: an environment of its own; without it the benchmark says so and goes on.
bench-geodeep: | $(BIN)/python
	@test -x $(GEODEEP)/bin/python || { mkdir -p $(BENCH) && $(PYTHON) -m venv $(GEODEEP) && \
		$(GEODEEP)/bin/python -m pip install -q "geodeep>=0.9.13"; } || { rm -rf $(GEODEEP); \
		echo "GeoDeep could not be installed: left out"; }

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
	@# GDAL's validator of GeoPackages is a plain script, but the package asks for bindings that have to be compiled.
	$(BIN)/python -m pip install -q --no-deps "gdal-utils>=3.10"
	@touch $(VENV)/.installed $@

$(VENV)/.installed-bench: pyproject.toml | $(BIN)/python
	@echo "Installing geopdn and what it is measured against into $(VENV) (some minutes, once) ..."
	$(BIN)/python -m pip install -q -e ".[bench]"
	@touch $(VENV)/.installed $@

clean:
	rm -rf $(VENV) build dist demo *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
