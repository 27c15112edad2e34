#!/bin/sh
# Writes what is generated here: the copies of the definition and the alerts, and the kustomize resources, rendered from
# the chart, so that chart, kustomize and raw file have one source. Needs helm, found on the PATH or named by HELM;
# `gen.sh copies` does only the copies and needs nothing. With ROOT it writes into another tree (check.sh).
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
root=${ROOT:-$here}
chart=$root/charts/microapp-rollouts

copies() {
  cp "$here/crds/microapprollouts.microapp.dev.yaml" "$chart/files/crd.yaml"
  cp "$here/crds/microapprollouts.microapp.dev.yaml" "$root/deploy/base/crd.yaml"
  cp "$here/deploy/alerts/rules.yaml" "$chart/files/alerts.yaml"
}

# render FILE TEMPLATES… -- ARGS…: what only Helm needs (its labels and the note of its sources) is left out.
render() {
  out=$1; shift
  shows=
  while [ "$1" != -- ]; do shows="$shows -s templates/$1.yaml"; shift; done
  shift
  {
    echo '# Generated from charts/microapp-rollouts by deploy/gen.sh.'
    # shellcheck disable=SC2086
    "${HELM:-helm}" template microapp-rollouts "$chart" --namespace microapp-rollouts --kube-version 1.34.0 \
      $shows "$@" > "$out.new"
    sed -e '/^# Source: /d' -e '/^ *helm\.sh\//d' -e '/^ *app\.kubernetes\.io\/managed-by: Helm$/d' \
      -e '/^ *app\.kubernetes\.io\/instance: /d' -e '/^[[:space:]]*$/d' "$out.new"
  } > "$out"
  rm -f "$out.new"
}

copies
[ "${1:-}" = copies ] && exit 0
base=$root/deploy/base
render "$base/rbac.yaml" rbac serviceaccount user-roles --
render "$base/operator.yaml" deployment service --
render "$root/deploy/overlays/namespaced/rbac.yaml" rbac -- --set rbac.scope=namespaced --set leaderElection.enabled=false \
  --set strategy.type=Recreate --set strategy.rollingUpdate=null
render "$root/deploy/overlays/ha/poddisruptionbudget.yaml" poddisruptionbudget -- --set replicaCount=2
