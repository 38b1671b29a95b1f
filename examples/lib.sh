# lib.sh - what the demo and the examples share: a daemon on a temporary store, a few targets, a clean way out.
# Sourced. Everything lives below one temporary directory and ends with the script, also on ctrl-C.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${BUILD:-$root/build/release}
work=$(mktemp -d "${TMPDIR:-/tmp}/latticefs-XXXXXX")
store=$work/store
mnt=$work/mnt
pids=()
spaces=()
daemon=
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1

leave() {
	local pid space
	trap - EXIT
	cd /
	if mountpoint -q "$mnt"; then
		fusermount3 -u "$mnt" 2>/dev/null || fusermount3 -uz "$mnt" || true
	fi
	for pid in "${pids[@]}"; do
		kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	for space in "${spaces[@]}"; do
		ip netns del "$space" || true
	done
	rm -rf "$work"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

for program in latticefs target; do
	[ -x "$build/$program" ] || die "$build/$program is not built: make"
done
for program in curl fusermount3; do
	command -v "$program" >/dev/null || die "$program is not installed: make deps"
done
[ -c /dev/fuse ] || die "no /dev/fuse here: modprobe fuse, or give it to this container"

# say TEXT: a line of explanation.
say() {
	printf '\n# %s\n' "$@"
}

# run COMMAND: shows a command as it would be typed, and runs it.
run() {
	printf '$ %s\n' "$1"
	eval "$1"
}

# refused COMMAND: the same for a command that must fail.
refused() {
	printf '$ %s\n' "$1"
	if bash -c "$1" 2>&1; then
		die "was not refused: $1"
	fi
}

# target NAME [PORT]: starts a target, on a free port when none is said; its port is then in $NAME, its process
# in $NAME_pid.
target() {
	mkfifo "$work/port"
	"$build/target" "$1" "${2:-0}" >"$work/port" &
	pids+=($!)
	printf -v "$1_pid" %s $!
	read -r "$1" <"$work/port" || die "no target on port ${2:-0}"
	rm "$work/port"
}

# space NAME ADDRESS: makes a network namespace with this address in it, for as long as the script runs.
space() {
	[ "$(id -u)" -eq 0 ] || die "a network namespace is made by root"
	run "ip netns add $1"
	spaces+=("$1")
	run "ip -n $1 link set lo up"
	run "ip -n $1 addr add $2 dev lo"
}

# target_in SPACE NAME PORT ADDRESS: starts a target in the namespace.
target_in() {
	mkfifo "$work/port"
	ip netns exec "$1" "$build/target" "$2" "$3" "$4" >"$work/port" &
	pids+=($!)
	read -r _ <"$work/port" || die "no target at $4:$3 in $1"
	rm "$work/port"
}

# free_port: a port on which nobody listens.
free_port() {
	local port
	for ((port = 8080; port < 9080; port++)); do
		if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
			echo "$port"
			return
		fi
	done
	die "no free port from 8080 on"
}

# lattice_start: mounts $store at $mnt, and goes there.
lattice_start() {
	local tries
	printf '$ %s\n' "latticefs $store $mnt" "cd $mnt"
	mkdir -p "$mnt"
	"$build/latticefs" -f "$store" "$mnt" &
	daemon=$!
	pids+=("$daemon")
	for ((tries = 0; tries < 200; tries++)); do
		if mountpoint -q "$mnt"; then
			cd "$mnt"
			return
		fi
		kill -0 "$daemon" 2>/dev/null || break
		sleep 0.05
	done
	die "the daemon did not mount"
}

# lattice_stop: unmounts; the daemon must end by itself, with 0.
lattice_stop() {
	cd /
	run "fusermount3 -u $mnt"
	wait "$daemon" || die "the daemon ended with $?"
	daemon=
}

# count N PATH: sends N requests on one connection and prints how many each target answered; `share` checks it.
count() {
	printf '$ %s\n' "curl -s 'http://shop.localhost:$port$2?[1-$1]' | sort | uniq -c"
	answers=$(curl -s --max-time 30 "http://shop.localhost:$port$2?[1-$1]" | sort | uniq -c)
	printf '%s\n' "$answers"
}

# share NAME WANT: of the last count, NAME must have answered WANT requests, give or take one.
share() {
	local got
	got=$(awk -v name="$1" '$2 == name { print $1 }' <<<"$answers")
	got=${got:-0}
	if ((got < $2 - 1 || got > $2 + 1)); then
		die "$1 answered $got requests, not $2"
	fi
}

# contains FILE TEXT: what the file holds now must have this text.
contains() {
	grep -qF -- "$2" "$1" || die "$1 does not say '$2'"
}

# generation: the number of the table that is served.
generation() {
	awk '$1 == "generation" { print $2 }' "$mnt/.status"
}
