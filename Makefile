# Every target works from a fresh clone. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
CRD := crds/microapprollouts.microapp.dev.yaml
LAB := target/release/lab

.PHONY: help demo demo-here test test-fast test-e2e test-presets lint gen bench bench-decisions lab lab-up lab-down clean

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: lab ## a good revision is promoted, bad ones are reverted, on a real cluster on this machine (KEEP=1 leaves it running)
	$(LAB) demo $(if $(KEEP),--keep)

demo-here: lab ## the same on the cluster of the current kubeconfig
	$(LAB) demo --here

test: ## all tests; says at the end what ran
	@deploy/test.sh

test-fast: ## unit, golden, property, in-process API server, drift: no cluster
	cargo test --workspace --locked --exclude microapp-e2e

test-e2e: lab ## end to end on the lab
	deploy/e2e.sh

test-presets: lab ## the presets against real apps of other people's packages, installed from their registries (ONLY="NAME …", SAVE=1, AT_ONCE=8)
	tests/presets/run.sh $(foreach name,$(ONLY),--only $(name)) $(if $(SAVE),--save) $(if $(AT_ONCE),--at-once $(AT_ONCE))

lint: ## formatting, clippy, and cargo-deny's checks (advisories, licenses, bans, sources) where it is installed
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	@if command -v cargo-deny >/dev/null; then cargo deny --locked check advisories licenses bans sources; \
	 else echo "cargo-deny is not installed: its checks did not run (cargo install cargo-deny)"; fi

gen: ## everything that is generated
	cargo run -q --locked -p microapp-api --example gen-crds > $(CRD).new && mv $(CRD).new $(CRD)
	deploy/gen.sh copies
	UPDATE_GOLDEN=1 cargo test -q --workspace --locked --exclude microapp-e2e --test operator the_page_is_what_the_table_says

bench: lab ## the figures, one JSON object a line
	deploy/bench.sh

bench-decisions: ## our rule beside those of Flagger, Argo Rollouts and Kayenta: docs/benchmarks/decisions.md (RUNS=1000)
	cargo run -q --release --locked -p microapp-decisions -- $(if $(RUNS),--runs $(RUNS))

lab: ## the lab's program
	cargo build --release --locked -p microapp-lab

lab-up: lab ## start the lab
	$(LAB) up

lab-down: lab ## stop it
	$(LAB) down

clean: ## what was built here; the lab's cache stays
	cargo clean
