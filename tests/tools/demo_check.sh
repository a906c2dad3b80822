#!/bin/bash
# demo_check.sh BUILD_DIR: `make demo` as a user meets it: six answers, Ctrl-C, TERM, a port in use, a
# backend that cannot start. After each nothing may be left: no process, no file.
# Job control gives each demo a process group of its own, in which Ctrl-C is not ignored.
set -um
build=$1
work=$(mktemp -d) || exit 1
passed=0
failed=0
pid=
end_all() {
  [ -z "$pid" ] || kill -TERM "$pid" 2>/dev/null
  rm -rf "$work"
}
trap end_all EXIT

verdict() {  # what status-of-the-test
  if [ "$2" -eq 0 ]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAILED $1"
    sed 's/^/  | /' "$work/out"
  fi
}
eventually() {
  local tries=400
  until "$@"; do
    [ $((tries--)) -gt 0 ] || return 1
    sleep 0.05
  done
}
# Every process of a demo inherits its TMPDIR.
processes() { grep -lsz "^TMPDIR=$work/tmp$" /proc/[0-9]*/environ; }
nothing_left() { [ -z "$(processes)" ] && [ -z "$(ls -A "$work/tmp")" ]; }
clean() { eventually nothing_left; verdict "$1: nothing is left" $?; }

launch() {  # in the background, the pid is left in $pid
  : >"$work/out"
  env TMPDIR="$work/tmp" "$@" tests/tools/demo.sh "$build" >"$work/out" 2>&1 </dev/null &
  pid=$!
}
running() { grep -q '^Running at http' "$work/out" || ! kill -0 "$pid" 2>/dev/null; }
finish() { wait "$pid"; code=$?; pid=; }

mkdir -m 755 "$work/tmp"
chmod 755 "$work"

launch DEMO_ONCE=1
finish
verdict "the demo ends well" "$code"
[ "$(grep -c '^  [1-6]  H[eo][lw][ld][oy] world!$' "$work/out")" -eq 6 ]
verdict "it prints six answers" $?
[ "$(grep -o '  [1-6]  H[eo]' "$work/out" | awk '{ print $2 }' | uniq | wc -l)" -eq 6 ]
verdict "they alternate" $?
grep -q 'ProxyPass / balancer://mycluster/' "$work/out"
verdict "it shows its configuration" $?
clean "after one round"

for signal in INT TERM HUP; do
  launch
  eventually running
  url=$(sed -n 's/^Running at \([^ ]*\) .*/\1/p' "$work/out")
  [ -n "$url" ] && curl -qsf --noproxy '*' --max-time 10 "$url" | grep -q 'H.... world!'
  verdict "SIG$signal: it answers before" $?
  # What the terminal does on Ctrl-C: the signal goes to the whole group.
  kill -"$signal" -- "-$pid"
  finish
  [ "$code" -gt 128 ]
  verdict "SIG$signal ends it" $?
  clean "SIG$signal"
done

exec 9< <(exec /usr/bin/python3 -c '
import socket, sys
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen()
print(s.getsockname()[1], flush=True); sys.stdout.close(); s.accept()')
holder=$!
read -r port <&9
launch DEMO_ONCE=1 PORT="$port"
finish
[ "$code" -ne 0 ] && grep -q "port $port is in use" "$work/out"
verdict "a port in use is named" $?
kill "$holder" 2>/dev/null
clean "port in use"

launch DEMO_ONCE=1 PORT=eighty
finish
[ "$code" -ne 0 ] && grep -q "PORT=eighty is not a port" "$work/out"
verdict "a bad PORT is named" $?

# A module that httpd cannot load stands for everything that fails half way.
mkdir "$work/broken"
echo nonsense >"$work/broken/mod_cxxproxy.so"
env TMPDIR="$work/tmp" tests/tools/demo.sh "$work/broken" >"$work/out" 2>&1 </dev/null &
pid=$!
finish
[ "$code" -ne 0 ] && grep -q 'httpd refuses the configuration' "$work/out" && grep -q 'Cannot load' "$work/out"
verdict "a failure half way shows the log" $?
clean "failure half way"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
