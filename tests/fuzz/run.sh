#!/usr/bin/env bash
# run.sh [SECONDS [NAME...]] - builds the fuzzers (clang, libFuzzer, ASan, UBSan) and runs each for so long.
# Starts from corpus/NAME/ and keeps what it finds in build/fuzz/; an input that breaks something is left there,
# its name is printed, and it belongs into corpus/NAME/ with the fix.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

seconds=${1:-10}
shift || true
names=("$@")
if [ ${#names[@]} -eq 0 ]; then
	for source in tests/fuzz/fuzz_*.c; do
		names+=("$(basename "$source" .c | sed 's/^fuzz_//')")
	done
fi

out=build/fuzz
make --no-print-directory V=fuzz "${names[@]/#/$out/fuzz_}"

bad=0
for name in "${names[@]}"; do
	mkdir -p "$out/corpus/$name" "tests/fuzz/corpus/$name"
	if "$out/fuzz_$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -verbosity=0 -print_final_stats=1 \
		-artifact_prefix="$out/$name-" "$out/corpus/$name" "tests/fuzz/corpus/$name" >"$out/$name.log" 2>&1; then
		echo "fuzz: $name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$out/$name.log") inputs in $seconds s"
	else
		echo "fuzz: $name: failed, see $out/$name.log"
		grep -aE 'ERROR|runtime error|Assert|Test unit written' "$out/$name.log" || tail -5 "$out/$name.log"
		bad=1
	fi
done
exit $bad
