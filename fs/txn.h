/* txn.h - the tree and its changes: each all or nothing, in the model, the store and the engine. */
#ifndef TXN_H
#define TXN_H

#include "authority.h"
#include "engine.h"
#include "errors.h"
#include "events.h"
#include "hold.h"
#include "node.h"
#include "spaces.h"

/* All that the control thread owns. */
struct tree {
	struct store store;
	struct store_source source;
	struct errors errors;
	struct model *model;
	struct authority *authority;
	struct spaces *spaces;
	struct engine *engine;
	struct slots slots;
	struct inodes inodes;
	struct hold hold;
	struct events events;
	struct list removals; /* struct removal, oldest first */
	struct list dirs;     /* struct dir: the open ones */
	struct list withheld; /* paths that the load left out because a socket could not be had */
	bool moved;	      /* namespaces have, and what is served does not show it yet */
	uint64_t heal_ms, sweep_ms, renew_ms;
	uint32_t renew_at; /* the service that the renewal of certificates goes on with; 0: it is done */
	uid_t uid;	   /* who asked for the change at hand: refusals are theirs */
	struct apply {
		uint64_t unix_ms, parse_us, compile_us, publish_us;
	} last;
	uint64_t changed_unix_ms; /* of what is served or held */
	uint64_t started_ms;
	bool show; /* list virtual entries */
};

/* One change, from its first edit to the end. */
struct txn {
	struct tree *tree;
	struct edit *edit;
	struct table *next;
	bool prepared;
	uint32_t netns; /* after a failure: where the socket was that could not be had; 0: in our own, or none
			   was */
	struct diag diag;
	uint64_t began, parsed, compiled, published;
};

void txn_begin(struct tree *t, struct txn *x, enum edit_mode mode);
/* Checks, compiles and opens what is new; outside of a hold only. 0 or -errno with x->diag filled. */
int txn_prepare(struct txn *x);
void txn_commit(struct txn *x); /* of what was prepared; in a hold it is pending */
void txn_abort(struct txn *x);
/* Commits, or aborts and records the refusal: rc. */
int txn_end(struct txn *x, const char *path, int rc);
/* Of edits made now. */
enum edit_mode txn_mode(const struct tree *t);
/* A refusal that no edit made. */
int txn_refuse(struct tree *t, int err, const char *path, const char *fmt, ...) PRINTF(4, 5);
void txn_refuse_diag(struct tree *t, const struct diag *d);

/* What is at path, given its mode: SORT_INERT when its type is not what the schema has there. */
enum sort txn_sort(const char *path, mode_t mode);
bool txn_is_live(const char *path, mode_t mode);
bool txn_is_dotted(const char *path); /* at or below a leading dot */
/* May this be made? A refusal is recorded. */
int txn_may_create(struct tree *t, const char *path, bool is_dir);

/* The changes. 0 or -errno, refusals recorded. A draft that is put is in the store then. */
int txn_put(struct tree *t, const char *path, struct str text, struct inode *draft, const struct owner *o);
int txn_try(struct tree *t, const char *path, struct str text); /* would txn_put refuse it? Nothing changes */
int txn_mkdir(struct tree *t, const char *path, const struct owner *o);
int txn_rmdir(struct tree *t, const char *path);
int txn_unlink(struct tree *t, const char *path);
int txn_symlink(struct tree *t, const char *path, const char *target, const struct owner *o);
int txn_link(struct tree *t, const char *from, const char *to);
/* shared: somebody has `from` open for writing. */
int txn_rename(struct tree *t, const char *from, const char *to, unsigned flags, bool shared);

/* The load at start: never refused, problems recorded and printed to stderr. Returns their number. */
size_t txn_load(struct tree *t);
/* Tries again what the load left out. True: there is something left. */
bool txn_retry(struct tree *t);
void txn_fini(struct tree *t);

#endif
