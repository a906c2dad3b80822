#!/bin/bash
# check_fresh.sh BUILD_DIR: what a newcomer does, in throw-away minimal Debian roots under
# BUILD_DIR/fresh. Root only; the committed state of the tree is what is tried.
#
#   first root    nothing but git and make: make demo (also as an ordinary user), make check, make deb
#   second root   the package: install, a2enmod, both virtual hosts, removal while enabled, purge
#
# Every step runs in namespaces of its own, so its mounts and processes end with it. FRESH_STEPS="..."
# chooses steps; FRESH_KEEP=1 leaves the roots in place and starts from the base that is there.
set -u
[ "$(id -u)" -eq 0 ] || { echo "check-fresh makes a root file system: run it as root" >&2; exit 1; }
mkdir -p "$1"
fresh=$(cd "$1" && pwd)/fresh
tree=$PWD
steps=${FRESH_STEPS:-demo user check deb package}
passed=0
failed=0

clean_up() {
  trap '' INT TERM HUP
  [ -n "${FRESH_KEEP:-}" ] || rm -rf --one-file-system "$fresh/base" "$fresh/first" "$fresh/second"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

verdict() {  # text status
  if [ "$2" -eq 0 ]; then
    passed=$((passed + 1))
    echo "ok: $1"
  else
    failed=$((failed + 1))
    echo "FAILED: $1"
  fi
}
wanted() { [[ " $steps " == *" $1 "* ]]; }

# --- a minimal root, from where this machine gets its own packages ---------------------------------

repositories() { apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(REPO_URI) $(COMPONENT)' 'Created-By: Packages' | sort -u; }

make_base() {
  local codename mirror
  codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
  mirror=$(repositories | awk -v c="$codename" '$1 == "Debian" && $2 == c { print $3; exit }')
  [ -n "$mirror" ] || { echo "apt knows no Debian mirror for $codename" >&2; return 1; }
  debootstrap --variant=minbase "$codename" "$fresh/base" "$mirror" >"$fresh/debootstrap.log" 2>&1 ||
    { tail -n 20 "$fresh/debootstrap.log"; rm -rf --one-file-system "$fresh/base"; return 1; }
  repositories | awk '$1 == "Debian" { print "deb", $3, $2, $4 }' >"$fresh/base/etc/apt/sources.list"
  # How to reach the mirror (a proxy, a mirror that stands still) is the machine's affair.
  apt-config dump | grep -E '^Acquire::(http|https|ftp|Retries|Check-)' >"$fresh/base/etc/apt/apt.conf.d/90machine"
  cp -L /etc/resolv.conf /etc/hosts "$fresh/base/etc/"
}

in_root() {  # root command...: without the caller's environment, but for its proxies
  local root=$1
  shift
  unshare --mount --pid --fork --kill-child -- /bin/bash -c '
    root=$1; shift
    mount -t proc proc "$root/proc" && mount --bind /dev "$root/dev" && mount -t tmpfs tmpfs "$root/dev/shm" &&
      mount -t devpts devpts "$root/dev/pts" || exit 1
    [ -z "$OWN_NETWORK" ] || ip link set lo up || exit 1
    exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
      DEBIAN_FRONTEND=noninteractive ${http_proxy:+http_proxy="$http_proxy"} \
      ${https_proxy:+https_proxy="$https_proxy"} chroot "$root" "$@"' in_root "$root" "$@" </dev/null
}

in_first() { in_root "$fresh/first" "$@"; }
in_tree() { in_first /bin/bash -c 'cd /src && "$@"' in_tree "$@"; }
as_user() { in_first setpriv --reuid=1000 --regid=1000 --clear-groups env HOME=/home/user /bin/bash -c 'cd /home/user/src && "$@"' as_user "$@"; }

six_alternating() { [ "$(grep -o '^  [1-6]  H.... world!' "$1" | awk '{ print $2 }' | uniq | wc -l)" -eq 6 ]; }

# --- the first root ---------------------------------------------------------------------------------

first_root() {
  cp -a "$fresh/base" "$fresh/first"
  in_first /bin/bash -c 'apt-get -qq update && apt-get -qq -y install --no-install-recommends git make' \
    >"$fresh/apt.log" 2>&1 || { tail -n 20 "$fresh/apt.log"; return 1; }
  git clone -q --no-hardlinks "$tree" "$fresh/first/src" || return 1
  mkdir -p "$fresh/first/home/user"
  cp -a "$fresh/first/src" "$fresh/first/home/user/src"
  chown -R 1000:1000 "$fresh/first/home/user"
}

try_demo() {
  as_user make demo DEMO_ONCE=1 >"$fresh/user-without.log" 2>&1
  [ $? -ne 0 ] && [ "$(grep -c '^missing packages: ' "$fresh/user-without.log")" -eq 1 ]
  verdict "an ordinary user is told in one line what is missing" $?

  in_tree make demo DEMO_ONCE=1 2>&1 | tee "$fresh/demo.log"
  [ "${PIPESTATUS[0]}" -eq 0 ] && six_alternating "$fresh/demo.log"
  verdict "make demo with nothing but git and make" $?
  in_first /bin/bash -c 'find /tmp /run -mindepth 1 -newer /src/Makefile \( -path "*cxxproxy*" -o -path "*apache2*" \)' >"$fresh/after"
  [ ! -s "$fresh/after" ]
  verdict "make demo leaves no file behind" $?
  [ ! -e "$fresh/first/etc/apache2/apache2.conf" ]
  verdict "make demo has not installed a server" $?
}

try_user() {
  as_user make demo DEMO_ONCE=1 >"$fresh/user.log" 2>&1 && six_alternating "$fresh/user.log"
  verdict "make demo as an ordinary user once the packages are there" $?
}

try_check() {
  in_tree env CI=true .ci/run 2>&1 | tee "$fresh/check.log"
  [ "${PIPESTATUS[0]}" -eq 0 ] && tail -n 1 "$fresh/check.log" | grep -qE '^[1-9][0-9]* passed, 0 failed$'
  verdict ".ci/run (make check)" $?
  [ -z "$(git -c safe.directory='*' -C "$fresh/first/src" status --porcelain)" ]
  verdict "make check leaves the tree as it was" $?
}

try_deb() {
  in_tree make deb 2>&1 | tee "$fresh/deb.log"
  [ "${PIPESTATUS[0]}" -eq 0 ]
  verdict "make deb, lintian has nothing to say" $?
  mkdir -p "$fresh/package"
  cp "$fresh"/first/src/build/deb/libapache2-mod-cxxproxy_*.deb "$fresh/package/"
}

# --- the second root --------------------------------------------------------------------------------

in_second() { in_root "$fresh/second" "$@"; }

second_root() {
  local deb
  deb=$(ls -t "$fresh"/package/libapache2-mod-cxxproxy_*.deb 2>/dev/null | head -n 1)
  [ -n "$deb" ] || { echo "no package to install" >&2; return 1; }
  cp -a "$fresh/base" "$fresh/second"
  printf '#!/bin/sh\nexit 101\n' >"$fresh/second/usr/sbin/policy-rc.d"
  chmod 755 "$fresh/second/usr/sbin/policy-rc.d"
  cp "$deb" "$fresh/second/tmp/package.deb"
  cp debian/tests/proxy-a-request "$fresh/second/tmp/"
  in_second apt-get -qq update
}

installed_traces() { find "$fresh/second" -xdev -name '*cxxproxy*' ! -path '*/var/log/*' ! -path '*/var/cache/*'; }

try_package() {
  second_root || { verdict "a root to install the package in" 1; return; }
  in_second apt-get -qq -y install --no-install-recommends /tmp/package.deb >"$fresh/install.log" 2>&1
  verdict "apt-get install ./libapache2-mod-cxxproxy_*.deb" $?
  in_second apt-get -qq -y install --no-install-recommends apache2 curl python3-minimal python3 procps >>"$fresh/install.log" 2>&1
  verdict "apt-get install apache2" $?
  [ ! -e "$fresh/second/etc/apache2/mods-enabled/cxxproxy.load" ]
  verdict "the package enables nothing by itself" $?
  export -f in_root
  # The test uses ports 80, 8080 and 8081; in a network of its own nobody else has them.
  fresh="$fresh" OWN_NETWORK=1 unshare --net -- /bin/bash -c 'in_root "$fresh/second" /tmp/proxy-a-request' 2>&1 | tee "$fresh/proxy.log"
  [ "${PIPESTATUS[0]}" -eq 0 ]
  verdict "a2enmod, both virtual hosts, apachectl, a2dismod" $?
  in_second /bin/bash -c 'a2enmod -q cxxproxy cxxproxy_compat && apachectl configtest' >"$fresh/remove.log" 2>&1
  verdict "the stand-in can be enabled too" $?
  in_second apt-get -qq -y purge libapache2-mod-cxxproxy >>"$fresh/remove.log" 2>&1
  verdict "purge while enabled" $?
  in_second apachectl configtest >>"$fresh/remove.log" 2>&1
  verdict "apachectl configtest after it" $?
  rm -f "$fresh/second/tmp/package.deb"
  [ -z "$(installed_traces | tee -a "$fresh/remove.log")" ]
  verdict "nothing of the package is left" $?
}

# ----------------------------------------------------------------------------------------------------

[ -z "$(git status --porcelain --untracked-files=no)" ] || echo "note: changes that are not committed are not part of this check"
[ -n "${FRESH_KEEP:-}" ] || rm -rf --one-file-system "$fresh/base"
rm -rf --one-file-system "$fresh/first" "$fresh/second"
mkdir -p "$fresh"
[ -x "$fresh/base/usr/bin/apt-get" ] || echo "debootstrap ..."
[ -x "$fresh/base/usr/bin/apt-get" ] || make_base || { echo "no root file system; log in $fresh" >&2; exit 1; }
if wanted demo || wanted user || wanted check || wanted deb; then
  first_root || { echo "the first root could not be prepared" >&2; exit 1; }
  for step in demo user check deb; do
    ! wanted "$step" || "try_$step"
  done
fi
! wanted package || try_package
echo "$passed passed, $failed failed  (logs in $fresh)"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
