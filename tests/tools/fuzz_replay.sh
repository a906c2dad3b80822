#!/bin/bash
# fuzz_replay.sh DIR NAME...: runs DIR/replay_NAME over tests/fuzz/corpus/NAME. Counts files; after
# a failure each file runs alone, so that the guilty ones are named.
set -u
dir=$1
shift
passed=0
failed=0
for name in "$@"; do
  corpus=tests/fuzz/corpus/$name
  mapfile -d '' files < <(find "$corpus" -type f -print0 2>/dev/null | sort -z)
  if [ ${#files[@]} -eq 0 ]; then
    echo "$name: no corpus in $corpus"
    failed=$((failed + 1))
    continue
  fi
  if output=$("$dir/replay_$name" "${files[@]}" 2>&1); then
    passed=$((passed + ${#files[@]}))
    echo "$name: ${#files[@]} files"
    continue
  fi
  printf '%s\n' "$output" | tail -n 30
  bad=0
  for file in "${files[@]}"; do
    if "$dir/replay_$name" "$file" >/dev/null 2>&1; then
      passed=$((passed + 1))
    else
      bad=$((bad + 1))
      echo "$name: FAILED $file"
    fi
  done
  # A failure that no single file repeats is one all the same.
  failed=$((failed + (bad > 0 ? bad : 1)))
done
[ $# -gt 0 ] || echo "no fuzz targets (tests/fuzz/fuzz_*.cpp)"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
