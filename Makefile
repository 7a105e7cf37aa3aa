# The two commands: `make run` starts Gander, `make test` runs every check and test.
#
# Needs Rust (rustup's stable, 1.95 or newer), Node 20.19 or newer, a C compiler and make. What else the tests need
# (Debian's chromium) `make test` installs when it may, and names exactly when it may not.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

WEB_INPUTS := $(shell find web -type f -not -path '*/node_modules/*' -not -path 'web/dist/*' -not -name README.md 2>/dev/null)
WEB_BUILT := web/node_modules/.built
# Without a built UI, cargo puts a page there that says how to build it: only `assets` tells the two apart.
ifeq ($(wildcard web/dist/assets),)
.PHONY: $(WEB_BUILT)
endif
XTASK := cargo run --quiet --package xtask --

.PHONY: help run desktop test check web web-test unit e2e proof proof-upgrade proof-platforms bench bench-desktop package bundle setup clean

help: ## Say what there is to make.
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | \
	  while IFS=$$'\t' read -r name text; do printf '  make %-14s %s\n' "$$name" "$$text"; done

run: web ## Build the web UI and the gander binary, start it, and open it in a browser.
	@cargo run --package gander-cli --bin gander

desktop: web ## Build gander and its native windows, and start them. Needs WebKitGTK (see .ci/setup).
	@cargo build --package gander-cli --bin gander
	@cargo run --package gander-desktop

test: setup web ## Run every check and test, installing what they need.
	@.ci/steps check web-test unit e2e

check: ## Formatting, clippy, crate edges, licences, unused dependencies, words.
	@$(XTASK) tidy

unit: web ## The Rust tests.
	@.ci/nextest

e2e: web ## The tests that drive the built binary: the journey in Chromium, and a real agent.
	@.ci/e2e

web: $(WEB_BUILT) ## The web UI, built only when its inputs changed.

web-test: web ## Types, lint and unit tests of the web UI.
	@cd web && npm run --silent check && npm test --silent

proof: proof-upgrade proof-platforms ## The long suites, which `make test` runs shortened.

proof-upgrade: web ## Kill upgrades between two versions 200 times; GANDER_KILLS_SEED=N repeats the random ones.
	@GANDER_KILLS=161 .ci/e2e upgrade_kills.test.js

# No compiler for these platforms' C is here, and none is needed to check types: `true` takes its place.
proof-platforms: web ## Check the types of what runs on macOS and Windows, from wherever this is.
	@rustup target add x86_64-apple-darwin x86_64-pc-windows-msvc
	@export CC_x86_64_apple_darwin=true AR_x86_64_apple_darwin=true CC_x86_64_pc_windows_msvc=true AR_x86_64_pc_windows_msvc=true RUSTFLAGS='-D warnings'; \
	  cargo check --package gander-cli --package gander-desktop --target x86_64-apple-darwin --target-dir target/platforms && \
	  cargo check --package gander-desktop --target x86_64-pc-windows-msvc --target-dir target/platforms

bench: web ## Measure speed and memory beside the machine's floors; writes docs/BENCHMARKS.md.
	@cargo build --release --quiet --package gander-cli --bin gander
	@cargo build --release --quiet --package gander-cli --bin gander-next --features gander-cli/next-version
	@cargo run --release --quiet --package xtask --features bench -- bench

bench-desktop: web ## Measure how long native windows take to come back, on release builds and a screen in memory.
	@.ci/setup
	@cargo build --release --quiet --package gander-cli --bin gander
	@cargo build --release --quiet --package gander-desktop
	@cargo run --release --quiet --package xtask --features bench -- bench seed
	@GANDER_BIN=$$PWD/target/release/gander GANDER_DESKTOP_BIN=$$PWD/target/release/gander-desktop node e2e/desktop_bench.mjs

package: web ## Build a release and put it into a .deb, and into a signed package with KEY=FILE (a minisign secret key).
	@cargo build --release --quiet --package gander-cli --bin gander
	@if pkg-config --exists webkit2gtk-4.1 dbus-1 2>/dev/null; then cargo build --release --quiet --package gander-desktop; \
	  else echo 'gander: WebKitGTK 4.1 to build on is not here: the package will have no native windows.' >&2; fi
	@$(XTASK) deb target/release/gander $$([ -x target/release/gander-desktop ] && echo --desktop target/release/gander-desktop)
	@$(if $(KEY)$(GANDER_SIGNING_KEY),windows=; [ ! -x target/release/gander-desktop ] || windows=--desktop; \
	  licences=$$($(XTASK) licences target/package/licences.txt $$windows); \
	  cargo run --quiet --package xtask --features package -- package target/release/gander --licences "$$licences" \
	    $${windows:+--desktop target/release/gander-desktop} $(if $(KEY),--key $(KEY)))

bundle: web ## On macOS and Windows: the application with its installer, by Tauri's bundler (packaging/README.md).
	@cargo tauri --version >/dev/null 2>&1 || { echo "gander: Tauri's bundler is not here: cargo install tauri-cli --version '^2' --locked" >&2; exit 1; }
	@cargo build --release --quiet --package gander-cli --bin gander
	@mkdir -p target/bundle
	@host=$$(rustc -vV | sed -n 's/^host: //p'); case $$host in *windows*) end=.exe ;; *) end= ;; esac; \
	  cp "target/release/gander$$end" "target/bundle/gander-$$host$$end"
	@cd crates/gander-desktop && cargo tauri build --config bundle/with-gander.json

setup: ## Look for what the tests need; install what is missing where that is possible.
	@.ci/setup

clean: ## Remove everything that was built.
	@rm -rf target web/dist web/node_modules e2e/node_modules artefacts

$(WEB_BUILT): $(WEB_INPUTS) | web/node_modules/.package-lock.json
	@cd web && npm run --silent build && touch node_modules/.built

web/node_modules/.package-lock.json: web/package.json web/package-lock.json
	@command -v npm >/dev/null || { echo 'gander: npm is not here. Install Node 20.19 or newer (https://nodejs.org).' >&2; exit 1; }
	@cd web && npm ci --no-audit --no-fund --loglevel=error && touch node_modules/.package-lock.json
