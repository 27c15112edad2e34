#!/usr/bin/env bash
# End to end on the lab: builds what runs in it, starts it unless it is up, installs the operator from its chart and runs
# tests/e2e inside. KEEP=1 leaves the lab running; E2E_ONLY="NAME …" runs the tests whose names contain one of them.
set -euo pipefail
cd "$(dirname "$0")/.."

cannot() { echo "the end-to-end tests cannot run: $*" >&2; exit 1; }
[ "$(uname -s) $(uname -m)" = "Linux x86_64" ] || cannot "they need Linux on x86-64, and this is $(uname -s) on $(uname -m)"
[ "$(id -u)" = 0 ] || cannot "the lab makes network namespaces and starts containerd, for which they need root"
command -v cargo >/dev/null || cannot "there is no cargo on the PATH"

LAB=${LAB:-${CARGO_TARGET_DIR:-target}/release/lab}
TRIPLE=x86_64-unknown-linux-gnu
OUT=target/e2e
SYSTEM=microapp-system
export E2E_OPERATOR=$SYSTEM/microapp-rollouts
# The tests wait far more than they compute: users for two minutes first, and then for each other where one takes a part
# of the lab away.
THREADS=${E2E_THREADS:-5}
export E2E_PROGRAMS=$PWD/target/static/$TRIPLE/release
export E2E_OUT=$PWD/$OUT
mkdir -p "$OUT"
rm -rf "${OUT:?}"/*
step() { printf '%4d s  %s\n' "$SECONDS" "$*"; }

step "building the tests and what runs in the lab"
[ -x "$LAB" ] || cargo build --release --locked --package microapp-lab
# As the demo builds it: static executables, so that an image is one file.
RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --target $TRIPLE --target-dir target/static \
    --package microapp-operator --package microapp-cli --package invoice-helper --package model-stub
# The last word of cargo about the test executable is where it is.
binary=$(cargo test --locked --package microapp-e2e --test lab --no-run --message-format=json-render-diagnostics |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
[ -x "$binary" ] || cannot "cargo named no test executable"

step "starting the lab"
was_up=
if "$LAB" env >/dev/null 2>&1; then was_up=1; else "$LAB" up --scrape 1s; fi
# Whatever happens from here on: what the operator said is kept, and the lab stops unless somebody wants it.
finish() {
    local status=$?
    trap - EXIT
    if [ "$status" != 0 ]; then
        "$LAB" kubectl logs --namespace $SYSTEM deployment/microapp-rollouts --tail=-1 >"$OUT/operator.log" 2>&1 || true
        "$LAB" kubectl get microapprollouts,httproutes,pods,events --all-namespaces --output wide >"$OUT/objects.txt" 2>&1 || true
        "$LAB" kubectl get microapprollouts,httproutes --all-namespaces --output yaml >"$OUT/objects.yaml" 2>&1 || true
        echo "what the operator said and the objects of the tests that failed are in $OUT" >&2
    fi
    if [ -n "${KEEP:-}" ]; then
        echo "the lab goes on; \`$LAB down\` stops it"
    else
        "$LAB" down || true
    fi
    step "the end"
    exit "$status"
}
trap finish EXIT
# A lab that was up may scrape at another pace.
[ -z "$was_up" ] || "$LAB" scrape 1s

step "images, the operator from its chart, and the stand-in for a model"
operator=$("$LAB" image build --push microapp-operator:e2e "$E2E_PROGRAMS/microapp-operator")
stub=$("$LAB" image build --push model-stub:e2e "$E2E_PROGRAMS/model-stub")
"$LAB" image build --push invoice-helper:e2e "$E2E_PROGRAMS/invoice-helper" >/dev/null
export E2E_APP=10.90.0.10:5000/invoice-helper:e2e
"$LAB" helm upgrade --install microapp-rollouts charts/microapp-rollouts --namespace $SYSTEM --create-namespace \
    --wait --timeout 3m --set prometheus.url=http://10.90.0.10:9090 \
    --set "image.repository=${operator%@*}" --set "image.digest=${operator#*@}" >"$OUT/helm.txt"
"$LAB" kubectl create namespace e2e-model --dry-run=client --output yaml >"$OUT/model.yaml"
printf -- '---\n' >>"$OUT/model.yaml"
sed -e "s|@NAMESPACE@|e2e-model|; s|@IMAGE@|$stub|" crates/lab/src/demo/manifests/app.yaml >>"$OUT/model.yaml"
"$LAB" kubectl apply --filename "$OUT/model.yaml" >/dev/null
"$LAB" kubectl rollout status --namespace e2e-model deployment/model-stub --timeout=120s >/dev/null

step "the tests"
"$LAB" exec -- "$binary" --test-threads="$THREADS" ${E2E_ONLY:-} 2>&1 | tee "$OUT/tests.log"
