#!/bin/sh
# deps.sh - installs, with apt-get, what a target of the Makefile needs: deps.sh build|demo|check|bench|all.
# Prints nothing when all of it is there. Without root it says what is missing.
set -eu

build="gcc make pkg-config libc6-dev libfuse3-dev liburing-dev libinih-dev libmnl-dev libcap-ng-dev libssl-dev
    libnghttp2-dev libc-ares-dev"
demo="fuse3 curl git mount iproute2"
check="libcriterion-dev python3 clang libclang-rt-14-dev clang-format universal-ctags mandoc attr rsync vim zsh patch perl
    bind9-dnsutils busybox ed util-linux openssl nghttp2-client nghttp2-server wrk"
bench="python3 openssl nginx-light haproxy dnsmasq-base util-linux"

case "${1:-build}" in
build) wanted=$build ;;
demo) wanted="$build $demo" ;;
check) wanted="$build $demo $check" ;;
bench) wanted="$build fuse3 $bench" ;;
all) wanted="$build $demo $check $bench" ;;
*)
	echo "usage: deps.sh build|demo|check|bench|all" >&2
	exit 2
	;;
esac

if ! command -v dpkg-query >/dev/null; then
	echo "deps: not a Debian system; what Debian calls these is needed: $wanted" >&2
	exit 0
fi

# The gRPC tests run others' client and server in Node: any that is installed will do, else Debian's. npm ci takes
# what the lock file pins by hash, without running a script of it.
node=$(dirname "$0")/../tests/system/node
case "${1:-build}" in
check | all)
	command -v node >/dev/null || wanted="$wanted nodejs"
	command -v npm >/dev/null || wanted="$wanted npm"
	;;
*) node= ;;
esac

node_install() {
	[ -n "$node" ] || return 0
	! cmp -s "$node/package-lock.json" "$node/node_modules/.installed" || return 0
	echo "deps: installing the packages of tests/system/node"
	(cd "$node" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null)
	cp "$node/package-lock.json" "$node/node_modules/.installed"
}

# fusermount3 looks there, and a system that no init has ever started, as in a chroot, has none.
if [ "${1:-build}" != build ] && [ "$(id -u)" -eq 0 ] && [ ! -e /etc/mtab ]; then
	ln -s /proc/self/mounts /etc/mtab
fi

missing=
for package in $wanted; do
	case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
	"install ok installed") ;;
	*) missing="$missing $package" ;;
	esac
done
if [ -z "$missing" ]; then
	node_install
	exit 0
fi

if [ "$(id -u)" -ne 0 ]; then
	echo "deps: missing, please install: sudo apt-get install -y --no-install-recommends$missing" >&2
	exit 1
fi
echo "deps: installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
# shellcheck disable=SC2086 # a list of packages
apt-get install -y -q --no-install-recommends $missing
node_install
