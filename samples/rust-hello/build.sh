#!/bin/sh
# Builds rust-hello.wasm beside this file. Needs once: rustup target add wasm32-wasip2
set -eu
cd "$(dirname "$0")"
# Panic messages hold source paths: without these the binary would name folders of the machine it was built on.
RUSTFLAGS="--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo --remap-path-prefix=$PWD=src --remap-path-prefix=$(rustc --print sysroot)=rust" \
    cargo build --release --target wasm32-wasip2 --target-dir "${CARGO_TARGET_DIR:-target}"
cp "${CARGO_TARGET_DIR:-target}/wasm32-wasip2/release/rust_hello.wasm" rust-hello.wasm
