# The commands of this project. What continuous integration runs is `.ci/run`, which uses these.

CARGO  ?= cargo
PREFIX ?= /usr/local
# Seconds for each fuzz target.
TIME   ?= 60
# Options of the benchmark, as `make bench BENCH='--rounds 2 h1'`.
BENCH  ?=

TARGET := $(or $(CARGO_TARGET_DIR),target)

# A workspace of guests, natively: `plugins`, or those of the tests. `plugins/build` compiles them to WebAssembly in the same folder.
guests = $(CARGO) $(2) --locked --manifest-path $(1)/Cargo.toml --target-dir '$(TARGET)/guests' --workspace

.PHONY: help run test plugins check fmt fuzz bench bench-waf install

help:
	@echo 'make run      build, and start a demonstration on ports 8080 and 8443'
	@echo 'make test     install what the tests need, and run all of them'
	@echo 'make plugins  the plugins in Rust, to WebAssembly in target/plugins'
	@echo 'make check    format, lints and documentation: warnings are errors'
	@echo 'make fmt      format the code'
	@echo 'make fuzz     every fuzz target for TIME seconds ($(TIME))'
	@echo 'make bench    beside nginx, haproxy and envoy: CPU per request'
	@echo 'make bench-waf  the WAF beside nginx with libmodsecurity'
	@echo 'make install  the release build into PREFIX/bin ($(PREFIX))'

# A debug build: it is ready in a minute or two and shares everything with the tests, where the release build, optimised across
# all crates, takes several minutes and shares nothing.
run: plugins
	@tests/install build
	@echo 'Building portcullis (the first time takes a few minutes) ...'
	$(CARGO) build --locked -p portcullis
	@$(TARGET)/debug/portcullis demo --dir $(TARGET)/demo

# The executable is built first, with the workspace's features: the scenarios run it.
test: plugins
	@tests/install test
	@CARGO='$(CARGO)' plugins/build --dir tests/guests --out target/plugins/test
	$(call guests,plugins,test) --no-fail-fast
	$(CARGO) build --locked --workspace --bins
	PORTCULLIS_BIN='$(abspath $(TARGET))/debug/portcullis' $(CARGO) test --locked --workspace --no-fail-fast

# Before the proxy is built, which takes those of the project in (`builtin:`).
plugins:
	@tests/install plugins
	@CARGO='$(CARGO)' plugins/build
	@CARGO='$(CARGO)' plugins/build --dir tests/guests --out target/plugins/test

check:
	@tests/install check
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --workspace --no-deps
	$(CARGO) fmt --manifest-path plugins/Cargo.toml --all --check
	$(CARGO) fmt --manifest-path tests/guests/Cargo.toml --all --check
	$(call guests,plugins,clippy) --all-targets -- -D warnings
	$(call guests,tests/guests,clippy) --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(call guests,plugins,doc) --no-deps

fmt:
	$(CARGO) fmt --all
	$(CARGO) fmt --manifest-path plugins/Cargo.toml --all
	$(CARGO) fmt --manifest-path tests/guests/Cargo.toml --all

# The sanitiser's flags are unstable; RUSTC_BOOTSTRAP lets the stable compiler take them, so that no other is needed.
# What a run finds stays in corpus/, which it begins with the next time; seeds/ are the beginnings that the tests know too.
fuzz:
	@tests/install fuzz
	@cd tests/fuzz && targets=$$($(CARGO) fuzz list --fuzz-dir .) && for target in $$targets; do \
		echo "== $$target, $(TIME) seconds"; \
		mkdir -p corpus/$$target; \
		more=; if [ $$target = config ]; then more=../../config; fi; \
		RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run --fuzz-dir . $$target corpus/$$target seeds/$$target $$more -- \
			-max_total_time=$(TIME) -timeout=10 || exit 1; \
	done

bench: plugins
	@tests/install bench
	$(CARGO) build --locked --release -p portcullis
	@CARGO='$(CARGO)' plugins/build --dir tests/guests --out '$(TARGET)/plugins/test' good
	BENCH_GUEST='$(abspath $(TARGET))/plugins/test/good.wasm' \
		PORTCULLIS_BIN='$(abspath $(TARGET))/release/portcullis' python3 tests/bench/bench.py $(BENCH)

# The same rules in nginx with libmodsecurity, in portcullis, and in the engine compiled for this machine.
bench-waf: plugins
	@tests/install bench
	$(CARGO) build --locked --release -p portcullis
	$(call guests,plugins,build) --release --package portcullis-waf-engine --example speed
	BENCH_ENGINE='$(abspath $(TARGET))/guests/release/examples/speed' \
		PORTCULLIS_BIN='$(abspath $(TARGET))/release/portcullis' python3 tests/bench/bench.py --peers nginx,portcullis $(BENCH) waf

install: plugins
	@tests/install build
	$(CARGO) install --locked --path proxy/cli --root '$(PREFIX)'
	@echo 'To let it listen below port 1024 without root: setcap cap_net_bind_service=+ep $(PREFIX)/bin/portcullis'
