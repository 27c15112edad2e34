#!/bin/sh
# Fails, and shows the difference, when a generated file here is not what gen.sh writes. Takes gen.sh's arguments:
# `check.sh copies` needs no helm.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
cp -R "$here/charts" "$here/deploy" "$tree/"
ROOT=$tree sh "$here/deploy/gen.sh" "$@"
status=0
for part in charts deploy; do
  diff -ru "$here/$part" "$tree/$part" || status=1
done
[ "$status" = 0 ] || echo "run: deploy/gen.sh $*" >&2
exit "$status"
