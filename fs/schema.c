/* schema.c - the table of kinds and attributes, and what a path is by its spelling. */
#include "schema.h"
#include "addr.h"
#include "limits.h"
#include "table.h"
#include <ctype.h>
#include <errno.h>

/* ------------------------------------------------------------------ the table */

static const char *const words_auth[] = {"NONE", "AWS_IAM", NULL};
static const char *const words_listener[] = {"HTTP", "HTTPS", "TLS_PASSTHROUGH", NULL};
static const char *const words_type[] = {"IP", "INSTANCE", "LAMBDA", "ALB", NULL};
static const char *const words_group[] = {"HTTP", "HTTPS", "TCP", NULL};
static const char *const words_version[] = {"HTTP1", "HTTP2", "GRPC", NULL};
static const char *const words_address[] = {"IPV4", "IPV6", NULL};
static const char *const words_verify[] = {"NONE", "SYSTEM", NULL};
static const char *const words_algorithm[] = {"round-robin", "least-requests", "consistent-hash", NULL};
static const char *const words_events[] = {"V1", "V2", NULL};

/* clang-format off */
static const struct attribute vpc_attributes[] = {
	{.kind = KIND_VPC, .index = VPC_NETNS, .name = "netns",
	    .type = TYPE_NETNS, .required = true, .supported = true,
	    .about = "network namespace: a name under /run/netns, a path, or host"},
	{.kind = KIND_VPC, .index = VPC_LISTEN, .name = "listen",
	    .type = TYPE_ADDRESSES, .lines = true, .supported = true,
	    .about = "addresses on which services are offered, one a line; for host 127.0.0.1 and ::1"},
};
static const struct attribute network_attributes[] = {
	{.kind = KIND_NETWORK, .index = NETWORK_AUTH_TYPE, .name = "auth-type",
	    .type = TYPE_ENUM, .supported = true, .words = words_auth, .nsupported = 1, .preset = "NONE",
	    .about = "who may call"},
	{.kind = KIND_NETWORK, .index = NETWORK_AUTH_POLICY, .name = "auth-policy",
	    .type = TYPE_POLICY, .lines = true,
	    .about = "policy of all services in it, JSON"},
};
static const struct attribute service_attributes[] = {
	{.kind = KIND_SERVICE, .index = SERVICE_DOMAIN, .name = "domain",
	    .type = TYPE_NAMES, .lines = true, .supported = true,
	    .about = "custom domain names, one a line; *. wildcard allowed"},
	{.kind = KIND_SERVICE, .index = SERVICE_CERTIFICATE, .name = "certificate",
	    .type = TYPE_PEM, .lines = true, .supported = true,
	    .about = "certificate chain"},
	{.kind = KIND_SERVICE, .index = SERVICE_PRIVATE_KEY, .name = "private-key",
	    .type = TYPE_PEM, .lines = true, .supported = true,
	    .about = "key of the certificate"},
	{.kind = KIND_SERVICE, .index = SERVICE_CLIENT_CA, .name = "client-ca",
	    .type = TYPE_PEM, .lines = true, .supported = true,
	    .about = "who may sign client certificates"},
	{.kind = KIND_SERVICE, .index = SERVICE_IDLE_TIMEOUT, .name = "idle-timeout",
	    .type = TYPE_NUMBER, .supported = true, .min = 1, .max = IDLE_TIMEOUT_MAX, .preset = "60",
	    .about = "seconds a connection may be idle"},
	{.kind = KIND_SERVICE, .index = SERVICE_AUTH_TYPE, .name = "auth-type",
	    .type = TYPE_ENUM, .supported = true, .words = words_auth, .nsupported = 1, .preset = "NONE",
	    .about = "who may call"},
	{.kind = KIND_SERVICE, .index = SERVICE_AUTH_POLICY, .name = "auth-policy",
	    .type = TYPE_POLICY, .lines = true,
	    .about = "policy, JSON"},
};
static const struct attribute listener_attributes[] = {
	{.kind = KIND_LISTENER, .index = LISTENER_PROTOCOL, .name = "protocol",
	    .type = TYPE_ENUM, .supported = true, .words = words_listener, .preset = "HTTP",
	    .about = "what clients speak"},
	{.kind = KIND_LISTENER, .index = LISTENER_PORT, .name = "port",
	    .type = TYPE_NUMBER, .required = true, .supported = true, .min = 1, .max = 65535,
	    .about = "one listener of a service a port"},
	{.kind = KIND_LISTENER, .index = LISTENER_DEFAULT_ACTION, .name = "default-action",
	    .type = TYPE_ACTION, .required = true, .lines = true, .steps = true, .supported = true,
	    .about = "what happens when no rule matches"},
};
static const struct attribute rule_attributes[] = {
	{.kind = KIND_RULE, .index = RULE_PRIORITY, .name = "priority",
	    .type = TYPE_NUMBER, .required = true, .supported = true, .min = 1, .max = PRIORITY_MAX,
	    .about = "unique in the listener, lowest first"},
	{.kind = KIND_RULE, .index = RULE_MATCH, .name = "match",
	    .type = TYPE_MATCH, .required = true, .supported = true, .lines = true,
	    .about = "which requests: all lines must hold"},
	{.kind = KIND_RULE, .index = RULE_ACTION, .name = "action",
	    .type = TYPE_ACTION, .required = true, .lines = true, .steps = true, .supported = true,
	    .about = "what happens to them"},
};
static const struct attribute group_attributes[] = {
	{.kind = KIND_GROUP, .index = GROUP_TYPE, .name = "type",
	    .type = TYPE_ENUM, .supported = true, .words = words_type, .preset = "IP",
	    .about = "what its targets are"},
	{.kind = KIND_GROUP, .index = GROUP_PROTOCOL, .name = "protocol",
	    .type = TYPE_ENUM, .supported = true, .words = words_group, .preset = "HTTP",
	    .about = "what targets speak"},
	{.kind = KIND_GROUP, .index = GROUP_PROTOCOL_VERSION, .name = "protocol-version",
	    .type = TYPE_ENUM, .supported = true, .words = words_version, .preset = "HTTP1",
	    .about = "which HTTP they speak"},
	{.kind = KIND_GROUP, .index = GROUP_PORT, .name = "port",
	    .type = TYPE_NUMBER, .supported = true, .min = 1, .max = 65535, .preset = "80",
	    .about = "port of targets that name none; for HTTPS 443"},
	{.kind = KIND_GROUP, .index = GROUP_IP_ADDRESS_TYPE, .name = "ip-address-type",
	    .type = TYPE_ENUM, .supported = true, .words = words_address,
	    .about = "family of all its targets; unset: whatever they are"},
	{.kind = KIND_GROUP, .index = GROUP_VPC, .name = "vpc",
	    .type = TYPE_REFERENCE, .supported = true,
	    .about = "the VPC in which the targets live; unset: the daemon's own namespace"},
	{.kind = KIND_GROUP, .index = GROUP_HEALTH_CHECK, .name = "health-check",
	    .type = TYPE_HEALTH, .lines = true, .supported = true,
	    .about = "how targets are probed"},
	{.kind = KIND_GROUP, .index = GROUP_CA, .name = "ca",
	    .type = TYPE_PEM, .lines = true, .supported = true,
	    .about = "who may sign the certificates of HTTPS targets"},
	{.kind = KIND_GROUP, .index = GROUP_VERIFY, .name = "verify",
	    .type = TYPE_ENUM, .supported = true, .words = words_verify, .preset = "NONE",
	    .about = "what else vouches for HTTPS targets: the system's authorities"},
	{.kind = KIND_GROUP, .index = GROUP_ALGORITHM, .name = "algorithm",
	    .type = TYPE_ENUM, .supported = true, .words = words_algorithm, .preset = "round-robin",
	    .about = "which target gets a request"},
	{.kind = KIND_GROUP, .index = GROUP_HASH_KEY, .name = "hash-key",
	    .type = TYPE_CALLER, .supported = true,
	    .about = "what consistent-hash goes by: header NAME, cookie NAME, source or path"},
	{.kind = KIND_GROUP, .index = GROUP_DRAIN, .name = "drain",
	    .type = TYPE_NUMBER, .supported = true, .min = 0, .max = DRAIN_MAX, .preset = "60",
	    .about = "seconds that a target which goes has to end its requests"},
	{.kind = KIND_GROUP, .index = GROUP_SLOW_START, .name = "slow-start",
	    .type = TYPE_NUMBER, .supported = true, .min = 0, .max = SLOW_START_MAX, .preset = "0",
	    .about = "seconds over which a new target's share grows"},
	{.kind = KIND_GROUP, .index = GROUP_EVENTS, .name = "lambda-event-structure-version",
	    .type = TYPE_ENUM, .supported = true, .words = words_events, .preset = "V1",
	    .about = "events of LAMBDA targets"},
};
static const struct attribute target_attribute = {
	.kind = KIND_GROUP, .name = "target", .type = TYPE_TARGET, .supported = true, .lines = true,
	.steps = true, .member = true, .about = "a target; may be empty",
};
static const struct attribute instance_attribute = {
	.kind = KIND_VPC, .name = "instance", .type = TYPE_ADDRESSES, .supported = true, .lines = true,
	.member = true, .about = "addresses of a machine, one a line; may be empty",
};
/* clang-format on */

/* A directory of the schema inside an object (or the root). links: its entries point at members. files: its
 * entries are files, which this attribute reads. */
struct collection {
	const char *name;
	enum kind member;
	bool links;
	const struct attribute *files;
};

static const struct collection root_collections[] = {
    {"vpcs", KIND_VPC, false, NULL},
    {"networks", KIND_NETWORK, false, NULL},
    {"services", KIND_SERVICE, false, NULL},
    {"target-groups", KIND_GROUP, false, NULL},
};
static const struct collection vpc_collections[] = {{"instances", KIND_VPC, false, &instance_attribute}};
static const struct collection network_collections[] = {
    {"services", KIND_SERVICE, true, NULL},
    {"vpcs", KIND_VPC, true, NULL},
};
static const struct collection service_collections[] = {{"listeners", KIND_LISTENER, false, NULL}};
static const struct collection listener_collections[] = {{"rules", KIND_RULE, false, NULL}};
static const struct collection group_collections[] = {{"targets", KIND_GROUP, false, &target_attribute}};

#define ATTRIBUTES(a) .attributes = (a), .nattributes = COUNT(a)
#define COLLECTIONS(c) .collections = (c), .ncollections = COUNT(c)
#define NAME_RULE(what) "a " what " name is made of lower-case letters, digits and single inner hyphens"

static const struct kind_row {
	const char *name;
	const struct attribute *attributes;
	size_t nattributes;
	const struct collection *collections;
	size_t ncollections;
	uint32_t name_max;
	const char *forbidden; /* prefix: Lattice's identifiers begin so */
	const char *why_length, *why_letters, *why_prefix;
} kinds[KINDS] = {
    [KIND_ROOT] = {.name = "root", COLLECTIONS(root_collections)},
    [KIND_VPC] = {.name = "VPC",
	ATTRIBUTES(vpc_attributes),
	COLLECTIONS(vpc_collections),
	.name_max = 63,
	.why_length = "a VPC name has 1 to 63 characters",
	.why_letters = NAME_RULE("VPC")},
    [KIND_NETWORK] = {.name = "network",
	ATTRIBUTES(network_attributes),
	COLLECTIONS(network_collections),
	.name_max = 63,
	.why_length = "a network name has 1 to 63 characters",
	.why_letters = NAME_RULE("network")},
    [KIND_SERVICE] = {.name = "service",
	ATTRIBUTES(service_attributes),
	COLLECTIONS(service_collections),
	.name_max = 40,
	.forbidden = "svc-",
	.why_length = "a service name has 1 to 40 characters",
	.why_letters = NAME_RULE("service"),
	.why_prefix = "a service name must not begin with 'svc-'"},
    [KIND_LISTENER] = {.name = "listener",
	ATTRIBUTES(listener_attributes),
	COLLECTIONS(listener_collections),
	.name_max = 63,
	.forbidden = "listener-",
	.why_length = "a listener name has 1 to 63 characters",
	.why_letters = NAME_RULE("listener"),
	.why_prefix = "a listener name must not begin with 'listener-'"},
    [KIND_RULE] = {.name = "rule",
	ATTRIBUTES(rule_attributes),
	.name_max = 63,
	.forbidden = "rule-",
	.why_length = "a rule name has 1 to 63 characters",
	.why_letters = NAME_RULE("rule"),
	.why_prefix = "a rule name must not begin with 'rule-'"},
    [KIND_GROUP] = {.name = "target group",
	ATTRIBUTES(group_attributes),
	COLLECTIONS(group_collections),
	.name_max = 128,
	.forbidden = "tg-",
	.why_length = "a target group name has 1 to 128 characters",
	.why_letters = NAME_RULE("target group"),
	.why_prefix = "a target group name must not begin with 'tg-'"},
};

_Static_assert(COUNT(service_attributes) <= ATTRIBUTES_MAX && COUNT(group_attributes) <= ATTRIBUTES_MAX,
    "an object has room for all its attributes");

const struct attribute *
schema_attributes(enum kind kind, size_t *n)
{
	assert(kind < KINDS);
	*n = kinds[kind].nattributes;
	return kinds[kind].attributes;
}

const char *
schema_kind_name(enum kind kind)
{
	assert(kind < KINDS);
	return kinds[kind].name;
}

/* ------------------------------------------------------------------ names */

static bool
name_is_plain(struct str name)
{
	char before = '-';

	for (uint32_t i = 0; i < name.len; i++) {
		char c = name.p[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && (c != '-' || before == '-'))
			return false;
		before = c;
	}
	return before != '-';
}

int
schema_name_check(enum kind kind, struct str name, const char **why)
{
	const struct kind_row *k = &kinds[kind];

	assert(kind > KIND_ROOT && kind < KINDS);
	if (name.len == 0 || name.len > k->name_max) {
		*why = k->why_length;
		return -EINVAL;
	}
	if (!name_is_plain(name)) {
		*why = k->why_letters;
		return -EINVAL;
	}
	if (k->forbidden != NULL && str_starts(name, str_of(k->forbidden))) {
		*why = k->why_prefix;
		return -EINVAL;
	}
	return 0;
}

static bool
ends_with(struct str s, struct str end)
{
	return s.len > end.len && memcmp(s.p + s.len - end.len, end.p, end.len) == 0;
}

bool
schema_is_instance(struct str id)
{
	if (!str_starts(id, STR("i-")) || (id.len != 2 + 8 && id.len != 2 + 17))
		return false;
	for (uint32_t i = 2; i < id.len; i++)
		if (!isxdigit((unsigned char)id.p[i]) || isupper((unsigned char)id.p[i]))
			return false;
	return true;
}

bool
schema_instance(struct str name, struct str *id, uint16_t *port)
{
	const char *colon = name.len > 0 ? memchr(name.p, ':', name.len) : NULL;
	struct str digits;
	uint64_t n = 0;

	*id = (struct str){name.p, colon == NULL ? name.len : (uint32_t)(colon - name.p)};
	*port = 0;
	if (!schema_is_instance(*id))
		return false;
	if (colon == NULL)
		return true;
	digits = (struct str){colon + 1, name.len - id->len - 1};
	if (digits.len == 0 || digits.p[0] == '0' || str_number(digits, UINT16_MAX, &n) != 0)
		return false;
	*port = (uint16_t)n;
	return true;
}

int
schema_target_type(struct str name)
{
	struct addr a;
	struct str id;
	uint16_t port;

	if (ends_with(name, STR(".lambda")) && name_is_plain((struct str){name.p, name.len - 7}))
		return GROUP_LAMBDA;
	if (ends_with(name, STR(".alb")) && name_is_plain((struct str){name.p, name.len - 4}))
		return GROUP_ALB;
	if (schema_instance(name, &id, &port))
		return GROUP_INSTANCE;
	return addr_parse(name, &a) == 0 ? GROUP_IP : -1;
}

const char *
schema_type_name(int type)
{
	return words_type[type];
}

/* Is it, in the collection, a file that means something? */
static bool
is_member(const struct collection *c, struct str name)
{
	return c->files == &target_attribute ? schema_target_type(name) >= 0 : schema_is_instance(name);
}

/* Nothing but an address would be called so. */
static bool
is_like_address(struct str name)
{
	bool marks = false;

	if (name.len == 0 || (!isdigit((unsigned char)name.p[0]) && name.p[0] != '['))
		return false;
	for (uint32_t i = 0; i < name.len; i++) {
		if (strchr(".:[]", name.p[i]) != NULL)
			marks = true;
		else if (!isxdigit((unsigned char)name.p[i]))
			return false;
	}
	return marks;
}

/* ------------------------------------------------------------------ paths */

/* Where a walk along a path stands: in an object (or the root), or in a collection of one. */
struct walk {
	enum kind kind;
	const struct collection *collection;
};

static const struct attribute *
find_attribute(enum kind kind, struct str name)
{
	const struct kind_row *k = &kinds[kind];

	for (size_t i = 0; i < k->nattributes; i++)
		if (str_eq(name, str_of(k->attributes[i].name)))
			return &k->attributes[i];
	return NULL;
}

static const struct collection *
find_collection(enum kind kind, struct str name)
{
	const struct kind_row *k = &kinds[kind];

	for (size_t i = 0; i < k->ncollections; i++)
		if (str_eq(name, str_of(k->collections[i].name)))
			return &k->collections[i];
	return NULL;
}

static bool
is_virtual(enum kind kind, struct str name)
{
	static const char *const everywhere[] = {".status", ".errors"};
	static const char *const root[] = {".table", ".hold", ".metrics", ".ca.pem"};

	for (size_t i = 0; i < COUNT(everywhere); i++)
		if (str_eq(name, str_of(everywhere[i])))
			return true;
	for (size_t i = 0; i < COUNT(root) && kind == KIND_ROOT; i++)
		if (str_eq(name, str_of(root[i])))
			return true;
	return kind == KIND_VPC && str_eq(name, STR(".hosts"));
}

/* Goes down one directory. False: below here everything is inert. */
static bool
walk_down(struct walk *w, struct str name)
{
	const char *why;

	if (w->collection == NULL) {
		w->collection = find_collection(w->kind, name);
		return w->collection != NULL;
	}
	if (w->collection->links || w->collection->files != NULL ||
	    schema_name_check(w->collection->member, name, &why) != 0)
		return false;
	*w = (struct walk){w->collection->member, NULL};
	return true;
}

/* The last name of a path, in the place where the walk came to. */
static void
spot_last(const struct walk *w, struct str name, bool is_dir, struct spot *spot)
{
	const struct collection *c = w->collection;
	const char *why;

	spot->kind = w->kind;
	if (c == NULL) {
		spot->attribute = is_dir ? NULL : find_attribute(w->kind, name);
		c = is_dir ? find_collection(w->kind, name) : NULL;
		if (is_virtual(w->kind, name)) {
			spot->sort = SORT_VIRTUAL;
		} else if (spot->attribute != NULL) {
			spot->sort = SORT_ATTRIBUTE;
		} else if (c != NULL) {
			spot->sort = SORT_COLLECTION;
			spot->member = c->member;
		}
	} else if (c->links) {
		/* ln -sf makes its new link under a name like CuAbC123 first: that must stay inert. */
		if (!is_dir && name_is_plain(name)) {
			spot->sort = SORT_ASSOCIATION;
			spot->member = c->member;
		}
	} else if (c->files != NULL) {
		if (!is_dir && is_member(c, name)) {
			spot->sort = SORT_MEMBER;
			spot->attribute = c->files;
		}
	} else if (is_dir && schema_name_check(c->member, name, &why) == 0) {
		spot->sort = SORT_OBJECT;
		spot->kind = c->member;
	}
}

/* Walks to the directory of path. The last name, or p NULL when the directory is inert. */
static struct str
walk_path(const char *path, struct walk *w)
{
	const char *slash;

	*w = (struct walk){KIND_ROOT, NULL};
	while ((slash = strchr(path, '/')) != NULL) {
		if (!walk_down(w, (struct str){path, (uint32_t)(slash - path)}))
			return (struct str){NULL, 0};
		path = slash + 1;
	}
	return str_of(path);
}

void
schema_spot(const char *path, bool is_dir, struct spot *spot)
{
	struct walk w;
	struct str last;

	*spot = (struct spot){.sort = SORT_INERT};
	if (path[0] == '\0') {
		spot->sort = SORT_ROOT;
		return;
	}
	last = walk_path(path, &w);
	if (last.p != NULL)
		spot_last(&w, last, is_dir, spot);
}

/* ------------------------------------------------------------------ may it be made */

static bool
is_likely_typo(struct str name, const char *meant)
{
	/* Everything is an edit away from `ca`. */
	unsigned far = strlen(meant) <= 2 ? 0 : strlen(meant) <= 4 ? 1 : 2;

	return str_distance(name, str_of(meant), far) <= far;
}

const char *
schema_suggest(enum kind kind, struct str name)
{
	const struct kind_row *k = &kinds[kind];
	const char *best = NULL;
	unsigned least = 3, n;

	for (size_t i = 0; i < k->nattributes + k->ncollections; i++) {
		const char *other =
		    i < k->nattributes ? k->attributes[i].name : k->collections[i - k->nattributes].name;

		n = str_distance(name, str_of(other), 2);
		if (n < least && n < name.len) {
			least = n;
			best = other;
		}
	}
	return best;
}

/* A file whose name is nearly, but not, one of this object's. */
static int
typo_check(const char *path, enum kind kind, struct str name, struct diag *d)
{
	const struct kind_row *k = &kinds[kind];
	const char *meant = NULL;

	if (name.len == 0 || name.p[0] == '.' || name.p[name.len - 1] == '~')
		return 0;
	for (size_t i = 0; i < k->nattributes && meant == NULL; i++)
		if (is_likely_typo(name, k->attributes[i].name))
			meant = k->attributes[i].name;
	for (size_t i = 0; i < k->ncollections && meant == NULL; i++)
		if (is_likely_typo(name, k->collections[i].name))
			meant = k->collections[i].name;
	if (meant == NULL)
		return 0;
	return diag_set(d, EPERM, path, 0, 0, "no file is called '" STR_FMT "' here (did you mean '%s'?)",
	    STR_ARG(name), meant);
}

/* A file that is nearly, but not, what its collection holds. */
static int
file_check(const char *path, const struct collection *c, struct str name, struct diag *d)
{
	if (is_member(c, name))
		return 0;
	if (str_starts(name, STR("i-")) && name.p[name.len - 1] != '~')
		return diag_set(d, EPERM, path, 0, 0,
		    "'" STR_FMT "' is no instance (one is called i- and 8 or 17 hexadecimal digits%s)",
		    STR_ARG(name), c->files == &target_attribute ? ", here also with :PORT" : "");
	if (c->files == &target_attribute && is_like_address(name))
		return diag_set(d, EPERM, path, 0, 0,
		    "'" STR_FMT
		    "' is no address (a target is called like 10.0.0.5, 10.0.0.5:8080 or [fd00::5]:8080)",
		    STR_ARG(name));
	return 0;
}

/* In an object: names of the schema are files or directories, never the other. */
static int
member_check(const char *path, enum kind kind, struct str name, bool is_dir, struct diag *d)
{
	static const char *const later[] = {".explain", ".events", ".directory", ".ca.key"};
	bool reserved = is_virtual(kind, name);

	for (size_t i = 0; i < COUNT(later) && kind == KIND_ROOT; i++)
		reserved = reserved || str_eq(name, str_of(later[i]));
	if (reserved)
		return diag_set(d, EPERM, path, 0, 0, "the name '" STR_FMT "' is reserved", STR_ARG(name));
	if (is_dir && find_attribute(kind, name) != NULL)
		return diag_set(
		    d, EPERM, path, 0, 0, "'" STR_FMT "' is the name of a file here", STR_ARG(name));
	if (!is_dir && find_collection(kind, name) != NULL)
		return diag_set(
		    d, EPERM, path, 0, 0, "'" STR_FMT "' is the name of a directory here", STR_ARG(name));
	if (is_dir || find_attribute(kind, name) != NULL)
		return 0;
	return typo_check(path, kind, name, d);
}

int
schema_may_create(const char *path, bool is_dir, struct diag *d)
{
	const char *slash = strrchr(path, '/'), *why;
	struct str name = str_of(slash == NULL ? path : slash + 1), last;
	struct walk w;

	if (name.len > NAME_BYTES_MAX)
		return diag_set(d, ENAMETOOLONG, path, 0, 0, "a name has at most %u bytes", NAME_BYTES_MAX);
	last = walk_path(path, &w);
	if (last.p == NULL || last.len == 0)
		return 0;
	if (w.collection == NULL)
		return member_check(path, w.kind, last, is_dir, d);
	if (w.collection->files != NULL)
		return is_dir ? 0 : file_check(path, w.collection, last, d);
	if (w.collection->links || !is_dir || last.p[0] == '.')
		return 0;
	if (schema_name_check(w.collection->member, last, &why) != 0)
		return diag_set(d, EINVAL, path, 0, 0, "'" STR_FMT "' is refused: %s", STR_ARG(last), why);
	return 0;
}
