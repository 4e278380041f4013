# What a person or the continuous integration does with this tree. `make help` lists it.

.DEFAULT_GOAL := help
.PHONY: help demo test simulate soak soak-storage soak-data siege fuzz bench screenshots lint check

# What tests make fail at named places; no release has them.
FAULT_POINTS := --features gridmart/fault-points

# Of each fuzz target.
SECONDS ?= 60

# Of a simulation, the first seed and how many follow it; of a soak, what its
# faults are drawn from and how many there are.
SEED ?= 20000
HISTORIES ?= 10000
FAULTS ?= 100

# Of the largest object of a soak: half as much again is on the disk meanwhile.
GIBIBYTES ?= 20

help: ## List the targets
	@sed -n 's/^\([a-z-]*\): .*## \(.*\)$$/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

demo: ## A whole supermarket in a temporary folder: one real job over three Hosts
	scripts/setup
	scripts/console
	cargo build --release -p gridmart -p link-failures
	scripts/demo

test: ## All tests, end to end included
	scripts/setup
	scripts/console check
	cargo build --workspace --bins $(FAULT_POINTS)
	cargo test --workspace --no-fail-fast $(FAULT_POINTS)

simulate: ## Cluster histories under seeds: make simulate SEED=1 HISTORIES=100000
	scripts/setup
	SEED=$(SEED) HISTORIES=$(HISTORIES) cargo test --release -p gridmart-tests --test simulation -- --nocapture

soak: ## Bad weather for a long time, against a ledger: make soak SEED=7 FAULTS=1000
	scripts/setup
	cargo build --workspace --bins $(FAULT_POINTS)
	SEED=$(SEED) FAULTS=$(FAULTS) cargo test -p gridmart-tests --test e2e soak::what_was_promised -- --nocapture

soak-storage: ## The same over objects, and what is very large or many: make soak-storage SEED=7 FAULTS=200 GIBIBYTES=20
	scripts/setup
	cargo build --workspace --bins $(FAULT_POINTS)
	GRIDMART_SOAK=1 GIBIBYTES=$(GIBIBYTES) SEED=$(SEED) FAULTS=$(FAULTS) cargo test -p gridmart-tests --test e2e -- \
		soak::what_was_acknowledged storage_days:: --nocapture --test-threads 1

soak-data: ## The same over a database with two shadows and a branch, and one away for 50,000 commits, and a result of 10 million rows: make soak-data SEED=7 FAULTS=300
	scripts/setup
	cargo build --workspace --bins $(FAULT_POINTS)
	GRIDMART_SOAK=1 SEED=$(SEED) FAULTS=$(FAULTS) cargo test -p gridmart-tests --test e2e -- \
		soak::what_was_committed shadows::a_shadow_that_was_away postgres::sessions --nocapture --test-threads 1

siege: ## The attacks whole: 1 GiB of garbage and 10,000 connections at each door, a queue of 100,000
	scripts/setup
	cargo build --release --workspace --bins
	GRIDMART_SIEGE=1 cargo test --release -p gridmart-tests --test e2e -- doors:: fairness:: --nocapture --test-threads 1

fuzz: ## Every fuzz target for SECONDS each: make fuzz SECONDS=300
	scripts/fuzz $(SECONDS)

bench: ## The figures, as a table and in target/bench.json
	scripts/setup
	scripts/console
	cargo build --release --workspace --bins
	target/release/gridmart-bench

screenshots: ## The README's pictures of the console, anew: docs/console-*.png
	scripts/setup
	scripts/console
	cargo build --release -p gridmart -p link-failures
	scripts/screenshots

lint: ## Formatting and lints; warnings are errors
	cargo fmt --check
	cargo clippy --workspace --all-targets $(FAULT_POINTS) -- -D warnings

check: lint test ## What has to pass before a commit
