/* watch.c - tells the kernel which directories have new attributes, so that it may keep the others'. */
#include "watch.h"

#include <fuse_lowlevel.h>
#include <linux/limits.h>

struct watch {
	struct tree *tree;
	struct fuse_session *session;
};

static void
forget_attributes(struct fuse_session *session, const struct inode *n)
{
	/* Attributes alone: this waits for nobody, unlike the other notifications (libfuse,
	 * README.notifications). */
	if (n != NULL && n->nlookup > 0 && n->type == S_IFDIR)
		fuse_lowlevel_notify_inval_inode(session, n->id, -1, 0);
}

static void
on_moved(void *ctx, const char *path)
{
	struct watch *w = ctx;
	struct inode *n = w->tree->inodes.root;
	struct map_entry *e;
	char name[NAME_MAX + 1];
	size_t len;

	for (uint32_t i = 0; path == NULL && (e = map_next(&w->tree->inodes.by_id, &i));)
		forget_attributes(w->session, e->value);
	for (; path != NULL && n != NULL && path[len = strcspn(path, "/")] == '/'; path += len + 1) {
		if (len > NAME_MAX)
			return;
		memcpy(name, path, len);
		name[len] = '\0';
		n = inode_find(&w->tree->inodes, n, name);
	}
	if (path != NULL)
		forget_attributes(w->session, n);
}

void
watch_start(struct tree *t, struct fuse_session *session)
{
	static struct watch watch;

	watch = (struct watch){t, session};
	t->store.moved = on_moved;
	t->store.moved_ctx = &watch;
}
