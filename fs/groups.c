/* groups.c - target groups: what goes together in one, and which addresses its targets have.
 *
 * Of two texts that do not go together, who came later is wrong: the type of a group, or its target.
 */
#include "groups.h"
#include "protocols.h"
#include <errno.h>

static enum group_type
group_type(const struct node *g)
{
	return (enum group_type)node_number(g, GROUP_TYPE, GROUP_IP);
}

static uint64_t
stamp_of(const struct node *g, uint32_t index)
{
	return g->values[index] == NULL ? 0 : g->values[index]->stamp;
}

/* ------------------------------------------------------------------ addresses */

static uint16_t
target_port(const struct node *target)
{
	const struct node *g = target->parent;
	uint32_t preset = node_number(g, GROUP_PROTOCOL, GROUP_HTTP) == GROUP_HTTPS ? 443 : 80;
	uint16_t own = target->values[0]->target.port;

	return own != 0 ? own : (uint16_t)node_number(g, GROUP_PORT, preset);
}

/* The machine that a target names, or NULL: in no VPC, or not there. */
static const struct node *
target_instance(const struct node *target)
{
	const struct value *vpc = target->parent->values[GROUP_VPC];

	if (vpc == NULL || vpc->bad != NULL || vpc->refs[0].entry->node == NULL)
		return NULL;
	return kids_find(&vpc->refs[0].entry->node->kids[0], target->values[0]->target.instance);
}

static bool
is_of_family(const struct node *g, const struct addr *a)
{
	const struct value *want = g->values[GROUP_IP_ADDRESS_TYPE];

	return !node_has(g, GROUP_IP_ADDRESS_TYPE) || (a->sa.sa_family == AF_INET6) == (want->number == 1);
}

struct rows {
	struct target_row *all;
	uint32_t n, size;
};

static void
rows_add(struct rows *r, struct node *t, const struct addr *addr)
{
	r->all = array_room(r->all, r->n, &r->size, sizeof(*r->all));
	r->all[r->n] = (struct target_row){t, *addr};
	addr_set_port(&r->all[r->n++].addr, target_port(t));
}

static void
rows_add_instance(struct rows *r, struct node *t)
{
	const struct node *instance = target_instance(t);
	const struct value *v = instance == NULL ? NULL : instance->values[0];

	for (uint32_t i = 0; v != NULL && v->bad == NULL && i < v->naddrs; i++)
		if (is_of_family(t->parent, &v->addrs[i]))
			rows_add(r, t, &v->addrs[i]);
}

/* The address of a host, if it is one. */
static void
rows_add_host(struct rows *r, struct node *t)
{
	struct addr addr = {0};

	if (t->values[0]->target.host.len == 0)
		return;
	if (addr_parse(t->values[0]->target.host, &addr) != 0)
		addr = (struct addr){0};
	rows_add(r, t, &addr);
}

struct target_row *
groups_targets(const struct node *g, uint32_t *n)
{
	struct rows r = {0};

	for (uint32_t i = 0; i < g->kids[0].n; i++) {
		struct node *t = g->kids[0].at[i];

		if (t->wrong)
			continue;
		switch (t->values[0]->target.type) {
		case GROUP_IP:
			rows_add(&r, t, &t->values[0]->addrs[0]);
			break;
		case GROUP_INSTANCE:
			rows_add_instance(&r, t);
			break;
		default:
			rows_add_host(&r, t);
		}
	}
	*n = r.n;
	return r.all;
}

/* ------------------------------------------------------------------ attributes */

/* What a group of a type has no use for, as bits of types. */
static const struct {
	uint32_t index, types;
} useless[] = {
    {GROUP_PROTOCOL, 1u << GROUP_LAMBDA},
    {GROUP_PROTOCOL_VERSION, 1u << GROUP_LAMBDA},
    {GROUP_PORT, 1u << GROUP_LAMBDA},
    {GROUP_IP_ADDRESS_TYPE, 1u << GROUP_LAMBDA | 1u << GROUP_ALB},
    {GROUP_HEALTH_CHECK, 1u << GROUP_LAMBDA | 1u << GROUP_ALB},
    {GROUP_EVENTS, 1u << GROUP_IP | 1u << GROUP_INSTANCE | 1u << GROUP_ALB},
};

/* False: one of its own texts is wrong. */
static bool
check_attributes(struct entry *e, const struct node *g)
{
	size_t n;
	const struct attribute *all = schema_attributes(KIND_GROUP, &n);
	const char *type = node_word(g, GROUP_TYPE);
	bool good = true;

	for (size_t i = 0; i < COUNT(useless); i++) {
		uint32_t index = useless[i].index;

		if (!node_has(g, index) || (useless[i].types & 1u << group_type(g)) == 0)
			continue;
		good = false;
		if (stamp_of(g, GROUP_TYPE) > stamp_of(g, index))
			problem(e, where_value(g, GROUP_TYPE), EINVAL,
			    "a target group of type %s has no %s, and this one has", type, all[index].name);
		else
			problem(e, where_value(g, index), EINVAL, "a target group of type %s has no %s", type,
			    all[index].name);
	}
	return good;
}

static bool
is_hashed(const struct node *g)
{
	return node_number(g, GROUP_ALGORITHM, 0) == ALGORITHM_CONSISTENT_HASH;
}

bool
groups_lack_key(const struct node *g)
{
	return is_hashed(g) && g->values[GROUP_HASH_KEY] == NULL;
}

static bool
check_hash(struct entry *e, const struct node *g)
{
	bool bytes = node_number(g, GROUP_PROTOCOL, GROUP_HTTP) == GROUP_TCP;

	if (!node_has(g, GROUP_HASH_KEY))
		return true;
	if (!is_hashed(g)) {
		bool late = stamp_of(g, GROUP_ALGORITHM) > stamp_of(g, GROUP_HASH_KEY);

		problem(e, where_value(g, late ? GROUP_ALGORITHM : GROUP_HASH_KEY), EINVAL,
		    "hash-key goes with the algorithm consistent-hash alone");
		return false;
	}
	if (!bytes || g->values[GROUP_HASH_KEY]->caller.kind == CALLER_SOURCE)
		return true;
	problem(e,
	    where_value(g,
		stamp_of(g, GROUP_PROTOCOL) > stamp_of(g, GROUP_HASH_KEY) ? GROUP_PROTOCOL : GROUP_HASH_KEY),
	    EINVAL, "a group with protocol TCP sees no requests: its hash-key can only be source");
	return false;
}

/* ------------------------------------------------------------------ targets */

/* A target that goes with the group's type: else the later of the two is wrong. False: the group is. */
static bool
check_type(struct entry *e, struct node *g, struct node *t)
{
	int type = (int)t->values[0]->target.type;

	if (type == (int)group_type(g))
		return true;
	if (stamp_of(g, GROUP_TYPE) > t->stamp) {
		problem(e, where_value(g, GROUP_TYPE), EINVAL, "target '%s' is of type %s", t->name,
		    schema_type_name(type));
		return false;
	}
	t->wrong = true;
	problem(e, (struct where){t, NULL, 0, 0}, EINVAL,
	    "target group '%s' is of type %s: it takes no target of type %s", g->name,
	    node_word(g, GROUP_TYPE), schema_type_name(type));
	return true;
}

/* ip-address-type against an IP target: the later of the two is wrong. False: the group's own text is. */
static bool
check_family(struct entry *e, const struct node *g, struct node *t)
{
	static const char *const names[] = {"IPV4", "IPV6"};
	const struct value *want = g->values[GROUP_IP_ADDRESS_TYPE];

	if (is_of_family(g, &t->values[0]->addrs[0]))
		return true;
	if (want->stamp > t->values[0]->stamp) {
		problem(e, where_value(g, GROUP_IP_ADDRESS_TYPE), EINVAL, "target '%s' is no %s address",
		    t->name, names[want->number]);
		return false;
	}
	t->wrong = true;
	problem(e, (struct where){t, NULL, 0, 0}, EINVAL, "target group '%s' takes %s targets only", g->name,
	    names[want->number]);
	return true;
}

static const char *
suggest_instance(const struct kids *k, struct str id)
{
	const char *best = NULL;
	unsigned least = 2;

	for (uint32_t i = 0; i < k->n; i++) {
		unsigned n = str_distance(id, str_of(k->at[i]->name), 2);

		if (n > least || (n == least && best != NULL))
			continue;
		best = k->at[i]->name;
		least = n;
	}
	return best;
}

static void
check_instance(struct entry *e, const struct node *g, struct node *t)
{
	struct str id = t->values[0]->target.instance;
	const struct value *vpc = g->values[GROUP_VPC];
	struct where at = {t, NULL, 0, 0};
	const struct node *node;
	const char *meant;

	t->wrong = target_instance(t) == NULL;
	if (!t->wrong)
		return;
	if (vpc == NULL) {
		problem(e, at, EINVAL, "target group '%s' has no vpc in which an instance could be", g->name);
		return;
	}
	/* A VPC that is not there is the group's own problem. */
	node = vpc->bad != NULL ? NULL : vpc->refs[0].entry->node;
	if (node == NULL)
		return;
	meant = suggest_instance(&node->kids[0], id);
	if (meant != NULL)
		problem(e, at, EINVAL, "no instance '" STR_FMT "' in VPC '%s' (did you mean '%s'?)",
		    STR_ARG(id), node->name, meant);
	else
		problem(e, at, EINVAL, "no instance '" STR_FMT "' in VPC '%s'", STR_ARG(id), node->name);
}

static bool
node_is_later(const struct node *a, const struct node *b)
{
	uint64_t x = MAX(a->stamp, a->values[0]->stamp), y = MAX(b->stamp, b->values[0]->stamp);

	return x != y ? x > y : strcmp(a->name, b->name) > 0;
}

/* A LAMBDA or ALB group has one target, as in Lattice: the first that came. */
static void
check_sole(struct entry *e, const struct node *g)
{
	const struct node *first = NULL;

	if (group_type(g) != GROUP_LAMBDA && group_type(g) != GROUP_ALB)
		return;
	for (uint32_t i = 0; i < g->kids[0].n; i++) {
		const struct node *t = g->kids[0].at[i];

		if (!t->wrong && (first == NULL || t->stamp < first->stamp))
			first = t;
	}
	for (uint32_t i = 0; i < g->kids[0].n; i++) {
		struct node *t = g->kids[0].at[i];

		if (t->wrong || t == first)
			continue;
		t->wrong = true;
		problem(e, (struct where){t, NULL, 0, 0}, EINVAL,
		    "a target group of type %s has one target, and '%s' is there", node_word(g, GROUP_TYPE),
		    first->name);
	}
}

static int
row_compare(const void *a, const void *b)
{
	const struct target_row *x = a, *y = b;
	int order = addr_compare(&x->addr, &y->addr);

	return order != 0 ? order : node_is_later(x->node, y->node) ? 1 : -1;
}

/* `10.0.0.5` and `10.0.0.5:80` can be one target under two names. */
static void
check_duplicates(struct entry *e, const struct node *g)
{
	uint32_t n;
	cleanup_free struct target_row *rows = groups_targets(g, &n);
	char addr[ADDR_TEXT_MAX];

	if (n > 1)
		qsort(rows, n, sizeof(*rows), row_compare);
	for (uint32_t i = 1; i < n; i++) {
		if (rows[i].addr.sa.sa_family == AF_UNSPEC || rows[i].node->wrong ||
		    addr_compare(&rows[i].addr, &rows[i - 1].addr) != 0)
			continue;
		addr_print(&rows[i].addr, addr);
		rows[i].node->wrong = true;
		problem(e, (struct where){rows[i].node, NULL, 0, 0}, EEXIST, "%s is target '%s' already",
		    addr, rows[i - 1].node->name);
	}
}

/* False: one of the group's own texts is wrong. */
static bool
check_targets(struct entry *e, struct node *g)
{
	bool good = true;

	for (uint32_t i = 0; i < g->kids[0].n; i++) {
		struct node *t = g->kids[0].at[i];

		t->wrong = check_texts(e, t) || t->values[0] == NULL;
		if (t->wrong || !good)
			continue;
		good = check_type(e, g, t);
		if (!good || t->wrong)
			continue;
		if (t->values[0]->target.type == GROUP_INSTANCE)
			check_instance(e, g, t);
		else if (t->values[0]->target.type == GROUP_IP)
			good = check_family(e, g, t);
	}
	check_sole(e, g);
	check_duplicates(e, g);
	return good;
}

void
groups_check(const struct model *m, struct entry *e)
{
	struct node *g = e->node;

	if (g == NULL)
		return;
	g->wrong = check_texts(e, g);
	if (!check_refs(m, e, g, GROUP_VPC) || !protocols_check_group(e, g))
		g->wrong = true;
	if (!check_attributes(e, g) || !check_hash(e, g))
		g->wrong = true;
	if (g->kids[0].n > 0 && !check_targets(e, g))
		g->wrong = true;
}
