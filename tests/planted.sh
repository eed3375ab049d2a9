#!/usr/bin/env bash
# Makes each bug of src/planted.rs in turn and asks whether the unit tests notice it.
#
# usage: tests/planted.sh [BUG...]     without names: all of them
#
# The tests are built in a target folder of their own, and run from a copy, so that other builds and
# other runs of this script do not disturb it. For each bug the named groups of tests run in order
# until a test fails; that test must pass without the bug. Bugs that only some schedules show have
# groups of models, which are a second build, with the locks and atomics of `loom`. Prints
# `N passed, N failed`, where a bug passes if it was caught, and exits with 1 if any survived.
#
#   MEMKV_PLANTED_TARGET    where to build     (a folder `planted` in the usual target folder;
#                           models: a folder `models` beside it)
#   MEMKV_PLANTED_TIMEOUT   seconds a group may take before it counts as a hang, thus caught (120)
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1

# Bug, then the tests to ask: substrings of their names, the likeliest first. Those that start with
# `loom:` are looked for among the models.
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
    MergeLendsBeyond           | merge:: partition:: map::
    MergeCopiesBeyond          | merge:: partition:: map::
    OverlayFoldDropsTombstones | compact:: partition:: map::
    FstSeekSkipsExact          | segment:: map::
    BlockSearchPassesBy        | segment:: map::
    TailsForgotten             | segment:: map::
    SpliceKeepsSuffix          | segment::tests::splice map::
    PinsReadRelaxed            | loom:models::what_a_pin loom:models::
    PublishBeforeFill          | loom:models::reads_and loom:models::
    SweepIgnoresOlderPins      | loom:models::blocks_in loom:models::
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
flags="${RUSTFLAGS:-} --cfg memkv_planted"
models_target=$(dirname "$target")/models

# build NAME TARGET FLAGS: the unit tests with these flags, as "$work/NAME".
build() {
    local built
    built=$(RUSTFLAGS=$3 cargo test --quiet --lib --no-run --target-dir "$2" \
        --message-format=json | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
    if [ -z "$built" ] || ! cp "$built" "$work/$1"; then
        echo "the tests do not build" >&2
        exit 1
    fi
}

# run BUG TEST...: runs tests of "$work/$program" in a build's usual way, with this bug, or without
# if it is empty. As soon as one test has failed, the others are not waited for.
run() {
    local bug=$1 pid
    shift
    if [ -n "$bug" ]; then export MEMKV_PLANTED=$bug; else unset MEMKV_PLANTED; fi
    : >"$work/log"
    timeout --kill-after=5 "$limit" "$work/$program" "$@" >"$work/log" 2>&1 &
    pid=$!
    while kill -0 "$pid" 2>/dev/null; do
        if grep -q '^test .* FAILED$' "$work/log"; then
            kill "$pid" 2>/dev/null
            wait "$pid" 2>/dev/null
            return 101
        fi
        sleep 0.1
    done
    wait "$pid"
}

# outcome BUG FILTER: runs the tests it selects and prints passed, none, failed, or hung.
outcome() {
    run "$1" "$2"
    case $? in
        0) grep -q '^running [1-9]' "$work/log" && echo passed || echo none ;;
        124 | 137) echo hung ;;
        12[567]) cat "$work/log" >&2 && echo none ;;
        *) echo failed ;;
    esac
}

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
            program=tests
            [ "$filter" = "${filter#loom:}" ] || program=models
            if [ ! -e "$work/$program" ]; then
                case $program in
                    tests) build tests "$target" "$flags" ;;
                    models) build models "$models_target" "$flags --cfg memkv_loom" ;;
                esac
            fi
            filter=${filter#loom:}
            case $(outcome "$name" "$filter") in
                failed)
                    caught=$(sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p' "$work/log" | head -n 1)
                    verdict="caught by ${caught:-a crash in $filter}"
                    [ -z "$caught" ] || run "" --exact "$caught" ||
                        verdict="SURVIVED: $caught fails without it too"
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
