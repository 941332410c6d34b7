# Every command a user or developer needs; `make help` lists them.
PYTHON ?= python3
HOST = 127.0.0.1
PORT = 8000

# Which build of ONNX Runtime is installed, with what it needs: `cpu` or `cuda`, which is x86-64 with an NVIDIA driver.
DRIVER := $(shell test "$$(uname -m)" = x86_64 && { test -e /proc/driver/nvidia/version || command -v nvidia-smi; } > /dev/null && echo found)
RUNTIME ?= $(if $(DRIVER),cuda,cpu)

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
INSTALL := $(PIP) install --require-hashes
LOCK := uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header
# The other locks are installed beside cpu.txt or cuda.txt, one of which brings ONNX Runtime.
NO_RUNTIME := --no-emit-package onnxruntime

.DEFAULT_GOAL := help
.PHONY: help serve test test-fast lint fit bench chaos soak fuzz docs render clients image-cpu image-gpu image-train image-client image-ray docker-test kserve supply sbom audit refresh lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z -]+:.*## / {printf "  make %-31s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: .venv/$(RUNTIME).installed ## install the service alone and serve the bundled models on HOST:PORT (127.0.0.1:8000)
	@$(if $(filter cpu,$(RUNTIME)),GAN_DEVICE=$${GAN_DEVICE:-cpu}) $(BIN)/gan-serve --host $(HOST) --port $(PORT)

test: lint ## check style and types, then run all tests and print their coverage
	@$(BIN)/python -m pytest --cov

test-fast: .venv/test.installed ## run the tests that are not marked slow (under a minute)
	@$(BIN)/python -m pytest --quiet -m "not slow and not docker"

lint: .venv/test.installed ## install everything the tests need, check style and types
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy

fit: .venv/train.installed ## install PyTorch and what else fitting and exporting need; then run .venv/bin/gan-train
	@$(BIN)/gan-train --help

bench: .venv/test.installed ## measure the service beside its limits and peers (25 minutes, needs wrk), write docs/internals/benchmarks.md
	@$(BIN)/python benchmarks/serving/peers/install.py build/peers
	@$(BIN)/python -m benchmarks.serving --peers build/peers
	@$(BIN)/python -m benchmarks.serving.page

docs: .venv/docs.installed ## build the book, a site that works offline, from docs/ into build/site
	@$(BIN)/python -m tools.site

render: .venv/test.installed ## write the files again that are made from code, model cards and alert rules
	@$(BIN)/python -m tools.render_docs
	@$(BIN)/python -m tools.render_rules

chaos: .venv/test.installed ## try the service as a bad day does (25 minutes), write docs/operating/reliability.md
	@$(BIN)/python -m benchmarks.reliability chaos; status=$$?; $(BIN)/python -m benchmarks.reliability.page; exit $$status

soak: .venv/test.installed ## send mixed traffic for MINUTES (30), write docs/operating/reliability.md
	@$(BIN)/python -m benchmarks.reliability soak --minutes $(or $(MINUTES),30); status=$$?; $(BIN)/python -m benchmarks.reliability.page; exit $$status

fuzz: .venv/test.installed ## fetch the codecs' test images, send them and changed ones for MINUTES (60), write docs/operating/reliability.md
	@test -d build/corpora/pillow || $(BIN)/python -m benchmarks.reliability.corpora build/corpora
	@$(BIN)/python -m benchmarks.reliability fuzz --minutes $(or $(MINUTES),60); status=$$?; $(BIN)/python -m benchmarks.reliability.page; exit $$status

clients: .venv/test.installed .venv/clients.installed ## generate clients, run them, write docs/calling/clients.md (needs what that page names)
	@$(BIN)/python -m tools.clients

image-cpu image-gpu image-train: ## build gan-serving:VERSION-cpu, -gpu or -train (DOCKER_BUILD_FLAGS adds flags)
image-client image-ray: ## build gan-serving:VERSION-client, which has gan-client alone, or -ray with gan-batch
image-cpu image-gpu image-train image-client image-ray: image-%:
	docker build $(DOCKER_BUILD_FLAGS) --build-arg REVISION=$(shell git rev-parse HEAD) \
		-f docker/Dockerfile --target $* -t gan-serving:$(VERSION)-$* .

docker-test: .venv/test.installed ## build the cpu and gpu images, run them under Docker Compose, test them (minutes)
	@$(BIN)/python -m pytest --capture=no -m "docker and not slow" tests/docker

kserve: ## install KServe's own client into build/kserve; the test of it is skipped where it is not there
	@$(PYTHON) -m venv build/kserve
	@build/kserve/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements/kserve.txt

supply: build/supply/installed ## install the tools of `sbom` and `audit` into build/supply, apart from everything else
	@ls build/supply/bin/cyclonedx-py build/supply/bin/pip-audit

sbom: build/supply/installed .venv/bin/python ## write a CycloneDX document for the wheel and each image into build/sbom (docs/operating/supply.md)
	@$(BIN)/python -m tools.sbom

audit: build/supply/installed ## look every locked package up for known vulnerabilities (needs the internet)
	@for lock in requirements/*.txt; do echo "$$lock"; \
		build/supply/bin/pip-audit --strict --disable-pip --require-hashes --progress-spinner off -r "$$lock" || exit; done

refresh: ## resolve all dependencies again to their newest allowed versions, then audit them (needs uv, npm, the internet)
	@$(MAKE) lock LOCK='$(LOCK) --upgrade'
	@$(MAKE) audit

lock: ## resolve all dependencies again into requirements/*.txt and tools/clients/package-lock.json (needs uv, npm)
	$(LOCK) pyproject.toml -o requirements/cpu.txt
	$(LOCK) pyproject.toml $(NO_RUNTIME) --group cuda -o requirements/cuda.txt
	$(LOCK) pyproject.toml $(NO_RUNTIME) --extra tracing -o requirements/tracing.txt
	$(LOCK) pyproject.toml $(NO_RUNTIME) --extra train -o requirements/train.txt
	$(LOCK) pyproject.toml $(NO_RUNTIME) --extra train --extra tracing --extra client --extra ray --group test \
		-o requirements/test.txt
	$(LOCK) pyproject.toml $(NO_RUNTIME) --extra client -c requirements/test.txt -o requirements/client.txt
	$(LOCK) pyproject.toml $(NO_RUNTIME) --extra ray -c requirements/test.txt -o requirements/ray.txt
	$(LOCK) --group pyproject.toml:kserve -o requirements/kserve.txt
	$(LOCK) --group pyproject.toml:supply -c requirements/test.txt -o requirements/supply.txt
	$(LOCK) pyproject.toml $(NO_RUNTIME) --group clients -c requirements/test.txt -o requirements/clients.txt
	$(LOCK) pyproject.toml $(NO_RUNTIME) --group docs -c requirements/test.txt -o requirements/docs.txt
	$(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
		| $(LOCK) - -c requirements/test.txt -o requirements/build.txt
	npm --prefix tools/clients install --package-lock-only --omit-lockfile-registry-resolved --no-audit --no-fund
	sed -i -z 's/,\n *"funding": {[^}]*}//g; s/,\n *"funding": \[[^]]*\]//g' tools/clients/package-lock.json

clean: ## delete the virtual environment and caches
	rm -rf .venv build *.egg-info .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ": make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv .venv

# The two builds of ONNX Runtime install into one folder: the other one goes first.
.venv/cpu.installed: OTHER := onnxruntime-gpu
.venv/cuda.installed: OTHER := onnxruntime
.venv/cpu.installed .venv/cuda.installed: .venv/%.installed: requirements/%.txt requirements/build.txt pyproject.toml | .venv/bin/python
	@echo "installing requirements/$*.txt into .venv, $(if $(DRIVER),with,without) an NVIDIA driver; RUNTIME=cpu or RUNTIME=cuda chooses"
	@rm -f .venv/*.installed
	@$(PIP) --quiet uninstall --yes $(OTHER)
	@$(INSTALL) -r requirements/$*.txt -r requirements/build.txt
	@$(PIP) install --no-build-isolation --no-deps --editable .
	@touch $@

build/supply/installed: requirements/supply.txt
	@$(PYTHON) -m venv build/supply
	@build/supply/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements/supply.txt
	@touch $@

.venv/test.installed .venv/train.installed .venv/clients.installed .venv/docs.installed: .venv/%.installed: requirements/%.txt .venv/$(RUNTIME).installed
	@echo "installing requirements/$*.txt into .venv"
	@$(INSTALL) -r requirements/$*.txt
	@touch $@
