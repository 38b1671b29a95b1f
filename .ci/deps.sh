#!/bin/sh
# deps.sh - installs, with apt-get, what a target of the Makefile needs: deps.sh build|demo|check|bench|all.
# Prints nothing when all of it is there. Without root it says what is missing.
set -eu

build="gcc make pkg-config libc6-dev libfuse3-dev liburing-dev libinih-dev libmnl-dev libcap-ng-dev libssl-dev
    libnghttp2-dev"
demo="fuse3 curl git mount iproute2"
check="libcriterion-dev python3 clang libclang-rt-14-dev clang-format universal-ctags mandoc attr rsync vim zsh patch perl
    bind9-dnsutils busybox ed openssl util-linux"
bench="python3 nginx-light haproxy dnsmasq-base util-linux"

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

missing=
for package in $wanted; do
	case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
	"install ok installed") ;;
	*) missing="$missing $package" ;;
	esac
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
	echo "deps: missing, please install: sudo apt-get install -y --no-install-recommends$missing" >&2
	exit 1
fi
echo "deps: installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
# shellcheck disable=SC2086 # a list of packages
apt-get install -y -q --no-install-recommends $missing
