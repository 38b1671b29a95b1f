/* parse.h - the text of an attribute or target file as a value, or why it is none. */
#ifndef PARSE_H
#define PARSE_H

#include "list.h"
#include "model.h"

struct credential;
struct node;
struct entry;

/* A name in a text that stands for another object. */
struct reference {
	enum kind kind;
	struct str name;
	uint32_t weight; /* of a forward */
	unsigned line, column;
	/* the model's, while the value is in force */
	struct list link; /* among the uses of entry */
	struct entry *entry;
	struct node *by;
};

struct named_line {
	struct str name; /* lower case */
	unsigned line, column;
};

/* Of a target file. */
struct target_text {
	enum group_type type; /* as its name tells */
	uint16_t port;	      /* 0: the group's */
	uint16_t weight;
	enum admin admin;
	struct str instance;   /* INSTANCE: its ID */
	struct str host, path; /* as in struct target; empty: not there yet */
};

/* Of a health-check: what is not told has its default, which for some hangs on the group. */
struct health_text {
	struct health_check check;
	struct passive_check passive;
	bool enabled_set, protocol_set, version_set;
};

/* What a text says. Which fields count follows from the type of its attribute. */
struct value {
	struct arena arena;		   /* all below lives in it */
	const struct attribute *attribute; /* NULL: an association */
	struct str text;		   /* as it was written, for quoting */
	unsigned line, column;		   /* of the value; of the first line with one */
	uint64_t stamp;			   /* the edit that set it */
	struct diag *bad;		   /* why the text is wrong, then nothing else is set (EDIT_BROKEN) */
	uint32_t number;		   /* NUMBER; ENUM: which word */
	uint32_t nnames;		   /* NAMES; NETNS: one, or none for `host` */
	struct named_line *names;
	uint32_t naddrs; /* ADDRESSES; TARGET of type IP: one, its port 0 when none is written */
	struct addr *addrs;
	union {
		struct match match; /* MATCH */
		struct {
			enum action_kind kind;
			uint16_t status;
			struct caller_key sticky;
			bool on_empty_fail;
			struct resilience resilience;
		} action;		   /* ACTION */
		struct target_text target; /* TARGET */
	};
	struct health_text *health;    /* HEALTH; NULL: nothing is said */
	struct caller_key caller;      /* CALLER */
	struct credential *credential; /* PEM */
	uint32_t nrefs;		       /* ACTION: the forwards; REFERENCE and associations: one */
	struct reference *refs;
};

struct value *value_new(const struct attribute *a, struct str text);
void value_free(struct value *v);

/*
 * Judges text as model_judge does. With VERDICT_GOOD *v is the value, the caller's to free, or NULL: the
 * attribute is unset. Otherwise *v is NULL.
 */
enum verdict parse_value(const struct attribute *a, const char *path, struct str text, bool final,
    struct value **v, struct diag *d);

#endif
