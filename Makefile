# The chores of the project. `make demo` and `make test` set up a fresh Debian/Ubuntu machine themselves.

CARGO ?= cargo
export PATH := $(PATH):$(HOME)/.cargo/bin:/usr/sbin:/sbin
TARGET = $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
BIN := target/release/ferrolb

.PHONY: help build demo test unit e2e bench soak lint crds clean setup

help: ## this list
	@grep -hE '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | column -t -s "$$(printf '\t')"

setup: ## install what is missing (idempotent)
	@scripts/setup

build: ## the static binary target/release/ferrolb
	$(CARGO) build --release --package ferrolb-cli
	@mkdir -p target/release && ln -f target/$(TARGET)/release/ferrolb $(BIN)

demo: setup ## the main job, in a lab of network namespaces
	@$(MAKE) --no-print-directory build
	@scripts/elevated $(BIN) lab demo $(DEMO)

test: setup ## all tests, with a real Kubernetes API server
	@scripts/test

unit: ## tests without the lab
	$(CARGO) test --workspace --quiet

e2e: build ## end-to-end tests only: make e2e FILTER=name, MANIFESTS=chart
	@MANIFESTS=$(MANIFESTS) scripts/e2e $(FILTER)

bench: setup ## figures, side by side
	@scripts/bench

soak: setup ## long runs
	@scripts/soak

lint: ## format, clippy, generated files, supply chain
	@scripts/lint

crds: ## regenerate deploy/crds
	$(CARGO) xtask crds
