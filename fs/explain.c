/* explain.c - whose port a socket was for that could not be had. */
#include "check.h"
#include <stdio.h>

static bool
reaches(const struct check *c, const struct entry *service, const struct place_record *r)
{
	struct addr addr = r->addr;

	addr_set_port(&addr, 0);
	for (uint32_t i = 0; i < c->nreaches; i++) {
		if (!reach_covers(&c->reaches[i], r->vpc, &addr))
			continue;
		list_each(it, &service->uses) if (container_of(it, struct reference, link)->by->parent ==
						  c->reaches[i].network->node) return true;
	}
	return false;
}

/* Of the listeners that would be there the one whose port was set last. */
static const struct node *
listener_at(const struct check *c, const struct place_record *r)
{
	const struct node *last = NULL;
	struct map_entry *it;

	for (uint32_t i = 0; (it = map_next(&c->m->names[KIND_SERVICE], &i)) != NULL;) {
		const struct entry *e = it->value;

		for (uint32_t k = 0; e->node != NULL && k < e->node->kids[0].n; k++) {
			const struct node *l = e->node->kids[0].at[k];

			if (node_number(l, LISTENER_PORT, 0) != addr_port(&r->addr) || !node_is_complete(l) ||
			    !reaches(c, e, r))
				continue;
			if (last == NULL ||
			    l->values[LISTENER_PORT]->stamp > last->values[LISTENER_PORT]->stamp)
				last = l;
		}
	}
	return last;
}

void
model_explain_place(const struct model *m, uint32_t place, int err, struct diag *d)
{
	struct check c = {.m = (struct model *)m};
	const struct place_record *r = NULL;
	const struct node *l;
	char addr[ADDR_TEXT_MAX], path[1024] = "";
	struct map_entry *it;

	CHECK(m, MODEL_MAGIC);
	assert(err > 0);
	for (uint32_t i = 0; r == NULL && (it = map_next(&m->places, &i)) != NULL;)
		if (((struct place_record *)it->value)->index == place)
			r = it->value;
	if (r == NULL) {
		diag_set(d, err, "", 0, 0, "cannot listen: %s", strerror(err));
		return;
	}
	check_reaches(&c);
	l = listener_at(&c, r);
	addr_print(&r->addr, addr);
	if (l != NULL)
		node_path(l, "port", path, sizeof(path));
	diag_set(d, err, path, l == NULL ? 0 : l->values[LISTENER_PORT]->line,
	    l == NULL ? 0 : l->values[LISTENER_PORT]->column, "cannot listen on %s: %s", addr, strerror(err));
	if (l != NULL)
		diag_quote(d, l->values[LISTENER_PORT]->text);
	check_fini(&c);
}
