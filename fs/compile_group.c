/* compile_group.c - a target group of the model as a part of the table. */
#include "compile.h"
#include "arn.h"
#include "certificate.h"
#include "equal.h"
#include "groups.h"
#include "limits.h"

struct caller_key
caller_build(struct arena *arena, const struct caller_key *c)
{
	return (struct caller_key){c->kind, arena_str(arena, c->name)};
}

static const struct target *
old_target(const struct group *g, const struct target *new, uint32_t *cursor)
{
	for (uint32_t i = 0; g != NULL && i < g->ntargets; i++) {
		uint32_t at = (*cursor + i) % g->ntargets;

		if (!target_is_same(&g->targets[at], new))
			continue;
		*cursor = at + 1;
		return &g->targets[at];
	}
	return NULL;
}

/* Where its targets are. SLOT_NONE: in a namespace that is not there now. */
static uint32_t
group_number(const struct check *c, const struct node *group)
{
	const struct value *v = group->values[GROUP_VPC];

	if (v == NULL)
		return 0;
	if (v->bad != NULL || v->nrefs == 0 || v->refs[0].entry->node == NULL)
		return SLOT_NONE;
	return vpc_number(c->m, v->refs[0].entry->node, false);
}

/* What that is called. */
static struct str
group_space(struct group *g, const struct node *group)
{
	const char *netns = vpc_netns(group->values[GROUP_VPC]->refs[0].entry->node);

	return netns != NULL ? arena_str(&g->arena, str_of(netns)) : STR("");
}

/* Idle connections belong to a target's slot: what was agreed on them must still hold. */
static bool
is_spoken_to_alike(const struct group *a, const struct group *b)
{
	return a->vpc == b->vpc && a->protocol == b->protocol && a->version == b->version &&
	       (a->protocol != GROUP_HTTPS || a->tls_edition == b->tls_edition);
}

static void
group_protocol(struct check *c, struct group *g, const struct node *n, const struct group *old)
{
	g->protocol = (enum group_protocol)node_number(n, GROUP_PROTOCOL, GROUP_HTTP);
	g->version = (enum group_version)node_number(n, GROUP_PROTOCOL_VERSION, GROUP_HTTP1);
	g->verify_system = node_number(n, GROUP_VERIFY, 0) == 1;
	if (node_has(n, GROUP_CA)) {
		g->ca = arena_str(&g->arena, n->values[GROUP_CA]->credential->pem);
		g->ca_mark = arena_str(&g->arena, n->values[GROUP_CA]->credential->mark);
	}
	if (old != NULL && old->verify_system == g->verify_system && str_eq(old->ca, g->ca))
		g->tls_edition = old->tls_edition;
	else
		g->tls_edition = ++c->m->edition;
}

static uint32_t
milliseconds(const struct node *n, uint32_t index, uint32_t preset_s)
{
	return node_number(n, index, preset_s) * 1000;
}

static void
group_checks(struct group *g, const struct node *n)
{
	const struct health_text *h =
	    node_has(n, GROUP_HEALTH_CHECK) ? n->values[GROUP_HEALTH_CHECK]->health : NULL;
	struct health_check preset;

	group_check_default(g, &preset);
	passive_check_default(&g->passive);
	g->check = preset;
	if (h == NULL)
		return;
	g->passive = h->passive;
	g->check = h->check;
	if (!h->enabled_set)
		g->check.enabled = preset.enabled;
	if (!h->protocol_set)
		g->check.protocol = preset.protocol;
	if (!h->version_set)
		g->check.http2 = preset.http2 && g->check.protocol <= CHECK_HTTPS;
	g->check.path = arena_str(&g->arena, h->check.path);
	g->check.service = arena_str(&g->arena, h->check.service);
	g->check.codes = arena_copy(&g->arena, h->check.codes, h->check.ncodes * sizeof(*h->check.codes));
}

/* Which of its targets gets a request, and how one comes and goes. */
static void
group_balance(struct group *g, const struct node *n)
{
	g->algorithm = (enum algorithm)node_number(n, GROUP_ALGORITHM, ALGORITHM_ROUND_ROBIN);
	if (groups_lack_key(n))
		g->algorithm = ALGORITHM_ROUND_ROBIN;
	if (node_has(n, GROUP_HASH_KEY) && g->algorithm == ALGORITHM_CONSISTENT_HASH)
		g->hash_key = caller_build(&g->arena, &n->values[GROUP_HASH_KEY]->caller);
	g->drain_ms = milliseconds(n, GROUP_DRAIN, DRAIN_DEFAULT);
	g->slow_start_ms = milliseconds(n, GROUP_SLOW_START, 0);
	g->lambda_v2 = node_number(n, GROUP_EVENTS, 0) == 1;
}

static void
group_targets(struct check *c, struct group *g, const struct node *n, const struct group *old)
{
	uint32_t count, cursor = 0;
	cleanup_free struct target_row *rows = groups_targets(n, &count);

	g->targets = arena_alloc(&g->arena, count * sizeof(*g->targets));
	/* In two rounds: those with admin up come first. */
	for (uint32_t i = 0; i < 2 * count; i++) {
		const struct target_row *row = &rows[i % count];
		const struct target_text *text = &row->node->values[0]->target;
		struct target *t = &g->targets[g->ntargets];
		const struct target *was;

		if ((text->admin == ADMIN_UP) != (i < count))
			continue;
		g->ntargets++;
		t->name = arena_str(&g->arena, str_of(row->node->name));
		t->addr = row->addr;
		t->weight = text->weight;
		t->admin = text->admin;
		t->host = arena_str(&g->arena, text->host);
		t->path = arena_str(&g->arena, text->path);
		was = old_target(old, t, &cursor);
		t->slot = was != NULL && is_spoken_to_alike(old, g) ? was->slot : compile_slot(c->e);
	}
}

struct group *
group_build(struct check *c, const struct entry *e, const struct group *old, bool used)
{
	const struct node *n = e->node;
	struct group *g = group_new();
	uint32_t number;

	g->index = e->index;
	g->slot = old != NULL ? old->slot : compile_slot(c->e);
	g->name = arena_str(&g->arena, str_of(e->name));
	g->arn = arn_build(c->m, n, &g->arena);
	number = group_number(c, n);
	g->vpc = number == SLOT_NONE ? 0 : number;
	if (g->vpc != 0)
		g->space = group_space(g, n);
	g->type = (enum group_type)node_number(n, GROUP_TYPE, GROUP_IP);
	group_protocol(c, g, n, old);
	group_checks(g, n);
	group_balance(g, n);
	g->used = used;
	if (!n->wrong && number != SLOT_NONE)
		group_targets(c, g, n, old);
	if (g->algorithm == ALGORITHM_CONSISTENT_HASH)
		group_ring_build(g);
	return g;
}
