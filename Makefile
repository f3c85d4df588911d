# The commands of the project. `make test` needs Rust alone; it fetches what else the tests use.
.PHONY: build test lint deny check bench docs fuzz clean help

CARGO ?= cargo

help: ## lists the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

build: ## builds the release binary
	$(CARGO) build --release

test: ## sets up and runs all tests
	$(CARGO) test --no-fail-fast

lint: ## formatting and lints
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	$(CARGO) clippy --no-default-features -- -D warnings

deny: ## licences, sources and advisories of all dependencies
	@command -v cargo-deny >/dev/null || $(CARGO) install cargo-deny --locked --quiet
	$(CARGO) deny --all-features check licenses bans sources
	@$(CARGO) deny --all-features check advisories || { \
	  $(CARGO) deny --all-features fetch db >/dev/null 2>&1 && exit 1; \
	  echo "SKIPPED: advisories were not checked, because the advisory database cannot be reached from here" >&2; }

check: lint test deny ## all that CI checks

bench: ## measures the engine, the host and the balancer; prints tables
	$(CARGO) build --release
	$(CARGO) bench --bench engine
	$(CARGO) bench --bench serving
	$(CARGO) bench --bench balancer

docs: ## writes the generated parts of the documents again
	UPDATE_DOCS=1 $(CARGO) test --test docs

fuzz: ## ten minutes of each fuzz target (needs nightly and cargo-fuzz)
	cd fuzz && for target in stack reference journal dotenv; do \
	  mkdir -p corpus/$$target; \
	  $(CARGO) +nightly fuzz run $$target corpus/$$target seeds/$$target -- \
	    -max_total_time=600 -timeout=10 -rss_limit_mb=4096 -dict=words.dict || exit 1; done

clean: ## removes what was built
	$(CARGO) clean
