#!/usr/bin/env bash
# layers.sh BUILD - fails when a source file reaches where its layer may not.
# layers.sh --self-test - plants one violation of every rule and fails when one goes unseen.
#
# Who includes whom comes from the compiler's own .d files, so that a header's headers count as well. A header
# of somebody else's library has one owner; those are found in the #include lines.
set -euo pipefail

# Headers by layer that a file of that layer may not reach: LAYER REGEX WHY
rules() {
	cat <<'RULES'
fs/            ^engine/                              fs reaches the engine only through include/
engine/        ^fs/                                  the engine knows tables, never files or models
engine/base/   ^engine/(http|dns|route|net|proxy)/   base knows nobody
engine/base/   ^include/(table|engine)\.h$           base knows nobody
engine/dns/    ^engine/(http|net|route|proxy)/      codecs do no I/O and take no decisions
engine/dns/    ^include/(table|engine)\.h$           codecs do no I/O and take no decisions
engine/http/   ^engine/(dns|net|route|proxy)/        codecs do no I/O and take no decisions
engine/http/   ^include/(table|engine)\.h$           codecs do no I/O and take no decisions
engine/route/  ^engine/(net|proxy)/                  decisions see no socket
engine/route/  ^engine/(dns/|http/(h1|h2|block|hello|chunk|scan)\.h$) decisions see messages, not codecs
engine/net/    ^engine/(http|dns|route|proxy)/       net knows no HTTP
engine/net/    ^include/(table|engine)\.h$           net knows no HTTP
include/       ^(fs|engine)/                         the border depends on neither side
RULES
}

# Who may include the headers of a library: HEADER-REGEX FILES-REGEX
owners() {
	cat <<'OWNERS'
liburing\.h|linux/io_uring\.h    ^engine/net/ring
fuse[a-z0-9_]*\.h|fuse3/.*       ^fs/(main|ops|watch|follow)\.[ch]$
ini\.h                           ^fs/config\.c$
libmnl/.*|linux/rtnetlink\.h     ^fs/routes\.c$
cap-ng\.h                        ^fs/rights\.c$
criterion/.*                     ^tests/
ares[a-z_]*\.h                   ^engine/net/lookup\.c$
nghttp2/.*                       ^(engine/http/h2\.c|tests/unit/test_h2\.c|tests/fuzz/fuzz_h2\.c)$
openssl/.*                       ^(engine/net/tls|fs/(certificate|authority)|tests/|bench/)
OWNERS
}

# Prints "SOURCE HEADER" for what the .d files below BUILD say, paths relative to the tree.
edges() {
	find "$1" -name '*.d' -exec cat {} + | awk '
		{ line = line $0 }
		/\\$/ { sub(/\\$/, " ", line); next }
		{
			n = split(line, word, /[ \t]+/); line = ""; source = ""
			for (i = 1; i <= n; i++) {
				if (word[i] == "" || word[i] ~ /:$/ || word[i] ~ /^\//) continue
				while (sub(/[^\/]+\/\.\.\//, "", word[i])) continue
				sub(/^\.\//, "", word[i])
				if (source == "") { source = word[i]; continue }
				print source, word[i]
			}
		}' | sort -u
}

# check BUILD: one line a violation; 1 when there is one.
check() {
	local layer regex why header files file line bad=0 seen
	seen=$(edges "$1")
	if [ -z "$seen" ]; then
		echo "layers: no .d files below $1: build first"
		return 1
	fi
	while read -r layer regex why; do
		while read -r file header; do
			[[ $file == "$layer"* && $header =~ $regex ]] || continue
			echo "layers: $file includes $header: $why"
			bad=1
		done <<<"$seen"
	done < <(rules)
	while read -r header files; do
		while IFS=: read -r file line; do
			[[ $file =~ $files ]] && continue
			echo "layers: $file: $line: that library has one owner: $files"
			bad=1
		done < <(grep -rEH --include='*.[ch]' "^[[:space:]]*#[[:space:]]*include[[:space:]]*<($header)>" \
			engine fs include)
	done < <(owners)
	return $bad
}

# plant SOURCE HEADER: a tree in which one source includes one header must be refused.
plant() {
	local dir header=$2
	dir=$(mktemp -d)
	mkdir -p "$dir/build/$(dirname "$1")" "$dir/$(dirname "$1")" "$dir"/{engine,fs,include,tests}
	printf 'build/x.o: %s include/base.h \\\n %s\n%s:\n' "$1" "$header" "$header" >"$dir/build/${1%.c}.d"
	case $header in
	engine/* | fs/* | include/*) echo "#include \"$header\"" >"$dir/$1" ;;
	*) echo "#include <$header>" >"$dir/$1" ;;
	esac
	if (cd "$dir" && check build) >/dev/null; then
		echo "layers: not seen: $1 includes $header"
		rm -r "$dir"
		return 1
	fi
	rm -r "$dir"
}

# sound SOURCE HEADER: the same, and it must be allowed.
sound() {
	if plant "$1" "$2" >/dev/null; then
		echo "layers: wrongly refused: $1 includes $2"
		return 1
	fi
}

self_test() {
	local bad=0
	plant fs/txn.c engine/route/route.h || bad=1
	plant fs/txn.c fs/../engine/net/ring.h || bad=1
	plant engine/proxy/worker.c fs/model.h || bad=1
	plant engine/base/str.c engine/net/addr.h || bad=1
	plant engine/base/str.c include/table.h || bad=1
	plant engine/http/h1.c engine/net/conn.h || bad=1
	plant engine/http/h1.c include/engine.h || bad=1
	plant engine/dns/dns.c engine/net/sock.h || bad=1
	plant engine/dns/dns.c include/table.h || bad=1
	plant engine/route/names.c engine/dns/dns.h || bad=1
	plant engine/route/match.c engine/proxy/worker.h || bad=1
	plant engine/route/match.c engine/http/h1.h || bad=1
	plant engine/net/conn.c engine/http/msg.h || bad=1
	plant engine/net/conn.c include/engine.h || bad=1
	plant include/table.c engine/route/route.h || bad=1
	plant engine/proxy/relay.c liburing.h || bad=1
	plant engine/proxy/relay.c fuse_lowlevel.h || bad=1
	plant fs/model.c ini.h || bad=1
	plant fs/model.c criterion/criterion.h || bad=1
	plant fs/model.c libmnl/libmnl.h || bad=1
	plant fs/main.c cap-ng.h || bad=1
	plant engine/proxy/finder.c ares.h || bad=1
	sound fs/txn.c include/engine.h || bad=1
	sound engine/route/match.c engine/http/msg.h || bad=1
	sound engine/proxy/exchange.c engine/http/h1.h || bad=1
	sound engine/net/ring.c liburing.h || bad=1
	sound tests/unit/test_h1.c engine/http/h1.h || bad=1
	return $bad
}

case ${1:-} in
--self-test) self_test ;;
'') echo "usage: layers.sh BUILD | --self-test" >&2 && exit 2 ;;
*) check "$1" ;;
esac
