#!/usr/bin/env bash
# manual.sh - every attribute of the schema, every key of a file and every metric is in latticefs(5), which names no
# other metric; every setting of the daemon is in latticefs(8); and the pages are sound mdoc.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bad=0
for name in $(sed -nE 's/.*\{\.name = "([a-z-]+)", \.type.*/\1/p' fs/schema.c | sort -u); do
	if ! grep -qE "^\.(It )?Pa $name( |$)" fs/latticefs.5; then
		echo "manual: latticefs.5 does not tell of '$name'"
		bad=1
	fi
done
# The keys of a file stand in one array of words, which ends with NULL.
for name in $(sed -nE '/ ([a-z]+_)?keys\[\] = /,/NULL/p' fs/parse_*.c | grep -oE '"[a-z0-9-]+"' | tr -d '"' | sort -u); do
	if ! grep -qE "^\.(It )?Cm $name( |$)" fs/latticefs.5; then
		echo "manual: latticefs.5 does not tell of the key '$name'"
		bad=1
	fi
done
for name in $(sed -nE 's/^ *(NUMBER|LIMIT)\("([a-z-]+)",.*/\2/p; s/^ *\{"[a-z]+", "([a-z-]+)", SET.*/\1/p' fs/config.c); do
	if ! grep -qE "^\.(It )?Cm ([a-z-]+ , )*$name( |$)" fs/latticefs.8; then
		echo "manual: latticefs.8 does not tell of '$name'"
		bad=1
	fi
done
metrics=$({ sed -nE 's/^\tX\([A-Z0-9_]+, "([a-z0-9_]+)".*/latticefs_\1/p' include/counters.h
	sed -nE 's/^\tmetric_head\("([a-z0-9_]+)".*/latticefs_\1/p' fs/metrics.c
	grep -ohE 'HELP latticefs_[a-z0-9_]+ ' engine/proxy/engine.c fs/identity.c | cut -d ' ' -f 2; } | sort)
told=$(sed -nE 's/^\.It Va (latticefs_[a-z0-9_]+).*/\1/p' fs/latticefs.5 | sort)
if ! diff <(echo "$metrics") <(echo "$told") >&2; then
	echo "manual: latticefs.5 tells of other metrics (>) than there are (<)"
	bad=1
fi
mandoc -Tlint -Wwarning fs/latticefs.5 fs/latticefs.8 || bad=1
exit $bad
