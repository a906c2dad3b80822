#!/bin/bash
# Makes sure that the Debian packages of a task are there: need.sh demo|check|deb|fresh|bench|peers ...
#
# Looks for the tools themselves, so a machine that has them is left alone. What is missing is
# installed as root or through passwordless sudo; anybody else gets one line that names it. Nothing
# here has a daemon or a configuration of its own: of Apache only the binary and the headers.
set -u

# package  probe: a command, an absolute path (may be a pattern), or python:module
demo='make:make g++:g++ apache2-bin:/usr/sbin/apache2 apache2-dev:apxs libapr1-dev:apr-1-config
  libaprutil1-dev:apu-1-config python3:/usr/bin/python3 python3-flask:python:flask curl:curl'
check="$demo catch2:/usr/include/catch2/catch.hpp clang:clang++ openssl:openssl
  libclang-rt-14-dev:/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a
  libssl-dev:/usr/include/openssl/ssl.h python3-pytest:python:pytest procps:ps perl:perl valgrind:valgrind libc6-dbg:/usr/lib/debug/.build-id"
deb='build-essential:/usr/share/build-essential/list make:make g++:g++ apache2-dev:dh_apache2 libapr1-dev:apr-1-config libaprutil1-dev:apu-1-config
  dpkg-dev:dpkg-buildpackage debhelper:dh fakeroot:fakeroot lintian:lintian'
bench="$demo libssl-dev:/usr/include/openssl/ssl.h openssl:openssl"
# Who is measured beside this module; `make bench` leaves out who cannot be installed.
peers='nginx-light:nginx haproxy:haproxy'
fresh="$deb debootstrap:debootstrap git:git"

present() {
  case $1 in
    /*) compgen -G "$1" >/dev/null ;;
    python:*) /usr/bin/python3 -c "import ${1#python:}" 2>/dev/null ;;
    *) PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null ;;
  esac
}

missing=()
look() {
  local entry
  missing=()
  for set in "$@"; do
    for entry in ${!set}; do
      present "${entry#*:}" || missing+=("${entry%%:*}")
    done
  done
}

set -f  # probes may be patterns; compgen expands them, word splitting must not
look "$@"
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  as_root=(sudo -n)
  sudo -n true 2>/dev/null || as_root=(none)
fi
if [ "${as_root[0]:-}" = none ] || ! command -v apt-get >/dev/null; then
  echo "missing packages: ${missing[*]}  (as root: apt-get install --no-install-recommends ${missing[*]})" >&2
  exit 1
fi

log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 RUNLEVEL=1 \
    apt-get -qq -y -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@" >>"$log" 2>&1 </dev/null
}
install() { apt install --no-install-recommends "${missing[@]}"; }

echo "installing ${missing[*]} ..."
# Package lists may be absent or too old to find the files; only then they are fetched.
if ! install && ! { apt update && install; }; then
  tail -n 20 "$log" >&2
  echo "could not install: ${missing[*]}" >&2
  exit 1
fi
look "$@"
if [ ${#missing[@]} -ne 0 ]; then
  echo "still missing after the installation: ${missing[*]}" >&2
  exit 1
fi
