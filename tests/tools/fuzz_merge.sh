#!/bin/bash
# fuzz_merge.sh FUZZ_DIR NAME: adds to tests/fuzz/corpus/NAME the fewest inputs that give it the coverage of
# what searches have found (FUZZ_DIR/found/NAME).
set -eu
fuzz=$1
name=$2
corpus=tests/fuzz/corpus/$name
mkdir -p "$corpus" "$fuzz/found/$name"
"$fuzz/fuzz_$name" -set_cover_merge=1 -use_value_profile=0 "$corpus" "$fuzz/found/$name" 2>&1 | grep -E 'MERGE-OUTER: [0-9]+ new files|ERROR' || true
echo "$name: $(find "$corpus" -type f | wc -l) files in the corpus"
