/* handle.c - an open file, and when its text is judged: as soon as an answer can still be seen. */
#include "handle.h"
#include "limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

static struct handle *
handle_new(struct inode *n, enum handle_kind kind, int flags, uid_t uid, pid_t pid)
{
	struct handle *h = xcalloc(1, sizeof(*h));

	h->magic = HANDLE_MAGIC;
	h->kind = kind;
	h->inode = n;
	h->fd = -1;
	h->flags = flags;
	h->uid = uid;
	h->opener = pid;
	list_append(&n->handles, &h->of_inode);
	return h;
}

static void
handle_free(struct handle *h)
{
	list_del(&h->of_inode);
	if (h->reader != NULL)
		event_close(h->reader);
	if (h->fd >= 0)
		close(h->fd);
	text_fini(&h->text);
	h->magic = 0;
	free(h);
}

static bool
writes(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY;
}

/* ------------------------------------------------------------------ refusals */

/* Nothing that this handle writes counts any more. A file that never was is not there, and what it should
 * have replaced is back. */
static int
poison(struct tree *t, struct handle *h, int rc)
{
	struct inode *n = h->inode;
	char path[PATH_MAX];
	bool draft = n->draft, named = inode_path(n, path) == 0;

	assert(rc < 0);
	h->poison = -rc;
	h->dirty = h->truncated = false;
	if (draft)
		inode_refused(&t->inodes, n);
	if (draft && named)
		settle_restore(t, path);
	return rc;
}

static struct str
text_of(const struct handle *h)
{
	return (struct str){h->text.p == NULL ? "" : h->text.p, (uint32_t)h->text.len};
}

/* The text as it stands becomes the file. */
static int
commit(struct tree *t, struct handle *h)
{
	char path[PATH_MAX];
	int rc;

	t->uid = h->uid;
	/* Written to a file that has no name any more. */
	if (inode_path(h->inode, path) < 0) {
		h->dirty = h->truncated = false;
		return 0;
	}
	rc = txn_put(t, path, text_of(h), h->inode, &h->owner);
	if (rc < 0)
		return poison(t, h, rc);
	h->dirty = h->truncated = false;
	if (h->timed)
		store_times(&t->store, path, h->times);
	if (h->fd >= 0)
		close(h->fd);
	h->fd = store_file(&t->store, path, O_RDONLY);
	return 0;
}

/* ------------------------------------------------------------------ opening */

/* The text that is there, for a handle that changes a part of it. */
static int
load_text(struct handle *h)
{
	char block[4096];
	ssize_t n;

	while ((n = read(h->fd, block, sizeof(block))) > 0) {
		if (h->text.len + (size_t)n > ATTRIBUTE_BYTES_MAX)
			return -EFBIG;
		text_add(&h->text, block, (size_t)n);
	}
	return n < 0 ? -errno : 0;
}

static int
open_gather(
    struct tree *t, struct inode *n, const char *path, int flags, uid_t uid, pid_t pid, struct handle **out)
{
	struct handle *h = handle_new(n, HANDLE_GATHER, flags, uid, pid);
	int rc = 0;

	if (!n->draft) {
		h->fd = store_file(&t->store, path, O_RDONLY);
		rc = h->fd < 0 ? h->fd : 0;
	}
	if (rc == 0 && flags & O_TRUNC)
		h->truncated = true;
	else if (rc == 0 && h->fd >= 0)
		rc = load_text(h);
	/* What is appended to can only grow, too. */
	h->fresh = h->text.len == 0 || flags & O_APPEND;
	if (rc < 0)
		handle_free(h);
	else
		*out = h;
	return rc;
}

static int
open_view(
    struct tree *t, struct inode *n, const char *path, int flags, uid_t uid, pid_t pid, struct handle **out)
{
	struct handle *h;

	if (!writes(flags) && n->view == VIEW_EVENTS) {
		h = handle_new(n, HANDLE_EVENTS, flags, uid, pid);
		h->reader = event_open(&t->events);
	} else if (!writes(flags)) {
		h = handle_new(n, HANDLE_VIEW, flags, uid, pid);
		view_render(t, n->view, path, uid, &h->text);
	} else if (n->view != VIEW_HOLD) {
		return -EROFS;
	} else if ((flags & (O_TRUNC | O_APPEND)) == 0) {
		/* touch, while the tree is held. */
		return txn_refuse(t, EBUSY, path, "the tree is held already, by %s", t->hold.by);
	} else {
		h = handle_new(n, HANDLE_HOLD, flags, uid, pid);
	}
	*out = h;
	return 0;
}

/* In place, so what the hold may have to put back is recorded before, and no schema file may share it. */
static int
open_plain(
    struct tree *t, struct inode *n, const char *path, int flags, uid_t uid, pid_t pid, struct handle **out)
{
	struct handle *h;
	int fd, rc;

	if ((writes(flags) || flags & O_TRUNC) && (rc = hold_record(t, path)) < 0)
		return rc;
	if ((fd = store_file(&t->store, path, flags & (O_ACCMODE | O_TRUNC))) < 0)
		return fd;
	h = handle_new(n, HANDLE_PLAIN, flags, uid, pid);
	h->fd = fd;
	h->schema = txn_is_live(path, S_IFREG);
	*out = h;
	return 0;
}

int
handle_open(struct tree *t, struct inode *n, int flags, uid_t uid, pid_t pid, struct handle **h)
{
	char path[PATH_MAX];
	struct stat st;
	int rc = inode_path(n, path);

	if (rc < 0)
		return rc;
	if (n->view != VIEW_NONE)
		return open_view(t, n, path, flags, uid, pid, h);
	if (n->draft)
		return open_gather(t, n, path, flags, uid, pid, h);
	if ((rc = store_stat(&t->store, path, &st)) < 0)
		return rc;
	if (!S_ISREG(st.st_mode))
		return S_ISLNK(st.st_mode) ? -ELOOP : S_ISDIR(st.st_mode) ? -EISDIR : -EPERM;
	if ((writes(flags) || flags & O_TRUNC) && txn_is_live(path, st.st_mode))
		return open_gather(t, n, path, flags, uid, pid, h);
	return open_plain(t, n, path, flags, uid, pid, h);
}

/* A new schema file. A target is in force as it is; of anything else the text must come first. */
static int
create_gather(struct tree *t, struct inode *n, const char *path, struct handle *h)
{
	struct aside a;
	struct spot spot;
	struct stat st;
	int rc;

	if (store_stat(&t->store, path, &st) == 0)
		return -EEXIST;
	if ((rc = store_aside(&t->store, path, &h->owner, &a)) < 0)
		return rc;
	inode_draft(&t->inodes, n, a);
	h->fresh = h->truncated = true;
	schema_spot(path, false, &spot);
	return spot.sort == SORT_MEMBER ? commit(t, h) : 0;
}

int
handle_create(
    struct tree *t, struct inode *n, int flags, const struct owner *o, pid_t pid, struct handle **out)
{
	char path[PATH_MAX];
	struct handle *h;
	int rc;

	if ((rc = inode_path(n, path)) < 0 || (rc = txn_may_create(t, path, false)) < 0)
		return rc;
	if (txn_is_live(path, S_IFREG)) {
		h = handle_new(n, HANDLE_GATHER, flags, o->uid, pid);
		h->owner = *o;
		rc = create_gather(t, n, path, h);
	} else {
		h = handle_new(n, HANDLE_PLAIN, flags, o->uid, pid);
		h->owner = *o;
		if ((rc = hold_record(t, path)) == 0)
			h->fd = store_create(&t->store, path, flags, o);
		rc = rc < 0 ? rc : MIN(h->fd, 0);
	}
	if (rc < 0)
		handle_free(h);
	else
		*out = h;
	return rc;
}

/* ------------------------------------------------------------------ reading and writing */

struct str
handle_read(const struct handle *h, size_t size, off_t off)
{
	CHECK(h, HANDLE_MAGIC);
	if (off < 0 || (size_t)off >= h->text.len)
		return (struct str){"", 0};
	return (struct str){h->text.p + off, (uint32_t)MIN(size, h->text.len - (size_t)off)};
}

static void
text_put(struct text *text, const char *p, size_t size, size_t off)
{
	static const char zeros[256];
	size_t over;

	while (text->len < off)
		text_add(text, zeros, MIN(sizeof(zeros), off - text->len));
	over = MIN(size, text->len - off);
	if (over > 0)
		memcpy(text->p + off, p, over);
	text_add(text, p + over, size - over);
}

/* What the bytes at hand show already. */
static int
judge(struct tree *t, struct handle *h)
{
	struct str text = text_of(h);
	struct diag d = {0};
	struct spot spot;
	char path[PATH_MAX];
	int rc = 0;

	if (t->hold.git || inode_path(h->inode, path) < 0 || !txn_is_live(path, S_IFREG))
		return 0;
	switch (model_judge(path, text, false, &d)) {
	case VERDICT_BAD:
		txn_refuse_diag(t, &d);
		return poison(t, h, -d.err);
	case VERDICT_GOOD:
		return commit(t, h);
	default:
		/* Whole lines will not change any more: they are in force, or what they refer to must be
		 * there. */
		if (text.len == 0 || text.p[text.len - 1] != '\n' ||
		    model_judge(path, text, true, &d) != VERDICT_GOOD)
			return 0;
		schema_spot(path, false, &spot);
		if (spot.attribute != NULL && spot.attribute->steps)
			return commit(t, h);
		rc = txn_try(t, path, text);
		return rc < 0 ? poison(t, h, rc) : 0;
	}
}

static int
write_hold(struct tree *t, const char *p, size_t size)
{
	struct str word = {p, (uint32_t)size};

	if (word.len > 0 && word.p[word.len - 1] == '\n')
		word.len--;
	if (!str_eq(str_trim(word), STR("abort")))
		return txn_refuse(t, EINVAL, ".hold",
		    "write 'abort' to go back to what is served; remove .hold to put the changes in force");
	return t->hold.held ? hold_abort(t) : 0;
}

int
handle_write(struct tree *t, struct handle *h, const char *p, size_t size, off_t off, int flags)
{
	char path[PATH_MAX];
	int rc;

	CHECK(h, HANDLE_MAGIC);
	t->uid = h->uid;
	if (h->kind == HANDLE_HOLD)
		return write_hold(t, p, size);
	if (h->kind != HANDLE_GATHER)
		return -EBADF;
	if (h->poison != 0) {
		h->told = true;
		return -h->poison;
	}
	if (flags & O_APPEND)
		off = (off_t)h->text.len;
	if (off < 0 || (uint64_t)off + size > ATTRIBUTE_BYTES_MAX) {
		h->told = true;
		if (inode_path(h->inode, path) == 0)
			txn_refuse(t, EFBIG, path, "a file of the schema holds at most %u bytes",
			    ATTRIBUTE_BYTES_MAX);
		return poison(t, h, -EFBIG);
	}
	text_put(&h->text, p, size, (size_t)off);
	h->dirty = true;
	h->timed = false;
	rc = h->fresh ? judge(t, h) : 0;
	h->told = h->told || rc < 0;
	return rc;
}

int
handle_truncate(struct tree *t, struct handle *h, off_t size)
{
	CHECK(h, HANDLE_MAGIC);
	if (h->kind == HANDLE_PLAIN)
		return ftruncate(h->fd, size) < 0 ? -errno : 0;
	if (h->kind != HANDLE_GATHER)
		return h->kind == HANDLE_HOLD && size == 0 ? 0 : -EROFS;
	if (h->poison != 0)
		return -h->poison;
	if (size < 0 || size > (off_t)ATTRIBUTE_BYTES_MAX)
		return -EFBIG;
	if ((size_t)size > h->text.len) {
		text_put(&h->text, "", 0, (size_t)size);
		h->dirty = true;
	} else if ((size_t)size < h->text.len) {
		struct text cut = {0};

		text_add(&cut, h->text.p, (size_t)size);
		text_fini(&h->text);
		h->text = cut;
		/* Cut to nothing is only the beginning of something; cut to a part of it is a text. */
		h->dirty = size > 0;
	}
	h->truncated = true;
	h->fresh = h->fresh || size == 0;
	return 0;
}

/* ------------------------------------------------------------------ ending */

/* The opener, or another thread of it. */
static bool
is_opener(const struct handle *h, pid_t pid)
{
	char path[64];

	if (pid == h->opener)
		return true;
	snprintf(path, sizeof(path), "/proc/%d/task/%d", h->opener, pid);
	return access(path, F_OK) == 0;
}

int
handle_flush(struct tree *t, struct handle *h, pid_t pid)
{
	char path[PATH_MAX];
	bool told = h->told;
	int rc;

	CHECK(h, HANDLE_MAGIC);
	if (h->kind != HANDLE_GATHER)
		return 0;
	t->uid = h->uid;
	h->told = true;
	if (h->poison != 0)
		return told ? 0 : -h->poison;
	h->told = told;
	if (!h->dirty)
		return 0;
	/* The end of one of several writers, as in `{ a; b; } > f`: its text may go on. */
	if (!is_opener(h, pid) && inode_path(h->inode, path) == 0 &&
	    model_judge(path, text_of(h), true, NULL) == VERDICT_BAD)
		return 0;
	rc = commit(t, h);
	h->told = rc < 0;
	return rc;
}

int
handle_fsync(struct tree *t, struct handle *h)
{
	int rc = 0;

	CHECK(h, HANDLE_MAGIC);
	if (h->kind == HANDLE_GATHER) {
		t->uid = h->uid;
		h->told = h->told || h->poison != 0;
		rc = h->poison != 0 ? -h->poison : h->dirty ? commit(t, h) : 0;
	}
	if (rc == 0 && h->fd >= 0 && fsync(h->fd) < 0)
		rc = -errno;
	return rc == -EINVAL ? -EBADMSG : rc;
}

void
handle_release(struct tree *t, struct handle *h)
{
	struct inode *n = h->inode;
	bool last = true;

	CHECK(h, HANDLE_MAGIC);
	t->uid = h->uid;
	if (h->kind == HANDLE_GATHER && h->poison == 0 && (h->dirty || h->truncated))
		commit(t, h);
	list_each(it, &n->handles)
	{
		struct handle *other = container_of(it, struct handle, of_inode);

		last = last && (other == h || other->kind != HANDLE_GATHER);
	}
	if (last && n->draft)
		inode_refused(&t->inodes, n);
	handle_free(h);
	inode_settle(&t->inodes, n);
}

void
handle_close_all(struct tree *t)
{
	struct map_entry *e;

	for (uint32_t i = 0; (e = map_next(&t->inodes.by_id, &i)) != NULL;) {
		struct inode *n = e->value;

		list_each_safe(it, &n->handles) handle_free(container_of(it, struct handle, of_inode));
	}
}

int
handle_cut(struct tree *t, struct inode *n, off_t size, uid_t uid, pid_t pid)
{
	struct handle *h;
	int rc = handle_open(t, n, O_WRONLY, uid, pid, &h);

	if (rc < 0)
		return rc;
	rc = handle_truncate(t, h, size);
	if (rc == 0 && h->kind == HANDLE_GATHER)
		rc = commit(t, h);
	handle_release(t, h);
	return rc;
}

/* ------------------------------------------------------------------ what others may ask */

void
handle_set_times(struct inode *n, const struct timespec times[2])
{
	list_each(it, &n->handles)
	{
		struct handle *h = container_of(it, struct handle, of_inode);

		if (h->kind != HANDLE_GATHER || !h->dirty)
			continue;
		h->timed = true;
		h->times[0] = times[0];
		h->times[1] = times[1];
	}
}

off_t
handle_size(const struct inode *n, const struct handle *h)
{
	if (h == NULL && !list_empty(&n->handles) && n->handles.next == n->handles.prev)
		h = container_of(n->handles.next, struct handle, of_inode);
	if (h == NULL || h->kind != HANDLE_GATHER || h->poison != 0)
		return -1;
	return (off_t)h->text.len;
}

bool
handle_is_shared(const struct inode *n)
{
	list_each(it, &n->handles)
	{
		const struct handle *h = container_of(it, struct handle, of_inode);

		if (h->kind == HANDLE_PLAIN && writes(h->flags))
			return true;
	}
	return false;
}

int
handle_decide(struct tree *t, struct inode *n)
{
	list_each(it, &n->handles)
	{
		struct handle *h = container_of(it, struct handle, of_inode);

		if (n->draft && h->kind == HANDLE_GATHER && h->poison == 0)
			return commit(t, h);
	}
	return n->draft ? -ENOENT : 0;
}
