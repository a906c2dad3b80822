#!/bin/bash
# Two Flask backends and an httpd with mod_cxxproxy in front of them, all of it private and on
# loopback: demo.sh BUILD_DIR. Runs until Ctrl-C (or TERM) and leaves no process and no file.
#
# PORT=n chooses httpd's port. For tests: DEMO_ONCE=1 ends after the six requests.
set -u
build=$(cd "${1:-build}" && pwd) || exit 1
python=/usr/bin/python3
httpd=/usr/sbin/apache2
modules=$(apxs -q LIBEXECDIR)

dir=
httpd_pid=
backend_pids=()

gone_within() {  # seconds pid: has the process ended in time?
  local tries=$(($1 * 20))
  while kill -0 "$2" 2>/dev/null; do
    [ $((tries--)) -gt 0 ] || return 1
    sleep 0.05
  done
}

end() {  # pid of a session leader: asks it to end, then ends what is left of its session
  kill -TERM "$1" 2>/dev/null
  gone_within 10 "$1"
  kill -KILL -- "-$1" 2>/dev/null
  gone_within 5 "$1"
}

clean_up() {
  trap '' INT TERM HUP PIPE
  local pid
  for pid in $httpd_pid "${backend_pids[@]}"; do end "$pid"; done
  [ -z "$dir" ] || rm -rf "$dir"
}

fail() {
  echo "demo: $1" >&2
  local log
  for log in "$dir"/*.log; do
    [ -s "$log" ] || continue
    echo "--- last lines of $(basename "$log")" >&2
    tail -n 15 "$log" >&2
  done
  exit 1
}

# Starts a command in a session of its own, so that Ctrl-C reaches this script only and everything
# ends in order; the kernel ends the command should this script be killed outright.
start() {  # log command...: the pid is left in $!
  local log=$1
  shift
  setsid setpriv --pdeathsig TERM "$@" >>"$log" 2>&1 </dev/null &
}

free_ports() {  # count first-choice...: that many free loopback ports, the wanted ones if possible
  "$python" - "$@" <<'PYTHON'
import socket, sys
count, wanted = int(sys.argv[1]), [int(p) for p in sys.argv[2:]]
held = []
for port in wanted + [0] * count:
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        s.bind(("127.0.0.1", port))
        s.listen()
    except OSError:
        continue
    held.append(s)
    if len(held) == count:
        break
print(*[s.getsockname()[1] for s in held])
PYTHON
}

start_backend() {  # name port text
  cat >"$dir/$1.py" <<PYTHON
from flask import Flask
app = Flask(__name__)

@app.route('/')
def home():
    return '$3'
PYTHON
  local flask=(/usr/bin/flask)
  [ -x /usr/bin/flask ] || flask=("$python" -m flask)
  start "$dir/$1.log" env -u PYTHONPATH -u PYTHONHOME PYTHONDONTWRITEBYTECODE=1 FLASK_APP="$dir/$1.py" \
    "${flask[@]}" run --host=127.0.0.1 --port="$2"
  backend_pids+=($!)
}

write_configuration() {  # port backend1 backend2
  {
    echo "ServerRoot \"$dir\""
    echo "DefaultRuntimeDir \"$dir\""
    echo "PidFile \"$dir/httpd.pid\""
    echo "ServerName localhost"
    echo "Listen 127.0.0.1:$1"
    # Only root can and must give the children another user.
    [ "$(id -u)" -ne 0 ] || printf 'User www-data\nGroup www-data\n'
    echo "LoadModule mpm_event_module $modules/mod_mpm_event.so"
    echo "LoadModule authz_core_module $modules/mod_authz_core.so"
    echo "LoadModule cxxproxy_module $build/mod_cxxproxy.so"
    echo "ErrorLog \"$dir/httpd-error.log\""
    cat <<VHOST

<VirtualHost *:$1>
<Proxy balancer://mycluster>
    BalancerMember http://127.0.0.1:$2
    BalancerMember http://127.0.0.1:$3
</Proxy>
    ProxyPreserveHost On
    ProxyPass / balancer://mycluster/
    ProxyPassReverse / balancer://mycluster/
</VirtualHost>
VHOST
  } >"$dir/httpd.conf"
}

fetch() { curl -q --silent --show-error --fail --noproxy '*' --max-time 10 "$1"; }

# Without a request: the first answer shall be the first backend's.
accepts() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

wait_for() {  # name pid port
  local tries=600
  until accepts "$3"; do
    kill -0 "$2" 2>/dev/null || fail "$1 ended before it was ready"
    [ $((tries--)) -gt 0 ] || fail "$1 does not accept connections on port $3"
    sleep 0.05
  done
}

six_answers() {  # url: prints the answers; are there two and do they alternate?
  local i answer previous='' first='' second=''
  for i in 1 2 3 4 5 6; do
    answer=$(fetch "$1") || fail "request $i of 6 failed"
    echo "  $i  $answer"
    [ "$answer" != "$previous" ] || fail "two answers in a row from the same backend"
    [ "$i" -eq 1 ] && first=$answer
    [ "$i" -eq 2 ] && second=$answer
    [ "$answer" = "$first" ] || [ "$answer" = "$second" ] || fail "an answer from neither backend"
    previous=$answer
  done
  [ "$(printf '%s\n' "$first" "$second" | sort)" = $'Hello world!\nHowdy world!' ] ||
    fail "these are not the backends' answers"
}

trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
trap 'exit 141' PIPE

dir=$(mktemp -d "${TMPDIR:-/tmp}/cxxproxy-demo.XXXXXX") || exit 1
chmod 755 "$dir"

if [ -n "${PORT:-}" ]; then
  [[ $PORT =~ ^[0-9]{1,5}$ ]] && [ "$PORT" -ge 1 ] && [ "$PORT" -le 65535 ] || fail "PORT=$PORT is not a port (1 to 65535)"
  port=$(free_ports 1 "$PORT")
  [ "$port" = "$PORT" ] || fail "port $PORT is in use or not allowed; choose another one with PORT="
else
  port=$(free_ports 1 $(seq 8000 8079))
fi
read -r backend1 backend2 <<<"$(free_ports 2 8080 8081 $(seq 8082 8099))"
[ -n "$port" ] && [ -n "$backend2" ] || fail "no free port on 127.0.0.1"

start_backend backend1 "$backend1" 'Hello world!'
start_backend backend2 "$backend2" 'Howdy world!'
write_configuration "$port" "$backend1" "$backend2"
"$httpd" -t -f "$dir/httpd.conf" >"$dir/configtest.log" 2>&1 || fail "httpd refuses the configuration"
rm "$dir/configtest.log"

echo "Configuration of this httpd:"
echo
sed 's/^./    &/' "$dir/httpd.conf"
echo
wait_for backend1 "${backend_pids[0]}" "$backend1"
wait_for backend2 "${backend_pids[1]}" "$backend2"
start "$dir/httpd.log" "$httpd" -f "$dir/httpd.conf" -DFOREGROUND
httpd_pid=$!
wait_for httpd "$httpd_pid" "$port"

echo "Six requests to http://127.0.0.1:$port/ :"
six_answers "http://127.0.0.1:$port/"
echo "The answers alternate: both backends are used in turn."
[ -z "${DEMO_ONCE:-}" ] || exit 0
echo
echo "Running at http://127.0.0.1:$port/ - press Ctrl-C to end it."
wait "$httpd_pid"
httpd_pid=
fail "httpd ended by itself"
