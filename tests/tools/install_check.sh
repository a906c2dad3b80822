#!/bin/bash
# install_check.sh BUILD_DIR: `make install` and `make uninstall` with a DESTDIR, file by file.
set -u
build=$1
root=$(mktemp -d) || exit 1
trap 'rm -rf "$root" "$root.log"' EXIT
passed=0
failed=0
verdict() {  # what expected got
  if [ "$2" = "$3" ]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    printf 'FAILED %s\n' "$1"
    diff <(printf '%s\n' "$2") <(printf '%s\n' "$3")
  fi
}
run() { "${MAKE:-make}" --no-print-directory O="$build" DESTDIR="$root" "$@" >"$root.log" 2>&1 || { cat "$root.log"; false; }; }
files() { (cd "$root" && find . -type f | sort); }

modules=$(apxs -q LIBEXECDIR)
config=$(apxs -q SYSCONFDIR)
doc=/usr/share/doc/libapache2-mod-cxxproxy
expected=$({
  printf '%s\n' ".$modules/mod_cxxproxy.so" ".$modules/mod_cxxproxy_compat.so" ./usr/share/man/man8/mod_cxxproxy.8.gz
  printf '%s\n' ".$config/mods-available/cxxproxy."{load,conf} ".$config/mods-available/cxxproxy_compat.load"
  for example in conf/examples/*.conf; do echo ".$doc/examples/$(basename "$example")"; done
  printf '%s\n' ".$doc/directives.md" ".$doc/log-messages.md" ".$doc/configtest.md"
} | sort)

run install
verdict "make install puts these files" "$expected" "$(files)"
verdict "everybody may read them" "" "$(find "$root" -type f ! -perm -444)"
verdict "the module is the built one" "$(sha256sum <"$build/mod_cxxproxy.so")" "$(sha256sum <"$root$modules/mod_cxxproxy.so")"
verdict "the load file names the module's place" "LoadModule cxxproxy_module $modules/mod_cxxproxy.so" \
  "$(cat "$root$config/mods-available/cxxproxy.load")"
verdict "the man page has no formatting error" "" \
  "$(man --warnings -E UTF-8 -l -Tutf8 -Z docs/mod_cxxproxy.8 2>&1 >/dev/null)"

# The settings and the examples as they were installed, and the settings once more with every line on.
mkdir "$root.server"
trap 'rm -rf "$root" "$root.log" "$root.server"' EXIT
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=www.example.com -keyout "$root.server/key" \
  -out "$root.server/pem" >"$root.log" 2>&1 || cat "$root.log"
configtest() {  # the text of httpd's verdict on one file
  {
    printf 'ServerRoot "%s"\nServerName localhost\nListen 127.0.0.1:1\nErrorLog error.log\n' "$root.server"
    printf 'LoadModule %s_module %s/mod_%s.so\n' mpm_event "$modules" mpm_event authz_core "$modules" authz_core \
      alias "$modules" alias ssl "$modules" ssl
    echo "LoadModule cxxproxy_module $root$modules/mod_cxxproxy.so"
    echo "Include $1"
  } >"$root.server/httpd.conf"
  "$(apxs -q SBINDIR)/$(apxs -q progname)" -t -f "$root.server/httpd.conf" 2>&1 | grep -v 'AH00112: .*DocumentRoot'
}
for file in "$root$config/mods-available/cxxproxy.conf" "$root$doc"/examples/*.conf; do
  sed "s|/etc/ssl/certs/www.example.com.pem|$root.server/pem|; s|/etc/ssl/private/www.example.com.key|$root.server/key|" \
    "$file" >"$root.server/tried.conf"
  verdict "configtest of $(basename "$file")" "Syntax OK" "$(configtest "$root.server/tried.conf")"
done
sed 's/^    #\(Cxx\)/    \1/' conf/cxxproxy.conf >"$root.server/tried.conf"
verdict "every commented setting is one" "$(grep -c '^    #Cxx' conf/cxxproxy.conf) Syntax OK" \
  "$(grep -c '^    Cxx' "$root.server/tried.conf") $(configtest "$root.server/tried.conf")"

echo '# mine' >>"$root$config/mods-available/cxxproxy.conf"
run install
verdict "a second installation keeps the settings" "# mine" "$(tail -n 1 "$root$config/mods-available/cxxproxy.conf")"

mkdir -p "$root$config/mods-enabled"
ln -s ../mods-available/cxxproxy.load "$root$config/mods-enabled/"
outcome=refused
run uninstall >/dev/null && outcome=accepted
verdict "uninstall refuses while the module is enabled" refused "$outcome"
verdict "and has removed nothing" "$expected" "$(files)"
rm "$root$config/mods-enabled/cxxproxy.load"
run uninstall
verdict "make uninstall leaves nothing" "" "$(files)"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
