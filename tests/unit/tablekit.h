/* tablekit.h - small tables for a real engine: a place on loopback, and services there that forward. */
#ifndef TABLEKIT_H
#define TABLEKIT_H

#include "engine.h"
#include "port.h"
#include <criterion/criterion.h>

#define SCOPE 7u

/* Of the table's only listener. */
static inline struct place *
table_kit_place(uint16_t port, enum protocol protocol)
{
	struct place *p = place_new();

	p->serial = 1;
	p->addr = local_addr(port);
	p->protocol = protocol;
	p->open = true;
	p->nscopes = 1;
	p->scopes = xcalloc(1, sizeof(*p->scopes));
	p->scopes[0] = SCOPE;
	return p;
}

/* Its only rule forwards. hosts end with NULL, forwards with an empty name; both are copied. What else there
 * is the caller sets before it builds. */
static inline struct service *
table_kit_service(uint16_t port, enum protocol protocol, uint32_t slot, uint32_t rule_slot,
    const char *const *hosts, const struct forward *to)
{
	struct service *v = service_new();
	struct rule *rule;

	v->slot = slot;
	v->idle_timeout_s = 60;
	v->nlisteners = v->nscopes = v->nplaces = 1;
	v->listeners = arena_alloc(&v->arena, sizeof(*v->listeners));
	v->listeners[0] = (struct listener){.name = STR("web"), .port = port, .protocol = protocol};
	rule = &v->listeners[0].fallback;
	*rule = (struct rule){.name = STR("default"), .slot = rule_slot};
	while (to[rule->action.nforwards].name.len > 0)
		rule->action.nforwards++;
	rule->action.forwards = arena_copy(&v->arena, to, rule->action.nforwards * sizeof(*to));
	action_spread(&rule->action, &v->arena);
	while (hosts[v->nhosts] != NULL)
		v->nhosts++;
	v->hosts = arena_alloc(&v->arena, v->nhosts * sizeof(*v->hosts));
	for (uint32_t i = 0; i < v->nhosts; i++)
		v->hosts[i] = (struct host_name){SCOPE, arena_str(&v->arena, str_of(hosts[i]))};
	v->name = v->hosts[0].name;
	v->scopes = arena_alloc(&v->arena, sizeof(*v->scopes));
	v->scopes[0] = (struct scope_name){.scope = SCOPE, .name = STR("net")};
	v->places = arena_alloc(&v->arena, sizeof(*v->places));
	v->places[0] = 0;
	return v;
}

static inline void
table_kit_publish(struct engine *e, struct build *b)
{
	struct table *next;
	struct clash clash;
	uint32_t place;

	cr_assert(build_seal(b, &next, &clash) == 0);
	cr_assert(engine_prepare(e, next, &place) == 0);
	engine_publish(e, next);
}

#endif
