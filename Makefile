# latticefs: an application network as a filesystem. `make help` lists the targets.
#
# Sources are listed by layer; the list is the table of contents. Variants build side by side in build/<V>.

V       ?= release
BUILD    = build/$(V)
PREFIX  ?= /usr/local
VERSION  = 0.1.0

BASE  = alloc arena str map log diag clock addr slots
HTTP  = msg field head h1 h1_print chunk block block_print grpc h2 hello json base64 lambda lambda_answer
DNS   = dns
ROUTE = table table_print match caller turns ring view balance names
NET   = ring buf pipe timer netns sock conn tls tls_held tls_peer tls_world listen lookup
PROXY = worker keyring client mux exchange choose retry request answer invoke tunnel drain pass relay upstream trunk event health subject probe probe_h2 eject resolve ask dialog resolver finder engine
FS    = schema pem certificate authority fields parse parse_match parse_action parse_target parse_health pair rights routes spaces model edit reach check quotas protocols groups meet zones arn identity equal compile_group compile explain status metrics store heap preload errors undo hold txn heal settle node attr dir events handle view watch follow ops config main

ENGINE_SRC = $(BASE:%=engine/base/%.c) $(HTTP:%=engine/http/%.c) $(DNS:%=engine/dns/%.c) $(ROUTE:%=engine/route/%.c) \
             $(NET:%=engine/net/%.c) $(PROXY:%=engine/proxy/%.c)
FS_SRC     = $(FS:%=fs/%.c)
LIB_SRC    = $(ENGINE_SRC) $(filter-out fs/main.c,$(FS_SRC))
UNIT_SRC   = $(wildcard tests/unit/test_*.c)

PKGS      = fuse3 liburing inih libmnl libcap-ng libssl libcrypto libnghttp2 libcares
CC        = gcc
OPT       = -O2
WARN      = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wundef \
            -Wno-unused-parameter -Werror
CPPFLAGS += -D_GNU_SOURCE -DFUSE_USE_VERSION=314 -DLATTICEFS_VERSION='"$(VERSION)"' -iquote include \
            $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
CFLAGS   += -std=gnu17 -g $(OPT) $(WARN) -fno-strict-aliasing -pthread $(SAN)
LDLIBS   += $(shell pkg-config --libs $(PKGS) 2>/dev/null) -pthread -lm

ifeq ($(V),asan)
OPT = -O1 -fno-omit-frame-pointer
SAN = -fsanitize=address,undefined -fno-sanitize-recover=all
endif
ifeq ($(V),tsan)
OPT = -O1 -fno-omit-frame-pointer
SAN = -fsanitize=thread
endif
ifeq ($(V),fuzz)
CC  = clang
OPT = -O1 -fno-omit-frame-pointer
SAN = -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all
endif

ifeq ($(V),cov)
OPT = -O0
SAN = --coverage
endif

Q = $(if $(VERBOSE),,@)

all: $(BUILD)/latticefs $(BUILD)/target ## build the daemon, and the small HTTP server of the examples

LIB_OBJ  = $(LIB_SRC:%.c=$(BUILD)/%.o)
UNIT_OBJ = $(UNIT_SRC:%.c=$(BUILD)/%.o)

$(BUILD)/latticefs: $(BUILD)/fs/main.o $(LIB_OBJ)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/unit: $(UNIT_OBJ) $(LIB_OBJ)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS) -lcriterion

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

unit: $(BUILD)/unit ## run the Criterion unit tests
	$(Q)$(BUILD)/unit -j2

# The parts of `check` after the build, in order; the system tests run last and count the parts that failed.
CHECKS = layers unit asan stress fuzz
# What the sanitized daemon runs: everything is too long for every change, `make V=asan system` runs it all.
ASAN_SYSTEM ?= ^(tree|hold|http|failure|status|cli|networks|names|certificates|tls|mtls|targets_tls|h2|h2_frames|h2_abuse|passthrough|health|drain|balance|resilience|target_files|alb|lambda)\.
J ?= 2

STRESS = publish site origin caller wire

$(BUILD)/publish: $(STRESS:%=$(BUILD)/tests/stress/%.o) $(ENGINE_SRC:%.c=$(BUILD)/%.o)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)

check: ## the test command: everything (installs what it needs); the last line is `N passed, N failed`
	@.ci/deps.sh check
	$(Q)$(MAKE) --no-print-directory all
	$(Q)failed=; for part in $(CHECKS); do echo "== make $$part"; \
	    $(MAKE) --no-print-directory $$part || failed="$$failed $$part"; done; \
	    echo "== make system"; $(MAKE) --no-print-directory system SYSTEM="--failed '$$failed'"

system: all ## system tests: mount, serve, change, break; SYSTEM='-k http' picks
	$(Q)V=$(V) BUILD=$(abspath $(BUILD)) tests/system/run -j $(J) $(SYSTEM)

# A leak does not fail Criterion, so the sanitizers' reports decide.
asan: ## unit tests and a part of the system tests with ASan, UBSan and LSan
	$(Q)$(MAKE) --no-print-directory V=asan build/asan/unit build/asan/latticefs
	$(Q)rm -f build/asan/report.*
	$(Q)ASAN_OPTIONS=log_path=$(CURDIR)/build/asan/report:detect_leaks=1 \
	    LSAN_OPTIONS=suppressions=$(CURDIR)/tests/unit/leaks:print_suppressions=0 \
	    UBSAN_OPTIONS=log_path=$(CURDIR)/build/asan/report:print_stacktrace=1 build/asan/unit -j2
	$(Q)for f in build/asan/report.*; do [ ! -s "$$f" ] || { cat build/asan/report.*; exit 1; }; done
	$(Q)$(MAKE) --no-print-directory V=asan system J=3 SYSTEM="-k '$(ASAN_SYSTEM)'"

stress: ## publish under load with TSan
	$(Q)$(MAKE) --no-print-directory V=tsan build/tsan/publish
	$(Q)TSAN_OPTIONS=halt_on_error=0:exitcode=66 timeout 300 build/tsan/publish

golden: all ## rewrite what tests/golden expects; review the diff
	$(Q)GOLDEN=write V=$(V) BUILD=$(abspath $(BUILD)) tests/system/run -k '^golden'

ci: ## what CI runs
	$(Q).ci/run

SHELL_SRC = examples/demo examples/lib.sh examples/02-weighted/canary $(wildcard examples/*/run) tests/layers.sh tests/fuzz/run.sh $(wildcard .ci/*.sh)
C_SRC     = $(shell find engine fs include bench examples tests -name node_modules -prune -o -name '*.[ch]' -print)
LGEN      = lgen lgen_ring lgen_client lgen_backend lgen_tls lgen_h2 meter wire
LGEN_SRC  = $(LGEN:%=bench/%.c)
FUZZ_SEC ?= 10

.SECONDARY:

$(BUILD)/lgen: $(LGEN_SRC:%.c=$(BUILD)/%.o)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/look: $(BUILD)/bench/look.o $(BASE:%=$(BUILD)/engine/base/%.o)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/target: $(BUILD)/examples/target.o
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.o $(LIB_OBJ)
	$(Q)$(CC) $(CFLAGS) -fsanitize=fuzzer -o $@ $^ $(LDLIBS)

deps: ## install what building, the demo and the tests need (apt-get; root)
	@.ci/deps.sh check

# Two steps: what the first installs is seen by the second.
demo: ## the main job: mount, build a service, shift weights; installs what it needs
	@.ci/deps.sh demo
	$(Q)$(MAKE) --no-print-directory all
	$(Q)BUILD=$(abspath $(BUILD)) examples/demo

examples: all ## run every example
	$(Q)for run in examples/*/run; do echo "== $$run"; BUILD=$(abspath $(BUILD)) $$run || exit 1; done

bench: ## CPU per request against nginx and HAProxy, changes, scale, memory; BENCH='--rounds 2 --only change'
	@.ci/deps.sh bench
	$(Q)$(MAKE) --no-print-directory all $(BUILD)/lgen $(BUILD)/look
	$(Q)bench/run --build $(BUILD) $(BENCH)

fuzz: ## run each fuzzer for FUZZ_SEC seconds (10)
	$(Q)tests/fuzz/run.sh $(FUZZ_SEC)

layers: $(LIB_OBJ) $(BUILD)/fs/main.o ## who includes whom
	$(Q)tests/layers.sh --self-test
	$(Q)tests/layers.sh $(BUILD)

lint: layers ## format, sizes, man pages, shell syntax
	$(Q)clang-format --dry-run --Werror $(C_SRC)
	$(Q).ci/numbers.sh
	$(Q).ci/manual.sh
	$(Q)for f in $(SHELL_SRC); do bash -n $$f || exit 1; done

format: ## clang-format everything
	$(Q)clang-format -i $(C_SRC)

cov: ## line coverage of the unit tests, by file
	$(Q)$(MAKE) --no-print-directory V=cov build/cov/unit
	$(Q)find build/cov -name '*.gcda' -delete
	$(Q)build/cov/unit -j2 >/dev/null
	$(Q)find build/cov -name '*.gcda' -exec gcov -n {} + 2>/dev/null | awk -F"'" '/^File/ { f = $$2 } \
	    /^Lines/ && f ~ /^(engine|fs)\// { sub(/.*:/, ""); print f "\t" $$0; f = "" }' | sort -u | expand -t 40

install: all ## to $(DESTDIR)$(PREFIX)
	install -D -m 755 $(BUILD)/latticefs $(DESTDIR)$(PREFIX)/bin/latticefs
	install -D -m 644 fs/latticefs.8 $(DESTDIR)$(PREFIX)/share/man/man8/latticefs.8
	install -D -m 644 fs/latticefs.5 $(DESTDIR)$(PREFIX)/share/man/man5/latticefs.5

uninstall: ## remove what install put there
	rm -f $(DESTDIR)$(PREFIX)/bin/latticefs $(DESTDIR)$(PREFIX)/share/man/man8/latticefs.8 \
	    $(DESTDIR)$(PREFIX)/share/man/man5/latticefs.5

clean: ## remove what was built
	rm -rf build

help: ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*##/\t/' | expand -t 12

.PHONY: all unit check system asan stress golden ci deps demo examples bench fuzz layers lint format cov \
        install uninstall clean help
