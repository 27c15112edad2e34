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
# The rules themselves and their tests, with the promtool of the Prometheus that the lab runs.
alerts() {
    local promtool
    promtool=$(command -v promtool) || {
        make --no-print-directory lab && promtool=$("${LAB:-${CARGO_TARGET_DIR:-target}/release/lab}" build promtool)
    } || return
    "$promtool" check rules deploy/alerts/rules.yaml && "$promtool" test rules deploy/alerts/tests.yaml
}
tier "unit, golden, property, in-process, drift" cargo test --workspace --locked --exclude microapp-e2e
tier "alerts" alerts
tier "end to end on the lab" make --no-print-directory test-e2e
printf '\n== make test\n'
printf 'ran and passed: %s\n' "${ran[@]:-nothing}"
printf 'failed or could not run: %s\n' "${failed[@]:-nothing}"
[ ${#failed[@]} -eq 0 ]
