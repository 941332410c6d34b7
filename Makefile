# Every command a user or developer needs; `make help` lists them.
PYTHON ?= python3
HOST = 127.0.0.1
PORT = 8000

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
INSTALL := $(PIP) install --require-hashes
LOCK := uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header

.DEFAULT_GOAL := help
.PHONY: help serve test fit bench image-cpu image-gpu image-train docker-test lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z -]+:.*## / {printf "  make %-31s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: .venv/service.installed ## serve the bundled models on HOST:PORT (127.0.0.1:8000); installs the service only
	@$(BIN)/gan-serve --host $(HOST) --port $(PORT)

test: .venv/test.installed ## install everything the tests need, check style and types, run the tests
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest

fit: .venv/train.installed ## install what fitting and exporting need; then .venv/bin/gan-train --help
	@$(BIN)/gan-train --help

bench: .venv/test.installed ## measure the service beside its limits and its peers (25 minutes, needs wrk), write docs/benchmarks.md
	@$(BIN)/python benchmarks/serving/peers/install.py build/peers
	@$(BIN)/python -m benchmarks.serving --peers build/peers
	@$(BIN)/python -m benchmarks.serving.page

image-cpu image-gpu image-train: image-%: ## build gan-serving:VERSION-cpu, -gpu, -train (DOCKER_BUILD_FLAGS: more flags)
	docker build $(DOCKER_BUILD_FLAGS) --build-arg REVISION=$(shell git rev-parse HEAD) \
		-f docker/Dockerfile --target $* -t gan-serving:$(VERSION)-$* .

docker-test: ## build the images, run them under Docker Compose, and check what they do (minutes)
	@$(PYTHON) docker/verify.py

lock: ## resolve all dependencies again into requirements/*.txt (needs uv)
	$(LOCK) pyproject.toml -o requirements/service.txt
	$(LOCK) --extra tracing pyproject.toml -o requirements/tracing.txt
	$(LOCK) --extra cuda pyproject.toml -o requirements/cuda.txt
	$(LOCK) --extra train pyproject.toml -o requirements/train.txt
	$(LOCK) --extra train --extra dev pyproject.toml -o requirements/test.txt
	$(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
		| $(LOCK) - -o requirements/build.txt

clean: ## delete the virtual environment and caches
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ": make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv .venv

.venv/%.installed: requirements/%.txt requirements/build.txt pyproject.toml | .venv/bin/python
	@echo "installing requirements/$*.txt into .venv"
	@$(INSTALL) -r requirements/$*.txt -r requirements/build.txt
	@$(PIP) install --no-build-isolation --no-deps --editable .
	@touch $@
