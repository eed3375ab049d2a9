#!/usr/bin/env bash
# What the fuzzers need beside a nightly compiler: cargo-fuzz, which takes a few minutes to build.
set -euo pipefail

readonly VERSION=0.13.2

rustup toolchain list 2>/dev/null | grep -q '^nightly' || {
    echo "no nightly toolchain; get one with: rustup toolchain install nightly"
    exit 77
}
cargo fuzz --version 2>/dev/null | grep -q "^cargo-fuzz $VERSION$" ||
    cargo install cargo-fuzz --locked --version "$VERSION"
