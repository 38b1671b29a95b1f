/* storedir.h - a store in a directory of its own, for the tests of store and undo. */
#ifndef STOREDIR_H
#define STOREDIR_H

#include "../../fs/store.h"
#include <criterion/criterion.h>
#include <stdio.h>

static char storedir_path[64];
static struct store store;
static const struct owner storedir_owner = {.mode = 0644};

static inline void
storedir_reopen(void)
{
	const char *why;

	store_close(&store);
	cr_assert_eq(store_open(&store, storedir_path, false, true, &why), 0, "%s", why);
}

static inline void
storedir_up(void)
{
	const char *why;

	snprintf(storedir_path, sizeof(storedir_path), "/tmp/latticefs-store-XXXXXX");
	cr_assert_not_null(mkdtemp(storedir_path));
	cr_assert_eq(store_open(&store, storedir_path, false, true, &why), 0, "%s", why);
	store.sweep = false;
}

static inline void
storedir_forget(void *ctx, const char *name, unsigned type)
{
	cr_expect_eq(store_remove(&store, name), 0, "%s", name);
}

static inline void
storedir_down(void)
{
	store_list(&store, "", storedir_forget, NULL);
	store_close(&store);
	rmdir(storedir_path);
}

static inline void
storedir_put(const char *path, const char *text)
{
	cr_assert_eq(store_put(&store, path, str_of(text), &storedir_owner, false), 0, "%s", path);
}

static inline void
storedir_mkdir(const char *path)
{
	struct owner o = {.mode = 0755};

	cr_assert_eq(store_mkdir(&store, path, &o, false), 0, "%s", path);
}

/* The text at path; "-" when there is none. */
static inline const char *
storedir_text(const char *path)
{
	static char buf[256];
	ssize_t n = store_read(&store, path, buf, sizeof(buf) - 1);

	if (n < 0)
		return "-";
	buf[n] = '\0';
	return buf;
}

#endif
