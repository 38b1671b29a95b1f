/* model.h - what the tree says, as objects; edits that can be taken back; compiled into tables.
 *
 * One mutable model, control thread only. An edit changes it, is tried (checked and compiled against the
 * served table), and is then committed or aborted; aborting restores the model exactly. Objects keep their
 * identity (and so their counters) for as long as their directory stays.
 */
#ifndef MODEL_H
#define MODEL_H

#include "diag.h"
#include "schema.h"
#include "table.h"

struct authority;
struct model;
struct edit;

/* Knows the numbers (netns.h) behind the names of namespaces. */
struct netns_source {
	/* 0: the daemon's own; SLOT_NONE: not there now, model_netns_moved tells when that changes. listens:
	 * services will be offered in it. */
	uint32_t (*find)(struct netns_source *s, const char *name, bool listens);
	/* What is wrong with one that is not there; empty when it just is not there. */
	const char *(*why)(struct netns_source *s, const char *name);
	/* Why none but the daemon's own can be had, or NULL. */
	const char *(*refusal)(const struct netns_source *s);
};

/* How many of something there may be: what would be more is refused with EDQUOT. 0: as many as you like. */
struct quotas {
	unsigned services, networks, vpcs, target_groups;
	unsigned listeners_per_service, rules_per_listener, targets_per_group;
};

struct model_config {
	const char *suffix;  /* of generated names: lattice.internal */
	const char *account; /* twelve digits */
	const char *region;
	const char *mountpoint;	     /* absolute: links may be written with it; NULL in -t */
	struct netns_source *netns;  /* NULL: no namespace is there but the daemon's own */
	struct authority *authority; /* NULL: who has no certificate is served without one (-t, tests) */
	struct quotas quotas;
};

/* Where a tree is read from: the store, or the store overlaid with what a hold put aside. */
struct source {
	/* Calls each(name, DT_* type) for every entry but . and ..; -ENOENT when there is no such directory.
	 */
	int (*list)(struct source *s, const char *path,
	    void (*each)(void *ctx, const char *name, unsigned type), void *ctx);
	/* The whole file into buf: its length, -ENOENT, -EFBIG when it is longer than size, ... */
	ssize_t (*read)(struct source *s, const char *path, char *buf, size_t size);
	ssize_t (*readlink)(struct source *s, const char *path, char *buf, size_t size);
};

struct model *model_new(const struct model_config *c, struct slots *counters);
void model_free(struct model *m);

/* ------------------------------------------------------------------ judging a text, without a model */

enum verdict { VERDICT_GOOD, VERDICT_PARTIAL, VERDICT_BAD };
/*
 * The text of the attribute or target file at path, as far as it is written. final: no more will come
 * (PARTIAL is then not returned). GOOD only when the text is complete as it stands: for one-line files after
 * a value line that ends in a newline (or final), for files of several lines only when final. PARTIAL: may
 * still become good. BAD: no continuation can make it good (or final and wrong); d is filled, err EINVAL.
 */
enum verdict model_judge(const char *path, struct str text, bool final, struct diag *d);

/* ------------------------------------------------------------------ edits */

enum edit_mode {
	EDIT_STRICT, /* every step must be right */
	EDIT_HELD,   /* texts must parse; references, duplicates and uses are judged at the end */
	EDIT_BROKEN, /* nothing is refused: git at work, or a store edited by hand; problems are remembered */
};

struct edit *edit_new(struct model *m, enum edit_mode mode);
/* Each: 0 or -errno with d filled; after a failure the edit can only be aborted. Paths of SORT_INERT are
 * accepted and change nothing. Removing what is in use: -EBUSY (strict). */
int edit_put(struct edit *e, const char *path, struct str text, struct diag *d);     /* attribute or target */
int edit_link(struct edit *e, const char *path, const char *target, struct diag *d); /* association */
int edit_mkdir(struct edit *e, const char *path, struct diag *d);  /* object or collection */
int edit_remove(struct edit *e, const char *path, struct diag *d); /* whatever is there, with all below */
/* Makes everything at path what `from` has at from_path (nothing there: removed), keeping the identity of
 * objects that stay. With path "" and from_path "": the whole tree (the load at start). */
int edit_sync(struct edit *e, const char *path, struct source *from, const char *from_path, struct diag *d);
/*
 * Checks what the edit can have broken, then compiles all that changed since the last published table.
 * 0: *next is the new table, or NULL when nothing that serves changed. -errno: ds has the problems, the first
 * one's err is the answer. STRICT stops at the first; otherwise all are collected. In mode BROKEN objects
 * with problems are left out of the table, ds lists them, and the answer is 0 (the load at start).
 */
int edit_try(struct edit *e, const struct table *served, struct table **next, struct diags *ds);
/* Ends the edit and keeps it. published: the table that edit_try gave (or NULL: nothing to publish) is served
 * now, so nothing is pending any more. false: still pending (in a hold). */
void edit_commit(struct edit *e, bool published);
void edit_abort(struct edit *e);

/* Which listener's port a place stands for, as a problem with errno err, pointing at its port file. */
void model_explain_place(const struct model *m, uint32_t place, int err, struct diag *d);

/* ------------------------------------------------------------------ looking */

/* Every name that a VPC has in its netns, maybe more than once. */
void model_each_netns(const struct model *m, void (*each)(void *ctx, const char *name), void *ctx);
/* Marks the numbers (below NETNS_MAX) that the served table names. */
void model_mark_netns(const struct model *m, const struct table *served, bool *used);
/* The name stands for another namespace now: the next edit compiles its VPCs anew. Between two edits only. */
void model_netns_moved(struct model *m, const char *name);

/* Marks services whose certificate of the local CA is to be signed, anew or now that there is a CA: the next
 * edit compiles them. A part
 * of them at a time, from the service numbered *at on, which is then where to go on; 0: there are no more.
 * False: none was marked. Between two edits only. */
bool model_mark_renewals(struct model *m, const struct table *served, uint32_t *at);

bool model_has(const struct model *m, const char *path); /* an object directory that the model knows */
/* What names mean in the VPC at path, as hosts(5); nothing when it is no VPC, in no network or not there. */
void model_print_hosts(const struct model *m, const char *path, const struct table *served, struct text *out);
/* Number of objects of a kind. */
uint32_t model_count(const struct model *m, enum kind kind);
/* All present problems of the model as it stands (a hold's list), and the table it would give: what edit_try
 * of an empty edit answers. */

#endif
