#!/usr/bin/env bash
# session.sh - runs the session of the README as it stands there and compares what it prints.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

section() {
	awk '/^## /{ on = $0 == "## A session" } on' README.md
}
session=$(section | sed -n '/^    make$/,/^$/s/^    //p')
wanted=$(section | grep -E '^ +[0-9]+ (blue|green)$' | awk '{ print $1, $2 }')

# Directories and ports of our own: the session's may be in use on this machine.
work=$(mktemp -d)
trap 'cd /; fusermount3 -uz "$work/lattice" 2>/dev/null || true; for f in "$work"/*.pid; do kill "$(cat "$f")" || true; done; rm -rf "$work"' EXIT
cat >"$work/target" <<END
#!/bin/sh
echo \$\$ >$work/\$1.pid
exec $PWD/build/release/target "\$@" >/dev/null
END
chmod +x "$work/target"
session=$(sed -e "s,/tmp/lattice,$work/lattice,g" -e "s,build/release/target,$work/target,g" \
	-e 's/\b9001\b/19001/g; s/\b9002\b/19002/g; s/\b8080\b/19080/g' <<<"$session")

got=$(timeout 300 bash -e <<<"$session" | grep -E '^ +[0-9]+ (blue|green)$' | awk '{ print $1, $2 }')
if [ -z "$wanted" ] || [ "$got" != "$wanted" ]; then
	printf 'session: the README promises\n%s\nand the session prints\n%s\n' "$wanted" "$got"
	exit 1
fi
