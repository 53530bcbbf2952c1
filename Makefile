# make run     the page, on http://localhost:5000; sets everything up the first time
# make setup   the environment that compares and trains, in .venv
# make test    the product's tests; adds their tools to .venv
# make research  adds what making weights needs, PyTorch above all, to .venv
# make test-research  its tests
# make lint    style and types
# make format  put the style right
# make lock    renew the pinned dependencies (UPGRADE=--upgrade for newer versions)
# make screenshots  the pictures at the README's top, with the weights as they are
# make benchmark  how fast, and beside whom: PEER=peers/bin/face_recognition; WRITE=yes writes the README's rows
# make benchmark-live  how many times a second live comparison answers, in a real browser
# make figures    measure everything that the model card tells, hours; see research/notes/measuring.md
# make model-card write the card and draw its plots from figures that are there
# make clean   remove what the targets above made
#
# PYTHON=/path/to/python picks the interpreter; PYTEST='-m "not slow"' adds to pytest's call,
# PROCESSES=4 runs four files of tests at a time in place of two.

.DEFAULT_GOAL := help
.PHONY: help run setup test research test-research browser lint format lock screenshots benchmark benchmark-live figures model-card clean

SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
# The first of these that is a Python we support; a name may exist and still not start.
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11 python; do \
	$$name -c '$(SUPPORTED)' 2>/dev/null && { echo $$name; break; }; done)
PIP_INSTALL := -m pip install --disable-pip-version-check

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

setup: .venv/.ready

run: .venv/.ready
	@.venv/bin/facial-recognition serve --browser

PROCESSES ?= 2
test: .venv/.tools browser
	.venv/bin/python -m pytest --numprocesses=$(PROCESSES) --dist=loadfile --no-loadscope-reorder $(PYTEST)

research: .venv/.research

test-research: .venv/.research
	.venv/bin/python -m pytest research/tests $(PYTEST)

# The page is tested in a real Chromium: CHROMIUM=/path/to/it, or one on the PATH. As root on
# Debian it is fetched; elsewhere, without one, those tests are skipped and say so.
browser:
	@if test -z "$$CHROMIUM" && ! command -v chromium >/dev/null && ! command -v google-chrome >/dev/null \
		&& test "$$(id -u)" -eq 0 && command -v apt-get >/dev/null; then \
		echo "Installing Chromium for the tests of the page."; \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq --no-install-recommends chromium >/dev/null; } \
		|| echo "That failed; the tests of the page will be skipped."; \
	fi

lint: .venv/.tools
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

format: .venv/.tools
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

# One command line for both locks. They are universal: markers choose by platform and by
# Python. The second is made under the first's versions, so that both agree.
COMPILE := .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-build --no-emit-index-url --annotation-style line --custom-compile-command "make lock" \
	--group build $(UPGRADE)

lock: .venv/.tools
	$(COMPILE) --extra train --extra dev pyproject.toml -o requirements-dev.lock
	$(COMPILE) --extra train --constraint requirements-dev.lock pyproject.toml -o requirements.lock

screenshots: .venv/.tools browser
	PYTHONPATH=tests .venv/bin/python tests/browser/screenshots.py

benchmark: .venv/.ready
	.venv/bin/python -m benchmarks $(if $(PEER),--peer $(PEER)) $(if $(WRITE),--write)

benchmark-live: .venv/.tools browser
	PYTHONPATH=tests:tests/browser .venv/bin/python -m benchmarks.live

# Photos and lists that are not ours to hand on lie in FR_SHARED, as for the tests. SETS names the
# sets file whose reporting people are looked at, FAIRFACE a folder with val/ and LABELS its CSV;
# VIEW2 a folder with all of LFW and pairs.txt; without them their part is left out, and the figures
# that are there stay. TEACHER is a teacher's .npz of LFW, to be set beside; NEAR a CSV of whom of LFW
# training may know, GROUPS one of the reporting people's genders and races; KIN is a folder with KinFaceW, LAG
# one of people young and later, LAG_NEAR a CSV as NEAR (research/notes/measuring.md).
FR_SHARED ?= ../shared
LFW = $(FR_SHARED)/lfw-devtest
RESEARCH = .venv/bin/python -m research
EVALUATE = $(RESEARCH) evaluate --without-names
figures: .venv/.research
	mkdir -p docs/figures
	$(EVALUATE) --pairs $(LFW)/pairsDevTest.txt --root $(LFW) $(if $(TEACHER),--beside $(TEACHER)) \
		--json docs/figures/1-lfw-view-1.json
	test -z "$(VIEW2)" || $(EVALUATE) --pairs $(VIEW2)/pairs.txt --root $(VIEW2) $(if $(TEACHER),--beside $(TEACHER)) \
		$(if $(NEAR),--labels $(NEAR) --by training) --json docs/figures/1b-lfw-view-2.json
	-test -z "$(VIEW2)" || $(EVALUATE) --people $(VIEW2) --impostors 300000 $(if $(TEACHER),--beside $(TEACHER)) \
		$(if $(NEAR),--labels $(NEAR) --by training) --json docs/figures/1c-lfw-people.json
	-test -z "$(VIEW2)" || $(RESEARCH) several $(VIEW2) --json docs/figures/1d-lfw-several.json
	test -z "$(SETS)" || $(EVALUATE) --sets $(SETS) --role reporting --beside $(SETS) \
		$(if $(GROUPS),--labels $(GROUPS) --by gender --by race) --json docs/figures/2-reporting.json
	test -z "$(SETS)" || $(RESEARCH) mixture --sets $(SETS) --role reporting --json docs/figures/2b-mixture.json
	test -z "$(FAIRFACE)" || $(RESEARCH) strangers $(FAIRFACE) --without-names --labels $(LABELS) --by race --by gender \
		--json docs/figures/3-strangers.json
	test -z "$(FAIRFACE)" || $(RESEARCH) strangers $(FAIRFACE) --without-names --labels $(LABELS) --by age \
		--json docs/figures/3b-strangers-by-age.json
	$(RESEARCH) worse-photos $(if $(SETS),--sets $(SETS) --role reporting,--pairs $(LFW)/pairsDevTest.txt --root $(LFW)) \
		--photos 500 --json docs/figures/4-worse-photos.json
	test -z "$(KIN)" || $(RESEARCH) relatives $(KIN) --json docs/figures/5-relatives.json
	test -z "$(LAG)" || $(RESEARCH) ages $(LAG) $(if $(LAG_NEAR),--labels $(LAG_NEAR) --by training) \
		--json docs/figures/5b-ages.json
	$(MAKE) model-card

model-card: .venv/.research
	$(RESEARCH) model-card docs/figures/*.json --out docs/model-card.md

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache

# One stamp for each thing that is installed, so that only what has changed is installed anew.
.venv/.research: research/requirements.txt .venv/.tools
	.venv/bin/python $(PIP_INSTALL) --quiet -r $<
	@touch $@

.venv/.tools: requirements-dev.lock .venv/.ready
	.venv/bin/python $(PIP_INSTALL) --quiet --require-hashes --only-binary :all: -r $<
	@touch $@

.venv/.ready: .venv/.locked pyproject.toml setup.py
	.venv/bin/python $(PIP_INSTALL) --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.locked: requirements.lock
	@test -n "$(PYTHON)" && $(PYTHON) -c '$(SUPPORTED)' || { echo "This needs Python 3.11, 3.12 or 3.13. Name it with PYTHON=/path/to/python."; exit 1; }
	@echo "Setting up $(@D) with $(PYTHON): once, a minute or a few."
	@# Debian's Python comes without the pip for new environments unless python3-venv is installed.
	@$(PYTHON) -m venv --clear $(@D) >/dev/null || { $(PYTHON) -m venv --clear --without-pip $(@D) \
		&& $(PYTHON) -m pip --python $(@D)/bin/python install --quiet pip; }
	$(@D)/bin/python $(PIP_INSTALL) --require-hashes --only-binary :all: -r $<
	@touch $@
