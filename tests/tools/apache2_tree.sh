#!/bin/bash
# Unpacks Debian's apache2 package into a directory: a2enmod, a2ensite, apachectl and the layout of
# /etc/apache2, for tests of the real tools. Installing the package would start a server.
set -eu
dest=$1
[ -e "$dest/usr/sbin/a2enmod" ] && exit 0

work=$dest.part
rm -rf "$work"
mkdir -p "$work/deb"
log=$work/log
download() { (cd "$work/deb" && apt-get -qq download apache2) >>"$log" 2>&1 </dev/null; }
refresh() {
  if [ "$(id -u)" -eq 0 ]; then apt-get -qq update; else sudo -n apt-get -qq update; fi >>"$log" 2>&1 </dev/null
}
if ! download && ! { refresh && download; }; then
  cat "$log" >&2
  echo "cannot download the package apache2 (needed for its tools, it is not installed)" >&2
  rm -rf "$work"
  exit 1
fi
mkdir "$work/tree"
dpkg -x "$work"/deb/apache2_*.deb "$work/tree"
rm -rf "$dest"
mv "$work/tree" "$dest"
rm -rf "$work"
