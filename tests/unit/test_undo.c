/* test_undo.c - a hold's log: an abort and a crash both find the tree as it was. */
#include "../../fs/undo.h"
#include "storedir.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

static struct undo undo;

static void
up(void)
{
	storedir_up();
	storedir_mkdir("a");
	storedir_mkdir("a/b");
	storedir_put("a/b/f", "old");
	storedir_put("a/g", "stays");
	cr_assert_eq(store_symlink(&store, "a/l", "target", &storedir_owner, false), 0);
	undo_init(&undo, &store, "test", 42);
}

static void
down(void)
{
	undo_drop(&undo);
	storedir_down();
}

TestSuite(undo, .init = up, .fini = down);

static void
record(const char *path)
{
	struct stat st;
	int rc = store_stat(&store, path, &st);

	cr_assert_eq(undo_record(&undo, path, rc < 0 ? NULL : &st, NULL, true), 0, "%s", path);
}

/* Replaces, removes and makes, each recorded before. */
static void
change(void)
{
	record("a/b/f");
	storedir_put("a/b/f", "new");
	record("a/b/f");
	store_unlink(&store, "a/b/f", false);
	record("a/b");
	store_rmdir(&store, "a/b", false);
	record("a/l");
	store_unlink(&store, "a/l", false);
	storedir_put("a/l", "a file now");
	record("n");
	storedir_mkdir("n");
	record("n/m");
	storedir_mkdir("n/m");
	storedir_put("n/m/f", "made");
}

static void
collect(void *ctx, const char *name, unsigned type)
{
	text_printf(ctx, "%s%s ", name, type == DT_DIR ? "/" : type == DT_LNK ? "@" : "");
}

static void
expect_tree(struct source *s)
{
	static const struct {
		const char *path, *has, *has_not;
	} rows[] = {
	    {"", "a/ ", "n"}, {"a", "b/ ", "n"}, {"a", "l@ ", "l "}, {"a", "g ", "n"}, {"a/b", "f ", "n"}};
	char buf[16] = "";
	struct text t = {0};

	for (size_t i = 0; i < COUNT(rows); i++) {
		text_clear(&t);
		cr_assert_eq(s->list(s, rows[i].path, collect, &t), 0, "row %zu", i);
		cr_expect_not_null(strstr(t.p, rows[i].has), "row %zu: %s", i, t.p);
		cr_expect_null(strstr(t.p, rows[i].has_not), "row %zu: %s", i, t.p);
	}
	text_fini(&t);
	cr_expect_eq(s->read(s, "a/b/f", buf, sizeof(buf)), 3);
	cr_expect_str_eq(buf, "old");
	cr_expect_eq(s->readlink(s, "a/l", buf, sizeof(buf)), 6);
	cr_expect_eq(s->list(s, "n", collect, &t), -ENOENT);
	cr_expect_eq(s->read(s, "n/m/f", buf, sizeof(buf)), -ENOENT);
}

Test(undo, an_abort_puts_everything_back)
{
	char target[16];
	struct stat st;

	cr_assert_eq(undo_begin(&undo), 0);
	change();
	cr_assert_eq(undo_restore(&undo), 0);
	cr_expect_str_eq(storedir_text("a/b/f"), "old");
	cr_expect_str_eq(storedir_text("a/g"), "stays");
	cr_expect_eq(store_readlink(&store, "a/l", target, sizeof(target)), 6);
	cr_expect_eq(store_stat(&store, "n", &st), -ENOENT);
}

Test(undo, shows_the_tree_as_it_was)
{
	change();
	expect_tree(undo_source(&undo));
}

Test(undo, a_crash_loses_none_of_it)
{
	const char *why = "";

	cr_assert_eq(undo_begin(&undo), 0);
	change();
	undo_close(&undo);
	storedir_reopen();
	cr_assert_eq(undo_open(&undo, &store, &why), 1, "%s", why);
	cr_expect_str_eq(undo.by, "test");
	cr_expect_eq(undo.since_unix_ms, 42);
	expect_tree(undo_source(&undo));
	cr_assert_eq(undo_restore(&undo), 0);
	cr_expect_str_eq(storedir_text("a/b/f"), "old");
}

Test(undo, a_torn_record_is_not_there_and_is_written_over)
{
	char path[128];
	const char *why;
	uint64_t end;

	cr_assert_eq(undo_begin(&undo), 0);
	record("a/g");
	end = undo.end;
	record("a/b/f");
	snprintf(path, sizeof(path), "%s/.hold/undo", storedir_path);
	for (uint64_t cut = undo.end - 1; cut >= end; cut -= 7) {
		undo_close(&undo);
		cr_assert_eq(truncate(path, (off_t)cut), 0);
		cr_assert_eq(undo_open(&undo, &store, &why), 1);
		cr_expect_eq(undo.records.n, 1, "cut at %llu", (unsigned long long)cut);
		cr_expect_eq(undo.end, end);
		record("a/b/f");
	}
	undo_close(&undo);
	cr_assert_eq(undo_open(&undo, &store, &why), 1);
	cr_expect_eq(undo.records.n, 2);
}

Test(undo, a_log_without_its_beginning_is_no_hold)
{
	const char *why;
	int fd;

	cr_assert_eq(mkdirat(store.dir, ".hold", 0700), 0);
	fd = openat(store.dir, ".hold/undo", O_WRONLY | O_CREAT, 0600);
	cr_assert_eq(write(fd, "UND", 3), 3);
	close(fd);
	cr_expect_eq(undo_open(&undo, &store, &why), 0);
	cr_expect_eq(faccessat(store.dir, ".hold", F_OK, 0), -1, "and it is gone");
}

Test(undo, a_draft_goes_back_to_where_it_came_from)
{
	struct stat st;

	storedir_mkdir(".draft");
	storedir_put(".draft/f", "mine");
	cr_assert_eq(undo_record(&undo, "s", NULL, ".draft", true), 0);
	cr_assert_eq(store_rename(&store, ".draft", "s", 0, false), 0);
	cr_assert_eq(undo_restore(&undo), 0);
	cr_expect_str_eq(storedir_text(".draft/f"), "mine");
	cr_expect_eq(store_stat(&store, "s", &st), -ENOENT);
}

Test(undo, nothing_is_written_before_the_first_record)
{
	cr_expect(undo_is_empty(&undo));
	cr_expect_eq(faccessat(store.dir, ".hold", F_OK, 0), -1);
	record("a/g");
	cr_expect_not(undo_is_empty(&undo));
	cr_expect_eq(faccessat(store.dir, ".hold/undo", F_OK, 0), 0);
	undo_drop(&undo);
	cr_expect_eq(faccessat(store.dir, ".hold", F_OK, 0), -1);
}
