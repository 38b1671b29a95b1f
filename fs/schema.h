/* schema.h - the table of kinds and attributes: places, types, ranges, defaults. Everything walks it. */
#ifndef SCHEMA_H
#define SCHEMA_H

#include "diag.h"

enum kind { KIND_ROOT, KIND_VPC, KIND_NETWORK, KIND_SERVICE, KIND_LISTENER, KIND_RULE, KIND_GROUP, KINDS };

/* What a path of the tree is, by its spelling alone. */
enum sort {
	SORT_INERT,	  /* stored, never compiled: working files, everything below a dot */
	SORT_ROOT,	  /* "" */
	SORT_COLLECTION,  /* vpcs, services, services/S/listeners, networks/N/vpcs, target-groups/G/targets...
			   */
	SORT_OBJECT,	  /* a directory that is a VPC, service, rule... */
	SORT_ATTRIBUTE,	  /* a file of the schema in an object */
	SORT_MEMBER,	  /* a file that is an object: target-groups/G/targets/NAME that parses as a target,
			     vpcs/V/instances/ID */
	SORT_ASSOCIATION, /* networks/N/services/NAME or networks/N/vpcs/NAME: a symbolic link */
	SORT_VIRTUAL,	  /* reserved dot names: .status .errors, .hosts of a VPC, and .table .hold .metrics
			     .ca.pem at the root */
};

enum attribute_type {
	TYPE_NUMBER,
	TYPE_ENUM,
	TYPE_NAMES /* domains, a line each */,
	TYPE_ADDRESSES /* a line each */,
	TYPE_NETNS,
	TYPE_REFERENCE /* name of a VPC */,
	TYPE_MATCH,
	TYPE_ACTION,
	TYPE_HEALTH,
	TYPE_CALLER /* hash-key */,
	TYPE_PEM,
	TYPE_POLICY,
	TYPE_TARGET,
};

struct attribute {
	enum kind kind;	  /* the object it belongs to */
	const char *name; /* of its file */
	enum attribute_type type;
	bool required;
	bool supported; /* false: refused with "not supported yet" */
	bool member;	/* SORT_MEMBER: the file is an object of its own, and may be empty */
	bool lines; /* may hold several lines: complete only when closed; else after its first value line */
	bool steps; /* with lines: each stands for itself, so whole lines that are right
		       are in force from their write on */
	uint32_t min, max;	  /* TYPE_NUMBER */
	const char *const *words; /* TYPE_ENUM, NULL-terminated, canonical spelling */
	uint8_t nsupported; /* TYPE_ENUM: so many words from the first on; the others are refused as above. 0
			       = all */
	const char *preset; /* the default, as text; NULL: none */
	const char *about;  /* one line for the man page */
	uint8_t index;	    /* among the attributes of its kind */
};

#define ATTRIBUTES_MAX 14u /* of one kind */

/* struct attribute.index by kind. */
enum { VPC_NETNS, VPC_LISTEN };
enum { NETWORK_AUTH_TYPE, NETWORK_AUTH_POLICY };
enum {
	SERVICE_DOMAIN,
	SERVICE_CERTIFICATE,
	SERVICE_PRIVATE_KEY,
	SERVICE_CLIENT_CA,
	SERVICE_IDLE_TIMEOUT,
	SERVICE_AUTH_TYPE,
	SERVICE_AUTH_POLICY,
};
enum { LISTENER_PROTOCOL, LISTENER_PORT, LISTENER_DEFAULT_ACTION };
enum { RULE_PRIORITY, RULE_MATCH, RULE_ACTION };
enum {
	GROUP_TYPE,
	GROUP_PROTOCOL,
	GROUP_PROTOCOL_VERSION,
	GROUP_PORT,
	GROUP_IP_ADDRESS_TYPE,
	GROUP_VPC,
	GROUP_HEALTH_CHECK,
	GROUP_CA,
	GROUP_VERIFY,
	GROUP_ALGORITHM,
	GROUP_HASH_KEY,
	GROUP_DRAIN,
	GROUP_SLOW_START,
	GROUP_EVENTS,
};

struct spot {
	enum sort sort;
	enum kind kind;	  /* OBJECT: its kind. ATTRIBUTE, MEMBER, ASSOCIATION, COLLECTION: the kind of the
			     object it is in */
	enum kind member; /* COLLECTION: the kind its directories are (or links point to). ASSOCIATION: what
			     it points to */
	const struct attribute *attribute; /* ATTRIBUTE; MEMBERs have one of their own */
};

/* path is relative, without leading or trailing slash; "" is the root. Never fails. */
void schema_spot(const char *path, bool is_dir, struct spot *spot);
/* May this new name be made here? 0; EINVAL: a directory that breaks the grammar of its kind; EPERM: a likely
 * typo of a schema name, or a reserved virtual name; ENAMETOOLONG. Fills d. */
int schema_may_create(const char *path, bool is_dir, struct diag *d);
/* Which type of target (enum group_type) a file name of targets/ stands for; -1: none. */
int schema_target_type(struct str name);
const char *schema_type_name(int type); /* "INSTANCE" */
/* `i-` and 8 or 17 hexadecimal digits. */
bool schema_is_instance(struct str id);
/* The same as a target, with or without `:PORT`; port 0: without. */
bool schema_instance(struct str name, struct str *id, uint16_t *port);
/* The file or directory of a kind of object that a name within two edits was meant for, or NULL. */
const char *schema_suggest(enum kind kind, struct str name);
/* The attributes of a kind, in index order. */
const struct attribute *schema_attributes(enum kind kind, size_t *n);
const char *schema_kind_name(enum kind kind); /* "service", "target group" */
/* 0 or -EINVAL with the reason: Lattice's name grammar for the kind. */
int schema_name_check(enum kind kind, struct str name, const char **why);

#endif
