#!/bin/bash
# sum.sh FILE COMMAND...: runs FILE and then COMMAND; both end with `N passed, N failed`, and so does this.
passed=0
failed=0
one() {
  local output code last
  output=$("$@" 2>&1)
  code=$?
  last=$(tail -n 1 <<<"$output")
  if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
    passed=$((passed + BASH_REMATCH[1]))
    failed=$((failed + BASH_REMATCH[2]))
    [ "$code" -eq 0 ] || [ "${BASH_REMATCH[2]}" -gt 0 ] || failed=$((failed + 1))
    output=$(sed '$d' <<<"$output")
  else
    failed=$((failed + 1))
  fi
  [ -z "$output" ] || printf '%s\n' "$output"
}
one "$1"
shift
one "$@"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
