# make demo   a bundle from nothing, and a prediction with it
# make test   the test suite, but for what takes minutes
# make test-long the rest of it
# make lint   style and types
# make docs   the site of the documents, checked for dead links: build/docs/html/index.html
# make docs-links asks every server that the documents name whether the page is still there; needs the network
# make ios    what can be checked of ios_demo without a Mac; as root it fetches Swift (once, 2.5 GB)
# make android builds and checks the Android app, as far as that goes without Android Studio
# make system Debian's packages for boards, instruction counts and pictures of reports; as root. Without them the tests that
#             need one are skipped, and say so
# make latest export and verify with the newest packages that pyproject.toml allows, in an environment of its own
# make audit  look up known vulnerabilities of the pinned packages; needs the network
# make clean  remove what these made

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/pip --disable-pip-version-check --quiet
BUNDLE := build/levit_128s-int8-tflite
PTE    := build/levit_128s-int8-executorch
SOURCES := $(shell find levit_mobile exporters calib -type f -not -path '*/__pycache__/*')

.PHONY: demo test test-long lint docs docs-links android ios latest audit system clean

# pip comes last: where it is missing the environment was not finished (Debian without python3-venv leaves one behind).
$(BIN)/pip:
	$(PYTHON) -c 'import sys; sys.exit("levit-mobile needs Python 3.11 or newer; type make PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }

# torch comes first and pinned, so that nothing after it asks for another build of it.
$(VENV)/demo.stamp: constraints.txt pyproject.toml | $(BIN)/pip
	$(PIP) install -c constraints.txt torch
	$(PIP) install -c constraints.txt -e '.[demo]'
	touch $@

# timm is a test's oracle. It asks for torchvision, of which there is no CPU build; the plain wheel is enough.
$(VENV)/dev.stamp: $(VENV)/demo.stamp
	$(PIP) install -c constraints.txt -e '.[dev]'
	$(PIP) install -c constraints.txt --no-deps timm torchvision
	touch $@

# Another reader of TFLite metadata and an old runtime, for the tests; neither has a wheel for Python 3.12 and newer.
.venv-readers/stamp: tests/readers/requirements.txt | $(BIN)/pip
	rm -rf .venv-readers
	if $(BIN)/python -c 'import sys; sys.exit(sys.version_info[:2] > (3, 11))'; then \
	  $(PYTHON) -m venv .venv-readers && .venv-readers/bin/pip --disable-pip-version-check --quiet install -r $<; \
	else mkdir .venv-readers; fi
	touch $@

$(BUNDLE)/manifest.json: $(VENV)/demo.stamp $(SOURCES)
	$(BIN)/levit-export --target tflite --int8 --overwrite --out $(BUNDLE)
	touch $@

demo: $(BUNDLE)/manifest.json
	$(BIN)/levit predict $(BUNDLE) "$$($(BIN)/python tools/sample_picture.py)"
	@echo
	@echo "The bundle is in $(CURDIR)/$(BUNDLE)"

test: $(VENV)/dev.stamp .venv-readers/stamp
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not long"

test-long: $(VENV)/dev.stamp .venv-readers/stamp
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m long

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/dev.stamp
	$(BIN)/python tools/build_site.py build/docs

docs-links: $(VENV)/dev.stamp
	$(BIN)/python -m sphinx -q -b linkcheck -c docs -d build/docs/doctrees . build/docs/linkcheck

ios: $(VENV)/dev.stamp
	ios_demo/tools/check.sh $(BIN)/python

# The .pte is made once, and goes into the app beside the .tflite.
$(PTE)/manifest.json: $(VENV)/dev.stamp $(SOURCES)
	$(BIN)/levit-export --target executorch --int8 --overwrite --out $(PTE)
	touch $@

android: $(BUNDLE)/manifest.json $(PTE)/manifest.json
	$(BIN)/python android_demo/tools/check.py $(BUNDLE) $(PTE)

latest: $(VENV)/demo.stamp
	$(BIN)/python benchmarks/versions.py --only newest --results build/latest

audit: | $(BIN)/pip
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/pip --disable-pip-version-check --quiet install pip-audit
	.venv-audit/bin/pip-audit --no-deps --disable-pip -r constraints.txt
	.venv-audit/bin/pip-audit --no-deps --disable-pip -r levit_mobile/data/sign-requirements.txt

system:
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends mmdebstrap openssh-server openssh-client qemu-user-static qemu-user \
	  binfmt-support proot gcc libc6-dev g++ g++-aarch64-linux-gnu chromium default-jdk-headless

clean:
	rm -rf $(VENV) .venv-audit .venv-readers build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
