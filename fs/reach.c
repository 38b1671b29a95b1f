/* reach.c - where networks reach: the addresses of their VPCs, in the namespaces that are there. */
#include "check.h"
#include "pair.h"

static void
reach_add(struct check *c, struct reach r)
{
	c->reaches = array_room(c->reaches, c->nreaches, &c->reaches_size, sizeof(*c->reaches));
	c->reaches[c->nreaches++] = r;
}

bool
reach_covers(const struct reach *r, uint32_t vpc, const struct addr *addr)
{
	if (r->vpc != vpc)
		return false;
	return r->addr.sa.sa_family == AF_UNSPEC ? pair_has(addr) : addr_eq(&r->addr, addr);
}

static int
reach_compare(const void *a, const void *b)
{
	const struct reach *x = a, *y = b;
	int order = strcmp(x->network->name, y->network->name);

	if (order == 0 && x->vpc != y->vpc)
		order = x->vpc < y->vpc ? -1 : 1;
	/* IPv4 first, as people write it. */
	return order != 0 ? order : addr_compare(&x->addr, &y->addr);
}

static int
by_vpc_compare(const void *a, const void *b)
{
	const struct reach *x = *(const struct reach *const *)a, *y = *(const struct reach *const *)b;

	return x->vpc != y->vpc ? (x->vpc < y->vpc ? -1 : 1) : (x < y ? -1 : x > y);
}

/* The addresses of one VPC: its `listen`, or what stands for it. */
static void
reach_vpc(struct check *c, struct entry *vpc, struct entry *network)
{
	const struct value *listen = vpc->node->values[VPC_LISTEN];
	struct reach r = {.vpc = vpc_number(c->m, vpc->node, true), .network = network, .from = vpc->node};
	struct addr presets[2] = {0};
	uint32_t n = 1;

	if (r.vpc == SLOT_NONE)
		return;
	if (r.vpc == 0) {
		addr_parse(STR("127.0.0.1"), &presets[0]);
		addr_parse(STR("::1"), &presets[1]);
		n = 2;
	}
	r.netns = r.vpc == 0 ? NULL : vpc_netns(vpc->node);
	for (uint32_t i = 0; i < (listen == NULL ? n : listen->naddrs); i++) {
		r.addr = listen == NULL ? presets[i] : listen->addrs[i];
		reach_add(c, r);
	}
}

void
check_reaches(struct check *c)
{
	struct map_entry *it;

	for (uint32_t i = 0; (it = map_next(&c->m->names[KIND_VPC], &i)) != NULL;) {
		struct entry *vpc = it->value;
		const struct node *owner = vpc->node == NULL ? NULL : vpc_owner(vpc);
		const struct value *listen = vpc->node == NULL ? NULL : vpc->node->values[VPC_LISTEN];

		if (owner != NULL && node_has(vpc->node, VPC_NETNS) &&
		    (listen == NULL || listen->bad == NULL))
			reach_vpc(c, vpc, owner->parent->entry);
	}
	if (c->nreaches > 1)
		qsort(c->reaches, c->nreaches, sizeof(*c->reaches), reach_compare);
	c->by_vpc = xcalloc(MAX(c->nreaches, 1), sizeof(*c->by_vpc));
	for (uint32_t i = 0; i < c->nreaches; i++)
		c->by_vpc[i] = &c->reaches[i];
	if (c->nreaches > 1)
		qsort(c->by_vpc, c->nreaches, sizeof(*c->by_vpc), by_vpc_compare);
}

/* Of the reaches sorted by namespace, how many stand before this one. */
static uint32_t
by_vpc_before(const struct check *c, uint64_t vpc)
{
	uint32_t low = 0, high = c->nreaches;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (c->by_vpc[mid]->vpc < vpc)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct reach *const *
check_reaches_of(const struct check *c, uint32_t vpc, uint32_t *n)
{
	uint32_t first = by_vpc_before(c, vpc);

	*n = by_vpc_before(c, (uint64_t)vpc + 1) - first;
	return c->by_vpc + first;
}
