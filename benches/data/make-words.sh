#!/usr/bin/env bash
# Makes words.txt, the word list of the benchmarks and examples, from Debian's package
# `wamerican-large`: one word a line, sorted by bytes, each once, UTF-8.
#
#   benches/data/make-words.sh [OUTPUT]     (default: words.txt beside this script)
#
# Needs a Debian system whose package lists are up to date; nothing is installed.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
output=$(realpath "${1:-$here/words.txt}")
scratch=$(mktemp -d)
trap 'rm -r "$scratch"' EXIT

cd "$scratch"
apt-get -q -o APT::Sandbox::User=root download wamerican-large
dpkg-deb -x wamerican-large_*.deb package
LC_ALL=C sort -u package/usr/share/dict/american-english-large >"$output"
iconv -f UTF-8 -t UTF-8 "$output" >/dev/null
echo "$(basename wamerican-large_*.deb): $(wc -l <"$output") words, $(wc -c <"$output") bytes"
sha256sum "$output" | cut -d ' ' -f 1
