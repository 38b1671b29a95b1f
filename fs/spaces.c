/* spaces.c - names of namespaces, looked up once and watched from then on. */
#include "spaces.h"
#include "list.h"
#include "log.h"
#include "map.h"
#include "netns.h"
#include "rights.h"
#include "routes.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define NAMES_DIR "/run/netns"

struct space {
	struct list link;
	uint32_t number;
	dev_t dev;
	ino_t ino;
	bool routed; /* some of our routes may be in it */
	bool ready;  /* all of them are */
	bool failed; /* nothing can be served in it now */
	char why[200];
};

/* A name that a VPC has, or had at the last sweep. */
struct alias {
	char *name;
	bool own;	     /* it is the daemon's */
	struct space *space; /* NULL: it is not there, or the daemon's own */
	bool again;	     /* it failed, and is tried again */
	char why[100];
};

struct spaces {
	struct netns_source source;
	struct map aliases;
	struct list all; /* struct space */
	struct slots numbers;
	dev_t own_dev;
	ino_t own_ino;
	const char *refusal;
	int inotify, mounts;
	bool looked;
};

/* ------------------------------------------------------------------ looking up */

static void
path_of(const char *name, char out[static 4096])
{
	snprintf(out, 4096, "%s%s", name[0] == '/' ? "" : NAMES_DIR "/", name);
}

/* Where the name may come: its directory, or else the one above, where that may come. */
static void
watch(struct spaces *s, const char *name)
{
	const uint32_t what = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO;
	char path[4096];
	char *slash;

	path_of(name, path);
	for (unsigned i = 0; i < 2 && (slash = strrchr(path, '/')) != NULL && slash > path; i++) {
		*slash = '\0';
		if (inotify_add_watch(s->inotify, path, what) >= 0)
			return;
	}
}

static struct space *
space_of(struct spaces *s, const struct stat *st)
{
	list_each(it, &s->all)
	{
		struct space *space = container_of(it, struct space, link);

		if (space->dev == st->st_dev && space->ino == st->st_ino)
			return space;
	}
	return NULL;
}

/* Takes fd. */
static struct space *
space_new(struct spaces *s, const struct stat *st, int fd, struct alias *a)
{
	uint32_t number = slots_take(&s->numbers);
	struct space *space;

	if (number >= NETNS_MAX) {
		slots_recycle(&s->numbers, number);
		close(fd);
		snprintf(a->why, sizeof(a->why), "there are %u namespaces already", NETNS_MAX - 1);
		return NULL;
	}
	space = xcalloc(1, sizeof(*space));
	*space = (struct space){.number = number, .dev = st->st_dev, .ino = st->st_ino};
	list_append(&s->all, &space->link);
	netns_add(number, fd);
	return space;
}

static void
look_up(struct spaces *s, struct alias *a)
{
	char path[4096];
	struct statfs fs;
	struct stat st;
	int fd;

	path_of(a->name, path);
	a->own = false;
	a->space = NULL;
	a->why[0] = '\0';
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		if (errno != ENOENT)
			snprintf(a->why, sizeof(a->why), "%s", strerror(errno));
		return;
	}
	/* `ip netns add` makes a plain file first and mounts the namespace on it a moment later. */
	if (fstatfs(fd, &fs) < 0 || fs.f_type != NSFS_MAGIC || ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET ||
	    fstat(fd, &st) < 0) {
		snprintf(a->why, sizeof(a->why), "it is no network namespace");
		close(fd);
		return;
	}
	a->own = st.st_dev == s->own_dev && st.st_ino == s->own_ino;
	a->space = a->own ? NULL : space_of(s, &st);
	if (a->own || a->space != NULL)
		close(fd);
	else
		a->space = space_new(s, &st, fd, a);
}

static bool
is_still(const struct spaces *s, const struct alias *a)
{
	char path[4096];
	struct stat st;

	path_of(a->name, path);
	if (stat(path, &st) < 0)
		return false;
	if (a->own)
		return st.st_dev == s->own_dev && st.st_ino == s->own_ino;
	return a->space != NULL && st.st_dev == a->space->dev && st.st_ino == a->space->ino;
}

static struct alias *
alias_get(struct spaces *s, const char *name)
{
	struct alias *a = map_find(&s->aliases, str_of(name));

	if (a != NULL)
		return a;
	a = xcalloc(1, sizeof(*a));
	a->name = xstrdup(name);
	map_put(&s->aliases, str_of(name), a);
	/* First the watch, so that nothing comes unseen between the two. */
	watch(s, name);
	look_up(s, a);
	s->looked = true;
	return a;
}

/* ------------------------------------------------------------------ what the model asks */

static uint32_t
find(struct netns_source *source, const char *name, bool listens)
{
	struct spaces *s = container_of(source, struct spaces, source);
	struct alias *a = alias_get(s, name);
	struct space *space = a->space;
	int rc;

	if (a->own)
		return 0;
	if (space == NULL || space->failed)
		return SLOT_NONE;
	if (listens && !space->ready) {
		rc = routes_add(space->number);
		space->routed = true;
		space->ready = rc == 0;
		space->failed = rc < 0;
		if (rc < 0)
			snprintf(
			    space->why, sizeof(space->why), "its routes cannot be set: %s", strerror(-rc));
	}
	return space->failed ? SLOT_NONE : space->number;
}

static const char *
why(struct netns_source *source, const char *name)
{
	struct spaces *s = container_of(source, struct spaces, source);
	struct alias *a = alias_get(s, name);

	return a->space != NULL && a->space->failed ? a->space->why : a->why;
}

static const char *
refusal(const struct netns_source *source)
{
	return container_of(source, struct spaces, source)->refusal;
}

struct netns_source *
spaces_source(struct spaces *s)
{
	return &s->source;
}

/* ------------------------------------------------------------------ what comes and goes */

void
spaces_watch(const struct spaces *s, int fds[static 2])
{
	fds[0] = s->inotify;
	fds[1] = s->mounts;
}

void
spaces_refresh(struct spaces *s, bool failed, spaces_fn *moved, void *ctx)
{
	char events[4096] __attribute__((aligned(8)));
	struct map_entry *it;

	while (read(s->inotify, events, sizeof(events)) > 0)
		continue;
	for (uint32_t i = 0; (it = map_next(&s->aliases, &i)) != NULL;) {
		struct alias *a = it->value;

		a->again = failed && a->space != NULL && a->space->failed;
	}
	for (uint32_t i = 0; (it = map_next(&s->aliases, &i)) != NULL;) {
		struct alias *a = it->value, before;

		/* A directory that came just now is watched from now on. */
		if (!a->own && a->space == NULL)
			watch(s, a->name);
		if (!a->again && is_still(s, a))
			continue;
		if (a->again)
			a->space->failed = a->space->ready = false;
		before = *a;
		look_up(s, a);
		s->looked = true;
		if (a->again || a->own != before.own || a->space != before.space)
			moved(ctx, a->name);
	}
}

void
spaces_fail(struct spaces *s, uint32_t number, const char *because, spaces_fn *moved, void *ctx)
{
	struct map_entry *it;

	for (uint32_t i = 0; (it = map_next(&s->aliases, &i)) != NULL;) {
		struct alias *a = it->value;

		if (a->space == NULL || a->space->number != number)
			continue;
		a->space->failed = true;
		snprintf(a->space->why, sizeof(a->space->why), "%s", because);
		moved(ctx, a->name);
	}
}

bool
spaces_waits(const struct spaces *s)
{
	struct map_entry *it;

	for (uint32_t i = 0; (it = map_next(&s->aliases, &i)) != NULL;) {
		const struct alias *a = it->value;

		if (a->name[0] == '/' || (!a->own && (a->space == NULL || a->space->failed)))
			return true;
	}
	return false;
}

/* ------------------------------------------------------------------ letting go */

static void
space_free(struct spaces *s, struct space *space)
{
	if (space->routed)
		routes_del(space->number);
	netns_del(space->number);
	slots_recycle(&s->numbers, space->number);
	list_del(&space->link);
	free(space);
}

static void
alias_free(struct alias *a)
{
	free(a->name);
	free(a);
}

static void
note_name(void *ctx, const char *name)
{
	struct map *named = ctx;

	map_put(named, str_of(name), named);
}

static void
sweep_aliases(struct spaces *s, const struct model *m)
{
	struct map named = {0}, kept = {0};
	struct map_entry *it;

	model_each_netns(m, note_name, &named);
	for (uint32_t i = 0; (it = map_next(&s->aliases, &i)) != NULL;) {
		struct alias *a = it->value;

		if (map_find(&named, str_of(a->name)) != NULL)
			map_put(&kept, str_of(a->name), a);
		else
			alias_free(a);
	}
	map_fini(&named);
	map_fini(&s->aliases);
	s->aliases = kept;
}

void
spaces_touch(struct spaces *s)
{
	s->looked = s->looked || s->aliases.n > 0 || !list_empty(&s->all);
}

bool
spaces_swept(const struct spaces *s)
{
	return !s->looked;
}

static bool
has_name(const struct spaces *s, const struct space *space)
{
	struct map_entry *it;

	for (uint32_t i = 0; (it = map_next(&s->aliases, &i)) != NULL;)
		if (((const struct alias *)it->value)->space == space)
			return true;
	return false;
}

void
spaces_sweep(struct spaces *s, const struct model *m, const struct table *served, bool alone)
{
	cleanup_free bool *used = xcalloc(NETNS_MAX, sizeof(*used));

	s->looked = false;
	sweep_aliases(s, m);
	model_mark_netns(m, served, used);
	list_each_safe(it, &s->all)
	{
		struct space *space = container_of(it, struct space, link);

		if (has_name(s, space))
			continue;
		if (alone && !used[space->number])
			space_free(s, space);
		else
			s->looked = true;
	}
}

/* ------------------------------------------------------------------ life */

struct spaces *
spaces_new(void)
{
	struct spaces *s = xcalloc(1, sizeof(*s));
	struct stat st;

	s->source = (struct netns_source){find, why, refusal};
	list_init(&s->all);
	slots_take(&s->numbers); /* 0 is our own */
	if (stat("/proc/thread-self/ns/net", &st) == 0) {
		s->own_dev = st.st_dev;
		s->own_ino = st.st_ino;
	}
	s->refusal = rights_missing();
	s->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	s->mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	if (s->inotify < 0 || s->mounts < 0)
		log_warn("namespaces that come and go are noticed late: %s", strerror(errno));
	return s;
}

void
spaces_free(struct spaces *s)
{
	struct map_entry *it;

	if (s == NULL)
		return;
	for (uint32_t i = 0; (it = map_next(&s->aliases, &i)) != NULL;)
		alias_free(it->value);
	map_fini(&s->aliases);
	list_each_safe(it2, &s->all) space_free(s, container_of(it2, struct space, link));
	slots_fini(&s->numbers);
	close(s->inotify);
	close(s->mounts);
	free(s);
}
