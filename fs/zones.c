/* zones.c - where names are answered, and what a hosts file of a VPC says. */
#include "zones.h"

struct pick {
	uint32_t vpc, scope;
};

static int
pick_compare(const void *a, const void *b)
{
	const struct pick *x = a, *y = b;

	if (x->vpc != y->vpc)
		return x->vpc < y->vpc ? -1 : 1;
	return x->scope < y->scope ? -1 : x->scope > y->scope;
}

struct zones *
zones_build(const struct check *c)
{
	struct pick *picks = xcalloc(MAX(c->nreaches, 1u), sizeof(*picks));
	struct zones *z = NULL;
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->nreaches; i++) {
		if (c->reaches[i].vpc != 0)
			picks[n++] = (struct pick){c->reaches[i].vpc, c->reaches[i].network->index};
	}
	if (n > 1)
		qsort(picks, n, sizeof(*picks), pick_compare);
	for (uint32_t i = 0; i < n; i++) {
		struct zone *last = z == NULL ? NULL : &z->all[z->n - 1];

		if (z == NULL) {
			z = zones_new();
			z->all = arena_alloc(&z->arena, n * sizeof(*z->all));
		}
		if (last == NULL || last->vpc != picks[i].vpc) {
			last = &z->all[z->n++];
			last->vpc = picks[i].vpc;
			last->scopes = arena_alloc(&z->arena, (n - i) * sizeof(*last->scopes));
		}
		if (last->nscopes == 0 || last->scopes[last->nscopes - 1] != picks[i].scope)
			last->scopes[last->nscopes++] = picks[i].scope;
	}
	free(picks);
	return z;
}

bool
zones_equal(const struct zones *a, const struct zones *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	if (a->n != b->n)
		return false;
	for (uint32_t i = 0; i < a->n; i++) {
		const struct zone *x = &a->all[i], *y = &b->all[i];

		if (x->vpc != y->vpc || x->nscopes != y->nscopes ||
		    memcmp(x->scopes, y->scopes, x->nscopes * sizeof(*x->scopes)) != 0)
			return false;
	}
	return true;
}

void
model_print_hosts(const struct model *m, const char *path, const struct table *served, struct text *out)
{
	const struct node *vpc = node_find(m, path), *owner;
	const struct zone *zone;
	uint32_t number;

	CHECK(m, MODEL_MAGIC);
	if (vpc == NULL || vpc->what != KIND_VPC)
		return;
	number = vpc_number(m, vpc, false);
	zone = number == 0 || number == SLOT_NONE ? NULL : table_zone(served, number);
	for (uint32_t i = 0; zone != NULL && i < zone->nscopes; i++)
		table_print_hosts(served, number, zone->scopes[i], out);
	/* Several VPCs may be the host's namespace, each with a network of its own. */
	owner = number == 0 ? vpc_owner(vpc->entry) : NULL;
	if (owner != NULL)
		table_print_hosts(served, 0, owner->parent->entry->index, out);
}
