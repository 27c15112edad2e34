#!/usr/bin/env bash
# Installs the packages that the presets are held against, and the load generator, each once per content of its list, into
# ~/.cache/microapp-presets; links them into target/presets/tools. The ordinary clients ask the registries that they are
# set up for.
set -euo pipefail
cd "$(dirname "$0")"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/microapp-presets
tools=../../target/presets/tools
mkdir -p "$cache" "$tools"
exec 9>"$cache/lock"
flock 9

# NAME FILES… : the folder for what these files ask for; linked once it is whole.
folder() {
    local name=$1
    shift
    echo "$cache/$name-$(cat "$@" | sha256sum | cut -c1-16)"
}

# NAME FOLDER COMMAND… : what is cut short leaves no marker, and begins anew.
install() {
    local name=$1 into=$2
    shift 2
    if [ ! -e "$into/.complete" ]; then
        echo "presets: installing $name" >&2
        rm -rf "$into"
        mkdir -p "$into"
        "$@" "$into" >"$into.log" 2>&1 || { tail -n 20 "$into.log" >&2; exit 1; }
        touch "$into/.complete"
    fi
    ln -sfn "$into" "$tools/$name"
}

# Each list is complete, and holds what pip's resolver would not take together though it works.
python_packages() {
    python3 -m venv "$2"
    "$2/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$1"
}

node_packages() {
    cp node/package.json node/package-lock.json node/.npmrc "$1"
    (cd "$1" && npm ci --no-audit --no-fund --ignore-scripts)
}

load_generator() {
    (cd go/vegeta && CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS='' \
        go build -trimpath -mod=readonly -buildvcs=false -ldflags '-s -w' -o "$1/vegeta" github.com/tsenart/vegeta/v12)
}

for list in requirements/*.txt; do
    name=$(basename "$list" .txt)
    install "$name" "$(folder "$name" "$list")" python_packages "$list"
done
install node "$(folder node node/package.json node/package-lock.json)" node_packages
install vegeta "$(folder vegeta go/vegeta/go.mod go/vegeta/go.sum)" load_generator
