#!/bin/bash
# deb.sh BUILD_DIR: builds the Debian package from a copy of the tree under BUILD_DIR/deb/src, so that
# nothing else is touched, and lets lintian look at it.
set -eu
mkdir -p "$1"
build=$(cd "$1" && pwd)
deb=$build/deb
rm -rf "$deb"
mkdir -p "$deb/src"
tar -c --exclude="./$(realpath --relative-to=. "$build")" --exclude=./build --exclude=./.git --exclude=__pycache__ \
  --exclude=.pytest_cache . | tar -x -C "$deb/src"
cd "$deb/src"
# The unit tests belong to `make check`; a package build elsewhere runs them.
export DEB_BUILD_OPTIONS="${DEB_BUILD_OPTIONS-nocheck}"
export DEB_BUILD_PROFILES="${DEB_BUILD_PROFILES-nocheck}"
unset MAKEFLAGS MFLAGS MAKELEVEL O CXX CXXFLAGS CPPFLAGS LDFLAGS
if ! dpkg-buildpackage -b -us -uc >"$deb/build.log" 2>&1; then
  tail -n 60 "$deb/build.log"
  echo "the package does not build; whole log in $deb/build.log" >&2
  exit 1
fi
cd "$deb"
lintian --allow-root --fail-on error,warning ./*.changes
echo "$1/deb/$(basename ./libapache2-mod-cxxproxy_*.deb)"
