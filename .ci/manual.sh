#!/usr/bin/env bash
# manual.sh - every attribute of the schema is in latticefs(5), and the pages are sound mdoc.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bad=0
for name in $(sed -nE 's/.*\{\.name = "([a-z-]+)", \.type.*/\1/p' fs/schema.c | sort -u); do
	if ! grep -qE "^\.(It )?Pa $name( |$)" fs/latticefs.5; then
		echo "manual: latticefs.5 does not tell of '$name'"
		bad=1
	fi
done
mandoc -Tlint -Wwarning fs/latticefs.5 fs/latticefs.8 || bad=1
exit $bad
