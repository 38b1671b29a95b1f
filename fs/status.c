/* status.c - what .status of an object says. */
#include "status.h"

#include "arn.h"
#include "check.h"
#include "groups.h"
#include "identity.h"
#include "limits.h"
#include "pair.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* ------------------------------------------------------------------ identity */

static void
print_identity(const struct model *m, const struct node *n, struct text *out)
{
	char id[ARN_ID_MAX];

	arn_id(m, n, id);
	text_printf(out, "id %s\narn ", id);
	arn_print(m, n, out);
	text_char(out, '\n');
}

/* ------------------------------------------------------------------ states */

/* A problem that the served table lives with: of n itself, not of an object below it. */
static const struct diag *
known_problem(const struct node *n)
{
	const struct entry *e = n->what < NODE_SERVICE_LINK ? node_entry(n) : NULL;
	char path[1024];
	size_t len;

	/* An association is a matter of what it points to; one that points nowhere, of its network. */
	if (e == NULL)
		e = n->values[0] != NULL && n->values[0]->nrefs > 0 ? n->values[0]->refs[0].entry
								    : node_entry(n);
	node_path(n, NULL, path, sizeof(path));
	len = strlen(path);
	for (uint32_t i = 0; i < e->problems.n; i++) {
		const struct diag *d = &e->problems.all[i].d;

		if (strncmp(d->path, path, len) == 0 &&
		    (d->path[len] == '\0' || (d->path[len] == '/' && strchr(d->path + len + 1, '/') == NULL)))
			return d;
	}
	return NULL;
}

/* `BEFORE KEY...` when something required is not there. */
static bool
print_missing(const struct node *n, struct text *out, const char *before)
{
	const struct attribute *a;
	size_t count;
	bool missing = false;

	if (n->what >= KINDS)
		return false;
	a = schema_attributes(n->what, &count);
	for (size_t i = 0; i < count; i++) {
		if (!a[i].required || n->values[a[i].index] != NULL)
			continue;
		text_printf(out, "%s%s", missing ? " " : before, a[i].name);
		missing = true;
	}
	return missing;
}

/* The end of a child object's line: its state, a rule's requests, and why it is not ACTIVE. */
static void
print_state(const struct node *n, const char *requests_of_rule, struct text *out)
{
	const struct diag *d = known_problem(n);
	struct text missing = {0};

	if (d != NULL)
		text_printf(out, "CREATE_FAILED%s %s\n", requests_of_rule, d->message);
	else if (print_missing(n, &missing, " missing "))
		text_printf(out, "CREATE_IN_PROGRESS%s%s\n", requests_of_rule, missing.p);
	else
		text_printf(out, "ACTIVE%s\n", requests_of_rule);
	text_fini(&missing);
}

/* The first lines of every .status. waiting: what must come from elsewhere, or NULL. */
static void
print_head(const struct model *m, const struct node *n, const char *waiting, struct text *out)
{
	const struct diag *d = known_problem(n);

	if (d != NULL)
		text_printf(out, "status CREATE_FAILED\nreason %s\n", d->message);
	else if (print_missing(n, out, "status CREATE_IN_PROGRESS\nmissing "))
		text_char(out, '\n');
	else if (waiting != NULL)
		text_printf(out, "status CREATE_IN_PROGRESS\nwaiting %s\n", waiting);
	else
		text_printf(out, "status ACTIVE\n");
	print_identity(m, n, out);
}

/* ------------------------------------------------------------------ the served parts */

static uint64_t
requests(const struct status_context *c, uint32_t slot)
{
	return c->engine == NULL ? 0 : engine_requests(c->engine, slot);
}

static const struct service *
served_service(const struct status_context *c, const struct entry *e)
{
	return c->engine != NULL && e->served ? table_service(engine_table(c->engine), e->index) : NULL;
}

static const struct listener *
served_listener(const struct status_context *c, const struct node *n)
{
	const struct service *s = served_service(c, node_entry(n));

	for (uint32_t i = 0; s != NULL && i < s->nlisteners; i++)
		if (str_eq(s->listeners[i].name, str_of(n->name)))
			return &s->listeners[i];
	return NULL;
}

static const struct rule *
served_rule(const struct listener *l, const struct node *n)
{
	for (uint32_t i = 0; l != NULL && i < l->nrules; i++)
		if (str_eq(l->rules[i].name, str_of(n->name)))
			return &l->rules[i];
	return NULL;
}

static const struct group *
served_group(const struct status_context *c, const struct node *n)
{
	const struct entry *e = node_entry(n);

	return c->engine != NULL && e->served ? table_group(engine_table(c->engine), e->index) : NULL;
}

/* ------------------------------------------------------------------ ignored files */

struct ignored {
	const struct status_context *c;
	const char *path;   /* of the object */
	const char *inside; /* the collection being listed, with its slash, or "" */
	enum kind kind;
	struct text *out;
};

static void
ignored_each(void *arg, const char *name, bool is_dir)
{
	struct ignored *i = arg;
	cleanup_free char *path = xasprintf("%s/%s%s", i->path, i->inside, name);
	const char *meant = i->inside[0] == '\0' ? schema_suggest(i->kind, str_of(name)) : NULL;
	struct spot spot;

	schema_spot(path, is_dir, &spot);
	if (spot.sort == SORT_COLLECTION && i->inside[0] == '\0') {
		cleanup_free char *inside = xasprintf("%s/", name);
		struct ignored below = *i;

		below.inside = inside;
		i->c->list(i->c->ctx, path, ignored_each, &below);
	}
	if (spot.sort != SORT_INERT || name[0] == '.')
		return;
	text_printf(i->out, "ignored %s%s", i->inside, name);
	if (meant != NULL && name[strlen(name) - 1] != '~')
		text_printf(i->out, " did you mean %s", meant);
	text_char(i->out, '\n');
}

static int
line_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Directories have no order; a status has. */
static void
print_ignored(const struct status_context *c, const char *path, const struct node *n, struct text *out)
{
	struct text lines = {0};
	struct ignored i = {.c = c, .path = path, .inside = "", .kind = n->what, .out = &lines};
	char **all = NULL, *save = NULL;
	uint32_t count = 0, size = 0;

	if (c->list == NULL)
		return;
	c->list(c->ctx, path, ignored_each, &i);
	for (char *line = lines.p == NULL ? NULL : strtok_r(lines.p, "\n", &save); line != NULL;
	     line = strtok_r(NULL, "\n", &save)) {
		all = array_room(all, count, &size, sizeof(*all));
		all[count++] = line;
	}
	if (count > 1)
		qsort(all, count, sizeof(*all), line_compare);
	for (uint32_t k = 0; k < count; k++)
		text_printf(out, "%s\n", all[k]);
	free(all);
	text_fini(&lines);
}

/* ------------------------------------------------------------------ services */

/* The same address in an earlier namespace. */
static bool
is_repeated(const struct table *t, const struct service *s, uint32_t at)
{
	const struct place *p = table_place(t, s->places[at]);

	for (uint32_t i = 0; i < at; i++) {
		const struct place *before = table_place(t, s->places[i]);

		if (before != NULL && addr_eq(&before->addr, &p->addr))
			return true;
	}
	return false;
}

/* `address 127.0.0.1:8080` where a listener on this port is offered; 0: on any. */
static bool
print_addresses(const struct status_context *c, const struct entry *e, uint16_t port, struct text *out)
{
	const struct service *s = served_service(c, e);
	char addr[ADDR_TEXT_MAX];
	bool any = false;

	for (uint32_t i = 0; s != NULL && i < s->nplaces; i++) {
		const struct place *p = table_place(engine_table(c->engine), s->places[i]);

		if (p == NULL || (port != 0 && addr_port(&p->addr) != port))
			continue;
		any = true;
		if (is_repeated(engine_table(c->engine), s, i))
			continue;
		addr_print(&p->addr, addr);
		text_printf(out, "address %s\n", addr);
	}
	return any;
}

/* What keeps a service that is right from being reached. */
static const char *
service_waits_for(const struct node *n, const struct service *s)
{
	const struct list *uses = &n->entry->uses;
	bool vpc = false, listener = false;

	if (list_empty(uses))
		return "network";
	list_each(it, uses) vpc = vpc || container_of(it, struct reference, link)->by->parent->kids[1].n > 0;
	for (uint32_t i = 0; i < n->kids[0].n; i++)
		listener = listener || known_problem(n->kids[0].at[i]) == NULL;
	if (!vpc)
		return "vpc";
	if (!listener)
		return "listener";
	/* The namespaces of all its VPCs may be gone. */
	return s != NULL && s->nplaces == 0 && s->nlisteners > 0 ? "vpc" : NULL;
}

static void
print_names(const struct model *m, const struct node *n, struct text *out)
{
	const struct value *v = n->values[SERVICE_DOMAIN];

	for (uint32_t i = 0; v != NULL && i < v->nnames; i++)
		text_printf(out, "name " STR_FMT "\n", STR_ARG(v->names[i].name));
	text_printf(out, "name %s.%s\nname %s.localhost\nname %s\n", n->name, m->suffix, n->name, n->name);
}

static int
network_compare(const void *a, const void *b)
{
	const struct node *const *x = a, *const *y = b;

	return strcmp((*x)->parent->name, (*y)->parent->name);
}

/* `network NAME` for every association of a service or VPC; `network none` without. */
static void
print_networks(const struct entry *e, struct text *out)
{
	const struct node **links = NULL;
	uint32_t n = 0, size = 0;

	list_each(it, &e->uses)
	{
		const struct node *by = container_of(it, struct reference, link)->by;

		if (by->what < NODE_SERVICE_LINK)
			continue;
		links = array_room(links, n, &size, sizeof(*links));
		links[n++] = by;
	}
	if (n > 1)
		qsort(links, n, sizeof(*links), network_compare);
	for (uint32_t i = 0; i < n; i++)
		if (i == 0 || links[i]->parent != links[i - 1]->parent)
			text_printf(out, "network %s\n", links[i]->parent->name);
	if (n == 0)
		text_printf(out, "network none\n");
	free(links);
}

static void
print_service(const struct status_context *c, const struct node *n, struct text *out)
{
	const struct service *s = served_service(c, n->entry);
	const char *why = identity_why(c->model, n, s);

	print_head(c->model, n, service_waits_for(n, s), out);
	print_names(c->model, n, out);
	print_addresses(c, n->entry, 0, out);
	print_networks(n->entry, out);
	identity_print(c->model, n, s, out);
	for (uint32_t i = 0; i < n->kids[0].n; i++) {
		const struct node *l = n->kids[0].at[i];

		text_printf(out, "listener %s ", l->name);
		if (why != NULL && node_is_complete(l) &&
		    node_number(l, LISTENER_PROTOCOL, PROTOCOL_HTTP) == PROTOCOL_HTTPS)
			text_printf(out, "CREATE_IN_PROGRESS waiting certificate: no local CA: %s\n", why);
		else
			print_state(l, "", out);
	}
	text_printf(out, "requests %" PRIu64 "\n", s == NULL ? 0 : requests(c, s->slot));
}

static int
rule_order(const void *a, const void *b)
{
	const struct node *x = *(const struct node *const *)a, *y = *(const struct node *const *)b;
	uint32_t p = node_number(x, RULE_PRIORITY, UINT32_MAX), q = node_number(y, RULE_PRIORITY, UINT32_MAX);

	return p != q ? (p < q ? -1 : 1) : strcmp(x->name, y->name);
}

/* `rule NAME PRIORITY STATE REQUESTS`, in match order; those without a priority at the end, with `-`. */
static void
print_listener(const struct status_context *c, const struct node *n, struct text *out)
{
	const struct listener *l = served_listener(c, n);
	const struct kids *k = &n->kids[0];
	cleanup_free const struct node **rules = xcalloc(MAX(k->n, 1), sizeof(*rules));
	char count[24];

	print_head(c->model, n, NULL, out);
	text_printf(out, "protocol %s\n", node_word(n, LISTENER_PROTOCOL));
	if (l != NULL)
		print_addresses(c, node_entry(n), l->port, out);
	for (uint32_t i = 0; i < k->n; i++)
		rules[i] = k->at[i];
	if (k->n > 1)
		qsort(rules, k->n, sizeof(*rules), rule_order);
	for (uint32_t i = 0; i < k->n; i++) {
		const struct rule *r = served_rule(l, rules[i]);
		const struct value *priority = rules[i]->values[RULE_PRIORITY];

		text_printf(out, "rule %s ", rules[i]->name);
		if (priority == NULL || priority->bad != NULL)
			text_printf(out, "- ");
		else
			text_printf(out, "%" PRIu32 " ", priority->number);
		snprintf(count, sizeof(count), " %" PRIu64, r == NULL ? 0 : requests(c, r->slot));
		print_state(rules[i], count, out);
	}
	text_printf(out, "default %" PRIu64 "\n", l == NULL ? 0 : requests(c, l->fallback.slot));
}

static void
print_rule(const struct status_context *c, const struct node *n, struct text *out)
{
	const struct rule *r = served_rule(served_listener(c, n->parent), n);
	const struct value *v = n->values[RULE_ACTION];

	print_head(c->model, n, NULL, out);
	text_printf(out, "requests %" PRIu64 "\n", r == NULL ? 0 : requests(c, r->slot));
	if (v != NULL && v->bad == NULL && v->action.kind == ACTION_FIXED)
		text_printf(out, "fixed-response %u\n", v->action.status);
	for (uint32_t i = 0; v != NULL && i < v->nrefs; i++) {
		uint64_t count = 0;

		for (uint32_t k = 0; r != NULL && k < r->action.nforwards; k++)
			if (str_eq(r->action.forwards[k].name, v->refs[i].name))
				count = requests(c, r->action.forwards[k].slot);
		text_printf(out, "forward " STR_FMT " %" PRIu32 " %" PRIu64 "\n", STR_ARG(v->refs[i].name),
		    v->refs[i].weight, count);
	}
}

/* ------------------------------------------------------------------ groups, networks, VPCs */

/* The paths of what refers to e, sorted, each behind `key `. */
static void
print_uses(const struct entry *e, const char *key, bool links, struct text *out)
{
	char **paths = NULL, path[1024];
	uint32_t n = 0, size = 0;

	list_each(it, &e->uses)
	{
		const struct reference *r = container_of(it, struct reference, link);
		const char *attribute = NULL;

		for (uint32_t i = 0; i < ATTRIBUTES_MAX; i++) {
			const struct value *v = r->by->values[i];

			if (v != NULL && v->attribute != NULL && r >= v->refs && r < v->refs + v->nrefs)
				attribute = v->attribute->name;
		}
		if ((r->by->what >= NODE_SERVICE_LINK) != links)
			continue;
		node_path(r->by, attribute, path, sizeof(path));
		paths = array_room(paths, n, &size, sizeof(*paths));
		paths[n++] = xstrdup(path);
	}
	if (n > 1)
		qsort(paths, n, sizeof(*paths), line_compare);
	for (uint32_t i = 0; i < n; i++) {
		text_printf(out, "%s %s\n", key, paths[i]);
		free(paths[i]);
	}
	free(paths);
}

/* `netns NAME` while its namespace is not to be had, and why if it is more than not there. */
static void
vpc_waits_for(const struct model *m, const struct node *n, struct text *out)
{
	const char *netns = vpc_netns(n), *why;

	if (netns == NULL || m->netns == NULL || vpc_number(m, n, false) != SLOT_NONE)
		return;
	why = m->netns->why(m->netns, netns);
	text_printf(out, "netns %s%s%s", netns, why[0] != '\0' ? ": " : "", why);
}

static void
print_health(const struct status_context *c, const struct target *t, struct text *out)
{
	enum target_reason reason;
	enum target_state state = engine_target(c->engine, t, &reason);

	text_printf(out, "%s%s%s", target_state_word(state), reason == REASON_NONE ? "" : " ",
	    target_reason_word(reason));
}

/* Where a target is that is known by name; in brackets the seconds until that is asked again. */
static void
print_found(const struct status_context *c, const struct target *t, struct text *out)
{
	struct addr all[2 * NAME_ADDRESSES_MAX];
	char addr[ADDR_TEXT_MAX];
	const char *why;
	uint32_t ttl_s, n = engine_addresses(c->engine, t->slot, all, COUNT(all), &ttl_s, &why);

	text_printf(out, " addresses");
	for (uint32_t i = 0; i < n; i++) {
		addr_print_host(&all[i], addr);
		text_printf(out, " %s", addr);
	}
	text_printf(out, "%s (%" PRIu32 ")", n == 0 ? " none" : "", ttl_s);
	if (why != NULL)
		text_printf(out, ": %s", why);
}

static void
print_drain(const struct draining *d, struct text *out)
{
	text_printf(out, " ends-in %" PRIu64, (d->ends_in_ms + 999) / 1000);
}

/* What keeps a target from being served that its group could serve: `missing KEY`, or NULL. */
static const char *
target_lacks(const struct node *n, const struct group *g)
{
	const struct value *v = n->values[0];

	if (v == NULL || v->bad != NULL)
		return NULL;
	switch (v->target.type) {
	case GROUP_INSTANCE:
		return g != NULL ? "missing address" : NULL;
	case GROUP_ALB:
		return v->target.host.len == 0 ? "missing host" : NULL;
	case GROUP_LAMBDA:
		return v->target.host.len == 0 ? "missing url" : NULL;
	default:
		return NULL;
	}
}

/* Of a target that is not served: it is not checked, so its health is unknown. */
static void
print_unserved(const struct node *n, const struct group *g, bool used, struct text *out)
{
	const char *lacks = target_lacks(n, g);

	if (lacks != NULL)
		text_printf(out, "UNAVAILABLE %s", lacks);
	else
		text_printf(
		    out, "%s", used ? "UNAVAILABLE HealthCheckDisabled" : "UNUSED TargetGroupNotInUse");
}

/* t: one of what n stands for in the served table g, or NULL. */
static void
print_target(const struct status_context *c, const struct node *n, const struct group *g,
    const struct target *t, bool used, struct text *out)
{
	const struct value *vpc = n->parent->values[GROUP_VPC];
	const struct diag *d = known_problem(n);
	struct text waiting = {0};
	struct draining drain;
	char addr[ADDR_TEXT_MAX];

	if (vpc != NULL && vpc->nrefs > 0 && vpc->refs[0].entry->node != NULL)
		vpc_waits_for(c->model, vpc->refs[0].entry->node, &waiting);
	text_printf(out, "target %s ", n->name);
	if (d != NULL)
		text_printf(out, "UNAVAILABLE %s", d->message);
	else if (waiting.len > 0)
		text_printf(out, "UNAVAILABLE waiting %s", waiting.p);
	else if (t != NULL)
		print_health(c, t, out);
	else
		print_unserved(n, g, used, out);
	text_printf(out, " requests %" PRIu64 " inflight %" PRIu64, t == NULL ? 0 : requests(c, t->slot),
	    t == NULL ? 0 : engine_inflight(c->engine, t->slot));
	if (t != NULL && g->type == GROUP_INSTANCE) {
		addr_print_host(&t->addr, addr);
		text_printf(out, " address %s", addr);
	}
	if (t != NULL && target_is_named(t))
		print_found(c, t, out);
	if (t != NULL && engine_draining(c->engine, t->slot, &drain))
		print_drain(&drain, out);
	text_char(out, '\n');
	text_fini(&waiting);
}

/* A machine is a target at each of its addresses. */
static void
print_targets(const struct status_context *c, const struct node *n, bool used, struct text *out)
{
	const struct group *g = served_group(c, n);
	bool any = false;

	for (uint32_t i = 0; g != NULL && i < g->ntargets; i++) {
		if (!str_eq(g->targets[i].name, str_of(n->name)))
			continue;
		print_target(c, n, g, &g->targets[i], used, out);
		any = true;
	}
	if (!any)
		print_target(c, n, g, NULL, used, out);
}

/* Those that were removed, and have something in flight still. */
static void
print_removed(const struct status_context *c, const struct group *g, struct text *out)
{
	struct draining d;

	for (uint32_t at = 0; g != NULL && engine_removed(c->engine, g->slot, &at, &d);) {
		text_printf(out,
		    "target " STR_FMT " DRAINING Deregistered requests %" PRIu64 " inflight %" PRIu64,
		    STR_ARG(d.name), d.requests, d.inflight);
		print_drain(&d, out);
		text_char(out, '\n');
	}
}

static void
print_group_protocol(const struct node *n, struct text *out)
{
	if (node_number(n, GROUP_TYPE, GROUP_IP) == GROUP_LAMBDA) {
		text_printf(out, "lambda-event-structure-version %s\n", node_word(n, GROUP_EVENTS));
		return;
	}
	text_printf(out, "protocol %s\n", node_word(n, GROUP_PROTOCOL));
	if (node_number(n, GROUP_PROTOCOL, GROUP_HTTP) != GROUP_TCP)
		text_printf(out, "protocol-version %s\n", node_word(n, GROUP_PROTOCOL_VERSION));
}

static void
print_group(const struct status_context *c, const struct node *n, struct text *out)
{
	print_head(c->model, n, groups_lack_key(n) ? "hash-key" : NULL, out);
	if (node_number(n, GROUP_TYPE, GROUP_IP) != GROUP_IP)
		text_printf(out, "type %s\n", node_word(n, GROUP_TYPE));
	print_group_protocol(n, out);
	identity_print_ca(c->model, n, out);
	print_uses(n->entry, "used-by", false, out);
	for (uint32_t i = 0; i < n->kids[0].n; i++)
		print_targets(c, n->kids[0].at[i], !list_empty(&n->entry->uses), out);
	print_removed(c, served_group(c, n), out);
}

static void
print_network(const struct status_context *c, const struct node *n, struct text *out)
{
	static const char *const keys[] = {"service", "vpc"};

	print_head(c->model, n, NULL, out);
	for (uint32_t k = 0; k < COUNT(keys); k++) {
		for (uint32_t i = 0; i < n->kids[k].n; i++) {
			const struct node *link = n->kids[k].at[i];
			const struct value *v = link->values[0];

			text_printf(out, "%s ", keys[k]);
			if (v != NULL && v->nrefs > 0)
				text_printf(out, STR_FMT " ", STR_ARG(v->refs[0].name));
			else
				text_printf(out, "%s ", link->name);
			print_state(link, "", out);
		}
	}
}

/* Where names are answered, or why not. */
static void
print_resolver(const struct status_context *c, const struct node *n, struct text *out)
{
	uint32_t number = vpc_netns(n) == NULL ? SLOT_NONE : vpc_number(c->model, n, false);
	int rc = c->engine == NULL || number == SLOT_NONE ? -ENOENT : engine_resolver(c->engine, number);

	if (rc == 0)
		text_printf(out, "resolver 169.254.169.253\nresolver fd00:ec2::253\n");
	else if (rc != -ENOENT)
		text_printf(out, "resolver failed: port 53: %s\n", strerror(-rc));
}

static void
print_instance(const struct node *n, struct text *out)
{
	const struct value *v = n->values[0];
	char addr[ADDR_TEXT_MAX];

	text_printf(out, "instance %s", n->name);
	for (uint32_t i = 0; v != NULL && i < v->naddrs; i++) {
		addr_print(&v->addrs[i], addr);
		text_printf(out, " %s", addr);
	}
	text_char(out, '\n');
}

static void
print_vpc(const struct status_context *c, const struct node *n, struct text *out)
{
	const struct value *netns = n->values[VPC_NETNS], *listen = n->values[VPC_LISTEN];
	struct text waiting = {0};
	char addr[ADDR_TEXT_MAX];

	vpc_waits_for(c->model, n, &waiting);
	print_head(c->model, n, waiting.p, out);
	text_fini(&waiting);
	if (netns != NULL && netns->bad == NULL)
		text_printf(out, "netns %s\n", vpc_netns(n) == NULL ? "host" : vpc_netns(n));
	if (listen == NULL && vpc_netns(n) != NULL && vpc_number(c->model, n, false) != 0)
		text_printf(out, "listen " PAIR_NET4 "\nlisten " PAIR_NET6 "\n");
	else if (listen == NULL && netns != NULL)
		text_printf(out, "listen 127.0.0.1\nlisten ::1\n");
	for (uint32_t i = 0; listen != NULL && i < listen->naddrs; i++) {
		addr_print(&listen->addrs[i], addr);
		text_printf(out, "listen %s\n", addr);
	}
	for (uint32_t i = 0; i < n->kids[0].n; i++)
		print_instance(n->kids[0].at[i], out);
	print_resolver(c, n, out);
	print_networks(n->entry, out);
	print_uses(n->entry, "used-by", false, out);
}

int
status_print(const struct status_context *c, const char *path, struct text *out)
{
	static void (*const prints[])(const struct status_context *, const struct node *, struct text *) = {
	    [KIND_VPC] = print_vpc,
	    [KIND_NETWORK] = print_network,
	    [KIND_SERVICE] = print_service,
	    [KIND_LISTENER] = print_listener,
	    [KIND_RULE] = print_rule,
	    [KIND_GROUP] = print_group,
	};
	const struct node *n = node_find(c->model, path);

	if (n == NULL || n->what >= KINDS)
		return -ENOENT;
	prints[n->what](c, n, out);
	print_ignored(c, path, n, out);
	return 0;
}

void
status_print_objects(const struct status_context *c, struct text *out)
{
	static const struct {
		const char *name;
		enum kind kind;
	} rows[] = {{"vpcs", KIND_VPC}, {"networks", KIND_NETWORK}, {"services", KIND_SERVICE},
	    {"listeners", KIND_LISTENER}, {"rules", KIND_RULE}, {"target-groups", KIND_GROUP}};

	text_printf(out, "objects");
	for (size_t i = 0; i < COUNT(rows); i++)
		text_printf(out, " %s %" PRIu32, rows[i].name, model_count(c->model, rows[i].kind));
	text_char(out, '\n');
}
