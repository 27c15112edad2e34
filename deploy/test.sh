#!/usr/bin/env bash
# All tests, tier by tier. Every tier is run even if one before it failed; one that fails or cannot run makes it red.
set -u
cd "$(dirname "$0")/.."
ran=() failed=()
tier() {
    local name=$1 start=$SECONDS
    shift
    printf '\n== %s\n' "$name"
    if "$@"; then ran+=("$name ($((SECONDS - start)) s)"); else failed+=("$name ($((SECONDS - start)) s)"); fi
}
tier "unit, golden, property, in-process, drift" cargo test --workspace --locked --exclude microapp-e2e
if command -v promtool >/dev/null; then tier "alerts" promtool test rules deploy/alerts/tests.yaml; fi
tier "end to end on the lab" make --no-print-directory test-e2e
printf '\n== make test\n'
printf 'ran and passed: %s\n' "${ran[@]:-nothing}"
printf 'failed or could not run: %s\n' "${failed[@]:-nothing}"
[ ${#failed[@]} -eq 0 ]
