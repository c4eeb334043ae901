.DEFAULT_GOAL := help
.PHONY: help run test attacks faults drift pictures build check fmt web

help: ## List these commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | sort

run: ## Set up everything and run Meanwhile on http://127.0.0.1:3000
	@echo "1/4 Tools"
	@scripts/setup.sh run
	@echo "2/4 Pages (some minutes the first time)"
	@cargo xtask web
	@echo "3/4 Server (some minutes the first time)"
	@cargo build --locked --package server
	@echo "4/4 Running: stop with Ctrl-C"
	@exec $${CARGO_TARGET_DIR:-target}/debug/meanwhile

web: ## Build the web bundle
	@scripts/setup.sh run
	@cargo xtask web

test: ## Run every test: rules, ports, server, browser with both bundles, attacks, updates, cancels, faults
	@scripts/setup.sh test
	cargo xtask web
	cargo test --locked
	scripts/schemathesis.sh
	scripts/end2end.sh
	cargo xtask web --release
	scripts/end2end.sh tests/launch.spec.ts tests/chain.spec.ts tests/file_check.spec.ts
	cargo build --locked --package bench
	$${CARGO_TARGET_DIR:-target}/debug/bench attacks --quick
	$${CARGO_TARGET_DIR:-target}/debug/bench update --products 40 --kills 1
	$${CARGO_TARGET_DIR:-target}/debug/bench cancel --rounds 3 --products 12 --kill-interval 3
	$${CARGO_TARGET_DIR:-target}/debug/bench vendure --products 10 --kills 1
	$${CARGO_TARGET_DIR:-target}/debug/bench disk-full --rounds 5
	$${CARGO_TARGET_DIR:-target}/debug/bench faults --products 24 --speed 3 --lease 12 --max-request-delay 250 --only \
	  web-killed-after-202,worker-killed,broker-wiped,redis-flushed,postgres-killed,rolling-restart,poison-messages

attacks: ## Attack a server: try to break in and to deny service to others (some minutes)
	cargo xtask web --release
	cargo build --locked --release --package server --package bench
	$${CARGO_TARGET_DIR:-target}/release/bench attacks

faults: ## Inject faults on real servers and write docs/FAULTS.md (some minutes; ROUNDS=5 for more)
	@scripts/setup.sh test
	cargo xtask web
	cargo build --locked --package server --package bench
	$${CARGO_TARGET_DIR:-target}/debug/bench faults --rounds $${ROUNDS:-1} --write docs/FAULTS.md

drift: ## Check that CI's checks notice code that events' documents don't follow (some minutes)
	@scripts/setup.sh check
	scripts/drift.sh

pictures: ## Take the pictures of the documents (docs/pictures) in a real browser
	@scripts/setup.sh test
	cargo xtask web
	scripts/end2end.sh --config screenshots.config.ts documents

build: ## Build the release binary target/release/meanwhile
	@scripts/setup.sh build
	cargo xtask web --release
	cargo build --locked --release --package server

check: ## Check formatting, lints, style sheets, crate dependencies, documents and licences
	@scripts/setup.sh check
	cargo fmt --all --check
	scripts/npx.sh biome check --error-on-warnings ..
	cargo clippy --locked --all-targets -- -D warnings
	cargo xtask web --lint
	cargo xtask check-dependencies
	cargo xtask check-styles
	cargo xtask events --check
	cargo xtask openapi --check
	scripts/asyncapi.sh
	scripts/docs.sh
	scripts/deny.sh

fmt: ## Format the code, and apply the safe fixes of its linters
	@scripts/setup.sh check
	cargo fmt --all
	scripts/npx.sh biome check --write ..
