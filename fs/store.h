/* store.h - the durable copy: a plain directory that holds the tree byte for byte.
 *
 * Every path is relative to STORE and resolved beneath it without following a link. Files are replaced, never
 * rewritten: the text goes into a file aside in the same directory and is renamed to its place. With
 * `durable` a change is on the disk when the call returns; else it is as safe as the next sync.
 */
#ifndef STORE_H
#define STORE_H

#include "model.h"
#include <sys/stat.h>

#define STORE_ASIDE ".latticefs." /* and a number: a text not yet in its place; the name is reserved */
#define STORE_CA ".ca.pem"	  /* the local CA's: authority.h */
#define STORE_CA_KEY ".ca.key"
#define STORE_DIRS 8 /* directories kept at hand */

struct store {
	int dir; /* of STORE, locked against a second daemon */
	char *path;
	bool read_only;
	/* Told of a change that the kernel did not ask for by name: its directory has new times. NULL:
	 * everything. */
	void (*moved)(void *ctx, const char *path);
	void *moved_ctx;
	bool sweep;	 /* listing removes what a crash left aside */
	unsigned asides; /* made so far, for their names */
	struct store_dir {
		char *path;
		int fd;
		uint64_t used;
	} dirs[STORE_DIRS];
	uint64_t uses;
};

/* Who owns what is made, and with what mode; of a private file its 0600 at most. */
struct owner {
	mode_t mode;
	uid_t uid;
	gid_t gid;
};

/* -errno, and *why in a sentence. make: a missing STORE is made, and nobody else may serve it. */
int store_open(struct store *s, const char *path, bool read_only, bool make, const char **why);
void store_close(struct store *s);

int store_stat(struct store *s, const char *path, struct stat *st);
/* A descriptor of what is at path; flags as of open, O_NOFOLLOW implied. */
int store_file(struct store *s, const char *path, int flags);
/* The whole regular file: its length, -EFBIG when it is longer than size, -EINVAL when it is no regular file.
 */
ssize_t store_read(struct store *s, const char *path, char *buf, size_t size);
ssize_t store_readlink(struct store *s, const char *path, char *buf, size_t size);
int store_list(
    struct store *s, const char *path, void (*each)(void *ctx, const char *name, unsigned type), void *ctx);
bool store_is_aside(const char *name); /* a name that only the store itself uses */
/* A file called private-key: whatever mode it is given, on the disk it has those bits of 0600. */
bool store_is_private(const char *path);
bool store_is_empty(struct store *s, const char *path); /* a directory without entries */

/* Calls `moved`, when there is one. */
void store_moved(struct store *s, const char *path);

/* A file whose text is not in its place yet. */
struct aside {
	int fd;	 /* -1: none */
	int dir; /* where its name is; a directory may be moved meanwhile */
	unsigned number;
};
/* What is made in the directory of path belongs to o, or to the group of a set-group-id directory. */
int store_aside(struct store *s, const char *path, const struct owner *o, struct aside *a);
/* Its text is `text`, and it takes the place of what is at path. The descriptor stays open. */
int store_aside_put(struct store *s, struct aside *a, const char *path, struct str text, bool durable);
void store_aside_drop(struct aside *a);	  /* removed, and the descriptor is closed */
void store_aside_unlink(struct aside *a); /* removed; the descriptor stays */

/* Replaces the text at path, keeping mode and owner; a new file belongs to o. */
int store_put(struct store *s, const char *path, struct str text, const struct owner *o, bool durable);
/* Opens a file to be made at path: the descriptor. */
int store_create(struct store *s, const char *path, int flags, const struct owner *o);
int store_mkdir(struct store *s, const char *path, const struct owner *o, bool durable);
int store_symlink(struct store *s, const char *path, const char *target, const struct owner *o, bool durable);
int store_link(struct store *s, const char *from, const char *to, bool durable);
int store_unlink(struct store *s, const char *path, bool durable);
int store_rmdir(struct store *s, const char *path, bool durable);
int store_rename(struct store *s, const char *from, const char *to, unsigned flags, bool durable);
int store_remove(struct store *s, const char *path); /* whatever is there, with all below */
/* Gives path a file of its own again: no other name and no open descriptor shares it any more. */
int store_unshare(struct store *s, const char *path);
int store_chmod(struct store *s, const char *path, mode_t mode);
int store_chown(struct store *s, const char *path, uid_t uid, gid_t gid);
int store_times(struct store *s, const char *path, const struct timespec times[2]);
int store_durable(struct store *s, const char *path); /* a file and its name are on the disk */
int store_sync(struct store *s);

/* The store as the model reads it. */
struct store_source {
	struct source source;
	struct store *store;
};
void store_source_init(struct store_source *x, struct store *s);

#endif
