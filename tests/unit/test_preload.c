/* test_preload.c - a store read ahead answers what the store answers. */
#include "../../fs/preload.h"
#include "limits.h"
#include "storedir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#define SERVICES 200 /* more than are worth a thread */
#define THREADS 4

TestSuite(preload, .init = storedir_up, .fini = storedir_down);

static struct store_source source;
static struct preload *ahead;

static void
make_service(unsigned i)
{
	char path[64], text[32];

	snprintf(path, sizeof(path), "services/s%u", i);
	storedir_mkdir(path);
	snprintf(path, sizeof(path), "services/s%u/listeners", i);
	storedir_mkdir(path);
	snprintf(path, sizeof(path), "services/s%u/listeners/web", i);
	storedir_mkdir(path);
	snprintf(path, sizeof(path), "services/s%u/listeners/web/port", i);
	snprintf(text, sizeof(text), "%u\n", 1000 + i);
	storedir_put(path, text);
	snprintf(path, sizeof(path), "services/s%u/notes", i);
	storedir_put(path, "of no schema\n");
}

static void
make_services(void)
{
	storedir_mkdir("services");
	for (unsigned i = 0; i < SERVICES; i++)
		make_service(i);
}

static struct source *
begin(void)
{
	store_source_init(&source, &store);
	ahead = preload_new(&store, &source.source, THREADS);
	return preload_source(ahead);
}

/* ------------------------------------------------------------------ the whole tree, as one text */

struct entries {
	char *names[SERVICES + 64];
	size_t n;
};

static void
note_entry(void *ctx, const char *name, unsigned type)
{
	struct entries *e = ctx;

	cr_assert(e->n < COUNT(e->names));
	e->names[e->n++] = xasprintf("%s %u", name, type);
}

static int
compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What s says of path and all below: lists, texts and links, or the errors. */
static void
tell(struct source *s, const char *path, struct text *out)
{
	static char buf[ATTRIBUTE_BYTES_MAX];
	struct entries e = {0};
	int rc = s->list(s, path, note_entry, &e);
	ssize_t n;

	text_printf(out, "%s list %d\n", path, rc);
	n = s->read(s, path, buf, sizeof(buf));
	text_printf(out, "%s read %zd %.*s\n", path, n, (int)MAX(n, 0), buf);
	n = s->readlink(s, path, buf, sizeof(buf));
	text_printf(out, "%s link %zd %.*s\n", path, n, (int)MAX(n, 0), buf);
	qsort(e.names, e.n, sizeof(*e.names), compare);
	for (size_t i = 0; i < e.n; i++) {
		cleanup_free char *child = NULL;

		text_printf(out, "%s has %s\n", path, e.names[i]);
		*strrchr(e.names[i], ' ') = '\0';
		child = path[0] == '\0' ? xstrdup(e.names[i]) : xasprintf("%s/%s", path, e.names[i]);
		tell(s, child, out);
		free(e.names[i]);
	}
}

static void
expect_same(struct source *s)
{
	struct text here = {0}, there = {0};

	tell(&source.source, "", &there);
	tell(s, "", &here);
	cr_expect(here.len == there.len && memcmp(here.p, there.p, here.len) == 0);
	text_fini(&here);
	text_fini(&there);
}

/* ------------------------------------------------------------------ the same answers */

static void
put_bytes(const char *path, size_t n)
{
	char *bytes = xcalloc(1, n);

	memset(bytes, 'x', n);
	cr_assert_eq(store_put(&store, path, (struct str){bytes, (uint32_t)n}, &storedir_owner, false), 0);
	free(bytes);
}

Test(preload, gives_the_same_tree)
{
	struct owner o = {.mode = 0755};
	struct source *s;

	make_services();
	storedir_mkdir("target-groups");
	storedir_mkdir("services/empty");
	storedir_mkdir("services/unread");
	storedir_put("services/a-file", "x");
	put_bytes("services/s1/auth-policy", ATTRIBUTE_BYTES_MAX - 1);
	put_bytes("services/s2/auth-policy", ATTRIBUTE_BYTES_MAX);
	put_bytes("services/s3/auth-policy", ATTRIBUTE_BYTES_MAX + 1);
	storedir_put("services/s4/auth-policy", "");
	cr_assert_eq(store_symlink(&store, "services/s5/auth-policy", "../s4", &o, false), 0);
	cr_assert_eq(store_symlink(&store, "services/link", "s4", &o, false), 0);
	storedir_mkdir("services/s6/auth-policy");
	cr_assert_eq(mkfifoat(store.dir, "services/s7/auth-policy", 0600), 0);
	cr_assert_eq(store_chmod(&store, "services/unread", 0), 0);
	s = begin();
	cr_expect_neq(s, &source.source);
	expect_same(s);
	preload_free(ahead);
	store_chmod(&store, "services/unread", 0755);
}

/* Root may read every directory; who may not gets the store's error. */
Test(preload, says_what_the_store_says_of_what_cannot_be_read)
{
	struct source *s;
	char buf[32];

	make_services();
	cr_assert_eq(chmod(storedir_path, 0755), 0);
	cr_assert_eq(store_chmod(&store, "services/s8", 0), 0);
	cr_assert_eq(store_chmod(&store, "services/s9/listeners/web/port", 0), 0);
	if (geteuid() == 0)
		cr_assert_eq(seteuid(65534), 0);
	s = begin();
	cr_expect_neq(s, &source.source);
	cr_expect_eq(s->list(s, "services/s8", note_entry, NULL), -EACCES);
	cr_expect_eq(s->read(s, "services/s9/listeners/web/port", buf, sizeof(buf)), -EACCES);
	expect_same(s);
	preload_free(ahead);
	if (getuid() == 0)
		cr_assert_eq(seteuid(0), 0);
	store_chmod(&store, "services/s8", 0755);
}

Test(preload, answers_in_any_order_and_again)
{
	struct source *s;
	char path[64], text[32], buf[32];

	make_services();
	s = begin();
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned k = 0; k < SERVICES; k++) {
			unsigned i = k * 77 % SERVICES;
			ssize_t n;

			snprintf(path, sizeof(path), "services/s%u/listeners/web/port", i);
			snprintf(text, sizeof(text), "%u\n", 1000 + i);
			n = s->read(s, path, buf, sizeof(buf));
			cr_assert(
			    n == (ssize_t)strlen(text) && memcmp(buf, text, (size_t)n) == 0, "%s", path);
			cr_assert_eq(s->read(s, path, buf, 2), -EFBIG);
		}
	}
	cr_expect_eq(s->read(s, "services/s1/listeners/web/nothing", buf, sizeof(buf)), -ENOENT);
	cr_expect_eq(s->read(s, "services/nobody/name", buf, sizeof(buf)), -ENOENT);
	cr_expect_eq(s->read(s, "services/s", buf, sizeof(buf)), -ENOENT);
	preload_free(ahead);
}

/* ------------------------------------------------------------------ while it changes, and before it is asked
 */

Test(preload, a_file_that_vanishes_is_there_or_not)
{
	struct source *s;
	char path[64], buf[32];

	make_services();
	s = begin();
	for (unsigned i = SERVICES; i-- > 0;) {
		snprintf(path, sizeof(path), "services/s%u/listeners/web/port", i);
		cr_assert_eq(store_unlink(&store, path, false), 0);
	}
	for (unsigned i = 0; i < SERVICES; i++) {
		ssize_t n;

		snprintf(path, sizeof(path), "services/s%u/listeners/web/port", i);
		n = s->read(s, path, buf, sizeof(buf));
		cr_assert(n == -ENOENT || n == 5, "%s: %zd", path, n);
	}
	preload_free(ahead);
}

Test(preload, can_end_before_anything_is_asked)
{
	make_services();
	begin();
	preload_free(ahead);
	cr_expect_str_eq(storedir_text("services/s0/listeners/web/port"), "1000\n");
}

Test(preload, leaves_a_small_store_to_the_store)
{
	storedir_mkdir("services");
	make_service(1);
	cr_expect_eq(begin(), &source.source);
	preload_free(ahead);
}

Test(preload, hides_and_sweeps_what_a_crash_left)
{
	struct source *s;
	struct entries e = {0};
	struct stat st;
	int fd;

	make_services();
	fd = openat(store.dir, "services/s1/listeners/web/.latticefs.7", O_WRONLY | O_CREAT, 0600);
	cr_assert_geq(fd, 0);
	close(fd);
	for (unsigned sweep = 0; sweep < 2; sweep++) {
		store.sweep = sweep;
		s = begin();
		cr_expect_eq(s->list(s, "services/s1/listeners/web", note_entry, &e), 0);
		preload_free(ahead);
		cr_expect_eq(e.n, sweep + 1, "the port alone, each time");
		cr_expect_eq(
		    fstatat(store.dir, "services/s1/listeners/web/.latticefs.7", &st, 0), sweep ? -1 : 0);
	}
	store.sweep = false;
	while (e.n > 0)
		free(e.names[--e.n]);
}
