# `make serve` and `make test` do everything from a fresh Debian 12 on; `make help` lists the rest.

JOBS   ?= $(shell nproc)
DATA   ?= ./data
RESP   ?= 127.0.0.1:6379
SHARDS ?=
PREFIX ?= /usr/local
ASHLAR  = build/release/ashlar

.DEFAULT_GOAL := help
.PHONY: help setup build serve test bench fuzz tsan format tidy install

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "Variables: JOBS, DATA, RESP, SHARDS (serve), CASES (bench), SECONDS_EACH (fuzz), PREFIX, DESTDIR (install)"

setup:  ## Install the packages that are missing (packaging/packages.txt); OPTIONAL=1 for the tools too
	@tools/setup.sh

build: setup  ## Build what users run: build/release/ashlar
	@cmake --preset release >build.log 2>&1 || { cat build.log; exit 1; }; rm -f build.log
	@cmake --build --preset release -j $(JOBS)

serve: build  ## Serve a data directory to Redis clients: DATA=./data RESP=127.0.0.1:6379 SHARDS=n
	@echo "Ashlar listens on $(RESP). Talk to it from another terminal; Ctrl-C ends it cleanly:"
	@echo "  redis-cli -h $(firstword $(subst :, ,$(RESP))) -p $(lastword $(subst :, ,$(RESP))) set greeting hello"
	@exec $(ASHLAR) serve --data dir:$(DATA) --resp $(RESP) $(if $(SHARDS),--shards $(SHARDS))

test: build  ## Build the release and measure its memory; build with sanitizers and run every other test
	@cmake --preset dev
	@cmake --build --preset dev -j $(JOBS)
	@ctest --preset release -L memory
	@ctest --preset dev -j $(JOBS)

bench: build  ## Measure, against peers where there are any: CASES="shard-task kv-get-warm"
	@build/release/ashlar-bench $(CASES)

fuzz: setup  ## Run each fuzz target for SECONDS_EACH=60
	@cmake --preset fuzz
	@cmake --build --preset fuzz -j $(JOBS)
	@tools/fuzz.sh build/fuzz

tsan: setup  ## Build with ThreadSanitizer and run every test
	@cmake --preset tsan
	@cmake --build --preset tsan -j $(JOBS)
	@ctest --preset tsan -j $(JOBS)

format: setup  ## Format the tree in place
	@git ls-files '*.h' '*.cc' | xargs clang-format-19 -i

tidy: setup  ## Run clang-tidy over what changed since it last passed
	@cmake --preset dev
	@cmake --build --preset dev -j $(JOBS)
	@tools/tidy.py build/dev -j $(JOBS)

install: build  ## Install below PREFIX=/usr/local
	@cmake --install build/release --prefix $(PREFIX)
