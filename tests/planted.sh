#!/usr/bin/env bash
# Makes each bug of src/planted.rs in turn and asks whether the unit tests notice it.
#
# usage: tests/planted.sh [BUG...]     without names: all of them, after a run without any
#
# The tests are built once, in a target folder of their own, and run from a copy, so that other
# builds and other runs of this script do not disturb it. For each bug the named groups of tests
# run in order until one fails. Prints `N passed, N failed`, where a bug passes if it was caught,
# and exits with 1 if any survived.
#
#   MEMKV_PLANTED_TARGET    where to build     (a folder `planted` in the usual target folder)
#   MEMKV_PLANTED_TIMEOUT   seconds a group may take before it counts as a hang, thus caught (120)
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1

# Bug, then the tests to ask: substrings of their names, the likeliest first.
bugs() {
    cat <<'TABLE'
    Node16IgnoresCount         | art:: map::
    GrowthDropsLastChild       | art:: map::
    PrefixSplitKeepsBranchByte | art:: map::
    LeafIgnoresSuffixLength    | art:: map::
    CopySkippedUnderPin        | art:: partition:: map::
    TombstoneWeightForgotten   | art:: partition:: map::
    FilterForgetsKeys          | filter:: partition:: map::
    MergePrefersOlder          | merge:: partition:: map::
    OverlayFoldDropsTombstones | compact:: partition:: map::
    FstSeekSkipsExact          | segment:: map::
TABLE
}

for name in "$@"; do
    if ! bugs | grep -q "^ *$name *|"; then
        echo "no such bug: $name" >&2
        exit 1
    fi
done

target=${MEMKV_PLANTED_TARGET:-${CARGO_TARGET_DIR:-target}/planted}
limit=${MEMKV_PLANTED_TIMEOUT:-120}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
unset MEMKV_PLANTED

# Keep the flags of the caller, as for a sanitizer, and add ours.
export RUSTFLAGS="${RUSTFLAGS:-} --cfg memkv_planted"
built=$(cargo test --quiet --lib --no-run --target-dir "$target" --message-format=json |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
if [ -z "$built" ] || ! cp "$built" "$work/tests"; then
    echo "the tests do not build" >&2
    exit 1
fi

# outcome FILTER: runs the tests it selects and prints passed, none, failed, or hung.
outcome() {
    timeout --kill-after=5 "$limit" "$work/tests" "$1" >"$work/log" 2>&1
    case $? in
        0) grep -q '^running [1-9]' "$work/log" && echo passed || echo none ;;
        124 | 137) echo hung ;;
        12[567]) cat "$work/log" >&2 && echo none ;;
        *) echo failed ;;
    esac
}

if [ $# -eq 0 ]; then
    echo "without a bug ..."
    if ! "$work/tests" --quiet >"$work/log" 2>&1; then
        tail -n 40 "$work/log"
        echo "the tests fail without any planted bug" >&2
        exit 1
    fi
fi

passed=0
failed=0
while IFS='|' read -r name filters; do
    name=${name//[[:space:]]/}
    [ $# -eq 0 ] || [[ " $* " == *" $name "* ]] || continue
    verdict=""
    if ! grep -rqw "Bug::$name" --include='*.rs' --exclude=planted.rs src; then
        verdict="SURVIVED: no code makes it"
    else
        for filter in $filters; do
            case $(MEMKV_PLANTED=$name outcome "$filter") in
                failed)
                    caught=$(sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p' "$work/log" | head -n 1)
                    verdict="caught by ${caught:-a crash in $filter}"
                    break
                    ;;
                hung)
                    verdict="caught: $filter does not end"
                    break
                    ;;
            esac
        done
    fi
    case $verdict in
        caught*) passed=$((passed + 1)) ;;
        *) failed=$((failed + 1)) ;;
    esac
    printf '%-27s %s\n' "$name" "${verdict:-SURVIVED}"
done < <(bugs)

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
