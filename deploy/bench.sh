#!/usr/bin/env bash
# The figures, one JSON object a line: name, value, unit, n. First what needs no cluster, then the lab's.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo run -q --release --locked -p microapp-tests --example bench
# What one tenant can make the operator spend, beside its bounds.
cargo run -q --release --locked -p microapp-tests --example attacks
if [ "$(uname -s) $(uname -m) $(id -u)" = "Linux x86_64 0" ]; then
    target/release/lab bench exposure "$@"
    target/release/lab bench idle
else
    echo "the lab's figures need Linux on x86-64 and root" >&2
    exit 1
fi
