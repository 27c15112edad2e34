#!/usr/bin/env bash
# make test-presets: installs what is missing, builds the lab's Prometheus where $PROMETHEUS names none, runs.
set -euo pipefail
cd "$(dirname "$0")/../.."
tests/presets/setup.sh
export PROMETHEUS=${PROMETHEUS:-$(target/release/lab build prometheus)}
exec cargo run -q --locked -p microapp-presets -- "$@"
