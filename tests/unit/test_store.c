/* test_store.c - the durable copy: whole files, nothing outside, nothing left behind. */
#include "storedir.h"
#include <errno.h>
#include <fcntl.h>

TestSuite(store, .init = storedir_up, .fini = storedir_down);

static void
count(void *ctx, const char *name, unsigned type)
{
	++*(unsigned *)ctx;
}

static unsigned
entries(const char *path)
{
	unsigned n = 0;

	cr_expect_eq(store_list(&store, path, count, &n), 0);
	return n;
}

Test(store, keeps_mode_and_owner_when_a_text_is_replaced)
{
	struct owner o = {.mode = 0640, .uid = geteuid(), .gid = getegid()};
	struct stat st, after;

	cr_assert_eq(store_put(&store, "f", STR("one"), &o, true), 0);
	cr_assert_eq(store_chmod(&store, "f", 0604), 0);
	cr_assert_eq(store_stat(&store, "f", &st), 0);
	cr_assert_eq(store_put(&store, "f", STR("two!"), &o, true), 0);
	cr_assert_eq(store_stat(&store, "f", &after), 0);
	cr_expect_eq(after.st_mode & 07777, 0604);
	cr_expect_eq(after.st_size, 4);
	cr_expect_neq(after.st_ino, st.st_ino, "replaced, not rewritten");
	cr_expect_eq(entries(""), 1, "nothing aside is left");
}

Test(store, an_open_reader_keeps_the_old_text)
{
	char buf[8] = "";
	int fd;

	storedir_put("f", "old");
	fd = store_file(&store, "f", O_RDONLY);
	storedir_put("f", "new");
	cr_expect_eq(read(fd, buf, sizeof(buf)), 3);
	cr_expect_str_eq(buf, "old");
	cr_expect_str_eq(storedir_text("f"), "new");
	close(fd);
}

Test(store, never_follows_a_link)
{
	static const char *const paths[] = {"out/passwd", "up/x", "loop/x", "in/f", "../x", "d/../../x"};
	struct stat st;

	storedir_mkdir("d");
	storedir_put("d/f", "x");
	cr_assert_eq(store_symlink(&store, "out", "/etc", &storedir_owner, false), 0);
	cr_assert_eq(store_symlink(&store, "up", "..", &storedir_owner, false), 0);
	cr_assert_eq(store_symlink(&store, "loop", "loop", &storedir_owner, false), 0);
	cr_assert_eq(store_symlink(&store, "in", "d", &storedir_owner, false), 0);
	cr_assert_eq(store_symlink(&store, "f", "d/f", &storedir_owner, false), 0);
	for (size_t i = 0; i < COUNT(paths); i++)
		cr_expect_lt(store_stat(&store, paths[i], &st), 0, "row %zu", i);
	cr_expect_str_eq(storedir_text("f"), "-", "nor to read");
}

Test(store, a_moved_directory_is_not_found_where_it_was)
{
	struct stat st;

	storedir_mkdir("a");
	storedir_put("a/f", "1");
	cr_expect_str_eq(storedir_text("a/f"), "1");
	cr_assert_eq(store_rename(&store, "a", "b", 0, true), 0);
	cr_expect_eq(store_stat(&store, "a/f", &st), -ENOENT);
	cr_expect_str_eq(storedir_text("b/f"), "1");
	storedir_mkdir("a");
	storedir_put("a/f", "2");
	cr_expect_str_eq(storedir_text("b/f"), "1");
	cr_expect_str_eq(storedir_text("a/f"), "2");
}

Test(store, a_text_aside_is_invisible_until_it_is_put)
{
	struct aside a;

	storedir_mkdir("d");
	cr_assert_eq(store_aside(&store, "d/f", &storedir_owner, &a), 0);
	cr_expect_eq(entries("d"), 0);
	cr_assert_eq(store_rename(&store, "d", "e", 0, false), 0);
	cr_assert_eq(store_aside_put(&store, &a, "e/f", STR("x"), true), 0, "though its directory has moved");
	cr_expect_eq(entries("e"), 1);
	cr_expect_str_eq(storedir_text("e/f"), "x");
	store_aside_drop(&a);
	cr_assert_eq(store_aside(&store, "e/g", &storedir_owner, &a), 0);
	store_aside_drop(&a);
	cr_expect_eq(store_rmdir(&store, "e", false), -ENOTEMPTY);
	cr_assert_eq(store_unlink(&store, "e/f", false), 0);
	cr_expect_eq(store_rmdir(&store, "e", false), 0, "nothing is left in it");
}

Test(store, what_a_crash_left_aside_is_swept_away)
{
	char path[128];
	struct aside a;

	storedir_mkdir("d");
	cr_assert_eq(store_aside(&store, "d/f", &storedir_owner, &a), 0);
	snprintf(path, sizeof(path), "%s/d/" STORE_ASIDE "%u", storedir_path, a.number);
	cr_assert_eq(access(path, F_OK), 0);
	close(a.fd);
	close(a.dir);
	storedir_reopen();
	cr_expect_eq(entries("d"), 0);
	cr_expect_eq(access(path, F_OK), -1);
	store.sweep = false;
}

Test(store, unshare_gives_a_file_of_its_own)
{
	struct stat st;
	int fd;

	storedir_put("a", "x");
	cr_assert_eq(store_link(&store, "a", "b", false), 0);
	fd = store_file(&store, "a", O_WRONLY);
	cr_assert_eq(store_unshare(&store, "a"), 0);
	cr_assert_eq(write(fd, "changed", 7), 7);
	close(fd);
	cr_expect_str_eq(storedir_text("a"), "x");
	cr_expect_str_eq(storedir_text("b"), "changed");
	cr_assert_eq(store_stat(&store, "a", &st), 0);
	cr_expect_eq(st.st_nlink, 1);
}

Test(store, a_set_group_id_directory_passes_its_group_on)
{
	struct owner dir = {.mode = 02775, .gid = getegid() == 0 ? 7 : getegid()},
		     o = {.mode = 0600, .gid = getegid()};
	struct stat st;

	dir.uid = o.uid = geteuid();
	cr_assert_eq(store_mkdir(&store, "d", &dir, false), 0);
	cr_assert_eq(store_put(&store, "d/f", STR(""), &o, false), 0);
	cr_assert_eq(store_mkdir(&store, "d/e", &o, false), 0);
	cr_assert_eq(store_stat(&store, "d/f", &st), 0);
	cr_expect_eq(st.st_gid, dir.gid);
	cr_assert_eq(store_stat(&store, "d/e", &st), 0);
	cr_expect_eq(st.st_gid, dir.gid);
	cr_expect(st.st_mode & S_ISGID);
}

Test(store, is_not_opened_twice)
{
	struct store other;
	const char *why;

	cr_expect_eq(store_open(&other, storedir_path, false, true, &why), -EWOULDBLOCK);
	cr_expect_not_null(strstr(why, "in use"));
	cr_expect_eq(store_open(&other, storedir_path, true, false, &why), 0, "checking it is allowed");
	store_close(&other);
}

Test(store, reads_no_more_than_there_is_room_for)
{
	char buf[4];

	storedir_put("f", "1234");
	cr_expect_eq(store_read(&store, "f", buf, 4), 4);
	storedir_put("f", "12345");
	cr_expect_eq(store_read(&store, "f", buf, 4), -EFBIG);
	storedir_mkdir("d");
	cr_expect_eq(store_read(&store, "d", buf, 4), -EINVAL);
	cr_expect_eq(store_read(&store, "none", buf, 4), -ENOENT);
}
