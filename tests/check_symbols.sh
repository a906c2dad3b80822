#!/bin/bash
# check_symbols.sh DIR...: what the shared objects in DIR export and need.
#
# httpd loads modules into one global scope: a second exported name can replace somebody else's. A
# name that nobody provides would only be noticed when it is called or when the server starts.
set -u
passed=0
failed=0
verdict() {  # verdict "text of the check" "what is wrong, empty when nothing"
  if [ -z "$2" ]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAILED $1: $2"
  fi
}

names() { nm -D "$@" 2>/dev/null | awk '{ print $NF }' | sed 's/@.*//' | sort -u; }

httpd=$(apxs -q SBINDIR)/$(apxs -q progname)
provided=$(mktemp) || exit 1
trap 'rm -f "$provided"' EXIT

check() {  # check file exported-symbol
  local so=$1 expected=$2 extra unresolved
  if [ ! -r "$so" ]; then
    verdict "$so" "not built"
    return
  fi
  # ASan marks every global it watches; the marks are its own affair.
  extra=$(names --defined-only "$so" | grep -v '^__odr_asan')
  verdict "$so exports $expected only" \
    "$([ "$extra" = "$expected" ] || echo "it exports $(grep -c . <<<"$extra") names: $(head -n 5 <<<"$extra" | tr '\n' ' ')")"

  # Provided by the server, by what the server and the object are linked to, and by what those need.
  { names --defined-only "$httpd"
    ldd "$httpd" "$so" | awk '/=> \// { print $3 } /^\t\// { print $1 }' | sort -u |
      while read -r library; do names --defined-only "$library"; done
  } | sort -u >"$provided"
  unresolved=$(nm -D --undefined-only "$so" | awk '$1 == "U" { print $2 }' | sed 's/@.*//' | sort -u |
    comm -23 - "$provided" | tr '\n' ' ')
  verdict "$so: every undefined symbol has a provider" "$unresolved"

  verdict "$so is bound at load time" "$(readelf -d "$so" | grep -q 'BIND_NOW\|FLAGS.*NOW' || echo 'no BIND_NOW')"
  verdict "$so has a read-only relocation segment" "$(readelf -lW "$so" | grep -q GNU_RELRO || echo 'no GNU_RELRO')"
  verdict "$so has no executable stack" "$(readelf -lW "$so" | awk '/GNU_STACK/ && /E/ && $7 ~ /E/ { print "executable stack" }')"
  verdict "$so can be unloaded at a restart" "$(readelf -W --dyn-syms "$so" | awk '$5 == "UNIQUE" { print $8 }' | tr '\n' ' ')"
  verdict "$so has no text relocations" "$(readelf -d "$so" | grep -o TEXTREL)"
}

[ $# -gt 0 ] || { echo "usage: $0 DIR..." >&2; exit 2; }
for dir in "$@"; do
  check "$dir/mod_cxxproxy.so" cxxproxy_module
  check "$dir/mod_cxxproxy_compat.so" proxy_module
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
