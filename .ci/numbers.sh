#!/usr/bin/env bash
# numbers.sh - holds the sizes: functions of at most 70 lines, files of at most 800, nothing left TODO.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

function_max=70
file_max=800
bad=0

mapfile -t files < <(find engine fs include bench examples tests -name node_modules -prune -o -name '*.[ch]' -print | sort)

while read -r lines file; do
	if [ "$file" != total ] && [ "$lines" -gt $file_max ]; then
		echo "numbers: $file has $lines lines, more than $file_max"
		bad=1
	fi
done < <(wc -l "${files[@]}")

while read -r lines name place; do
	echo "numbers: $place: $name has $lines lines, more than $function_max"
	bad=1
done < <(ctags -f - --languages=C --langmap=C:.c.h --kinds-C=f --fields=+ne "${files[@]}" | awk -F'\t' -v max=$function_max '
	{
		line = end = 0
		for (i = 4; i <= NF; i++) {
			if ($i ~ /^line:/) line = substr($i, 6)
			if ($i ~ /^end:/) end = substr($i, 5)
		}
		if (end - line + 1 > max) print end - line + 1, $1, $2 ":" line
	}')

if grep -nE '\b(TODO|FIXME|XXX)\b' "${files[@]}"; then
	bad=1
fi
exit $bad
