/* object.h - the model from inside: entries, objects, edits. Private to model.c, check.c, compile.c,
 * status.c. */
#ifndef OBJECT_H
#define OBJECT_H

#include "map.h"
#include "parse.h"

/* What an object is: the public kinds, and the entries of directories that hold no objects. */
enum { NODE_TARGET = KINDS, NODE_INSTANCE, NODE_SERVICE_LINK, NODE_VPC_LINK };

/* Sorted by name. */
struct kids {
	struct node **at;
	uint32_t n, size;
	uint32_t known; /* so many were there at the last publish: bounds are for those that come */
};

/*
 * An object of the tree, a target, an instance or an association. kids[0]: listeners of a service, rules of a
 * listener, targets of a group, instances of a VPC, service links of a network; kids[1]: VPC links of a
 * network.
 */
struct node {
	unsigned what;
	char *name;
	struct node *parent; /* NULL: a service, group, network or VPC */
	struct entry *entry; /* of those */
	uint64_t stamp;	     /* the edit that made it: who came later is to blame */
	bool wrong;	     /* left out; says the check at hand, of nodes below a dirty entry */
	struct value *values[ATTRIBUTES_MAX]; /* targets, instances and links have one */
	struct kids kids[2];
};

/* A problem as it is kept: the reminder of .hold is added only when a step is refused. */
struct problem {
	struct diag d;
	bool remind;
	uint32_t same; /* so many bytes of the message tell whether it is known; 0: all */
};

struct problems {
	struct problem *all;
	uint32_t n, size;
};

#define ENTRY_MAGIC 0xe9712e00u
/* A name of one of the four top kinds: lives while an object, a reference or the served table has it. */
struct entry {
	unsigned magic;
	enum kind kind;
	char *name;
	struct node *node;	    /* NULL: referred to, but not there */
	struct list uses;	    /* struct reference.link */
	uint32_t index;		    /* of the table's service or group; number of a network's scope */
	uint32_t dirty;		    /* one more than its position in model.dirty; 0 = clean */
	bool served;		    /* the served table has its part */
	bool asked;		    /* of a group: by the try at hand, whether it is in use */
	const struct service *next; /* of a dirty service: what the try at hand serves of it, or NULL */
	struct problems problems;   /* known and lived with */
	struct problems found;	    /* by the check at hand */
};

/* An address and port that somebody listens on or soon will. */
struct place_record {
	struct addr addr;
	uint32_t vpc, index, serial;
	bool touched; /* stands in edit.places */
};

#define MODEL_MAGIC 0x30de1000u
struct model {
	unsigned magic;
	char *suffix, *account, *region, *mountpoint;
	struct netns_source *netns;  /* may be NULL */
	struct authority *authority; /* may be NULL */
	struct slots *counters;
	struct map names[KINDS]; /* struct entry by name; the four top kinds */
	struct slots indices[KINDS];
	uint32_t counts[KINDS];
	uint32_t known[KINDS]; /* the same at the last publish */
	struct quotas quotas;
	struct entry **dirty; /* to be compiled before the next publish */
	uint32_t ndirty, dirty_size;
	bool reach_dirty; /* where networks reach may have changed */
	uint32_t nbad_links;
	struct map places; /* struct place_record by key */
	struct slots place_indices;
	uint32_t place_serial, edition;
	uint64_t stamp;
	struct edit *edit; /* the one that is open */
};

enum undo_op { UNDO_VALUE, UNDO_ADD, UNDO_REMOVE };

struct undo {
	enum undo_op op;
	struct node *node;
	uint32_t index;
	struct value *old;
};

#define EDIT_MAGIC 0xed170000u
struct edit {
	unsigned magic;
	struct model *m;
	enum edit_mode mode;
	struct undo *undo;
	uint32_t nundo, undo_size;
	uint32_t ndirty; /* of the model when it began */
	bool reach_dirty;
	/* The last try. */
	bool tried;
	const struct table *served, *next;
	uint32_t *taken; /* counter slots that only its table uses */
	uint32_t ntaken, taken_size;
	struct place_record **places; /* whose use it may have changed */
	uint32_t nplaces, places_size;
};

#define HOLD_REMINDER " (touch .hold to change several things at once)"

/* model.c */
struct node *node_find(const struct model *m, const char *path);
/* The same, but with an edit: made, with those it stands in, when it is not there. */
struct node *node_walk(const struct model *m, const char *path, struct edit *make);
/* What a VPC's netns names, NULL when it is unset, wrong or `host`. */
const char *vpc_netns(const struct node *vpc);
/* The number of its namespace; SLOT_NONE: it is not to be had now, or not known. */
uint32_t vpc_number(const struct model *m, const struct node *vpc, bool listens);
struct node *kids_find(const struct kids *k, struct str name);
struct entry *node_entry(const struct node *n); /* of the top object it belongs to */
/* `services/shop/listeners/web`, and behind it `/attribute` unless that is NULL. */
void node_path(const struct node *n, const char *attribute, char *out, size_t size);
void node_free(struct node *n);
/* The first group with a target that is this instance, or NULL. */
const struct node *instance_user(const struct node *instance);
struct entry *entry_find(const struct model *m, enum kind kind, struct str name);
void entry_mark(struct model *m, struct entry *e);
void entry_release(struct model *m, struct entry *e); /* forgets a name that nothing has any more */
struct str path_word(const char **path);	      /* takes the first component off */
unsigned top_kind(struct str collection);	      /* KIND_ROOT: it is none */
/* What the directory `collection` of a `what` holds; KIND_ROOT: it is none of the schema's. */
unsigned kid_what(unsigned what, struct str collection);
void *array_room(void *items, uint32_t n, uint32_t *size, size_t each); /* for one more */

/* Changes that the open edit can undo. */
void value_set(struct edit *e, struct node *n, uint32_t index, struct value *v); /* takes v; NULL unsets */
void node_drop(struct edit *e, struct node *n);
void undo_run(struct model *m, const struct undo *u);

#endif
