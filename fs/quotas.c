/* quotas.c - how many of something there may be, as the daemon's configuration says. */
#include "quotas.h"
#include <errno.h>

static void
problem_quota(struct entry *e, const struct node *late, const char *whose, unsigned max, const char *what,
    const char *key)
{
	problem(e, (struct where){late, NULL, 0, 0}, EDQUOT,
	    "%s at most %u %s (%s in the configuration's [limits])", whose, max, what, key);
}

static const struct node *
youngest_kid(const struct kids *k)
{
	const struct node *late = NULL;

	for (uint32_t i = 0; i < k->n; i++)
		if (late == NULL || k->at[i]->stamp >= late->stamp)
			late = k->at[i];
	return late;
}

static void
check_kids(
    struct entry *e, const struct node *n, const char *whose, unsigned max, const char *what, const char *key)
{
	const struct kids *k = &n->kids[0];

	if (max > 0 && k->n > max && k->n > k->known)
		problem_quota(e, youngest_kid(k), whose, max, what, key);
}

/* Of all dirty ones of its kind the last is told. */
static bool
is_youngest(const struct model *m, const struct entry *e)
{
	for (uint32_t i = 0; i < m->ndirty; i++) {
		const struct entry *o = m->dirty[i];

		if (o->kind == e->kind && o->node != NULL && o != e &&
		    (o->node->stamp > e->node->stamp ||
			(o->node->stamp == e->node->stamp && o->dirty > e->dirty)))
			return false;
	}
	return true;
}

void
quotas_check(const struct model *m, struct entry *e)
{
	const struct quotas *q = &m->quotas;
	const struct {
		unsigned max;
		const char *what, *key;
	} rows[KINDS] = {[KIND_VPC] = {q->vpcs, "VPCs", "vpcs"},
	    [KIND_NETWORK] = {q->networks, "networks", "networks"},
	    [KIND_SERVICE] = {q->services, "services", "services"},
	    [KIND_GROUP] = {q->target_groups, "target groups", "target-groups"}};
	const struct node *n = e->node;
	unsigned max = rows[e->kind].max;

	if (n == NULL)
		return;
	if (max > 0 && m->counts[e->kind] > max && m->counts[e->kind] > m->known[e->kind] &&
	    is_youngest(m, e))
		problem_quota(e, n, "there are", max, rows[e->kind].what, rows[e->kind].key);
	if (e->kind == KIND_GROUP)
		check_kids(e, n, "a target group has", q->targets_per_group, "targets", "targets-per-group");
	if (e->kind != KIND_SERVICE)
		return;
	check_kids(e, n, "a service has", q->listeners_per_service, "listeners", "listeners-per-service");
	for (uint32_t i = 0; i < n->kids[0].n; i++)
		check_kids(e, n->kids[0].at[i], "a listener has", q->rules_per_listener, "rules",
		    "rules-per-listener");
}
