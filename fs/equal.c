/* equal.c - parts of two tables that say the same. */
#include "equal.h"

static bool
match_equal(const struct match *a, const struct match *b)
{
	if (!str_eq(a->method, b->method) || a->path_op != b->path_op || !str_eq(a->path, b->path) ||
	    a->path_case != b->path_case || a->header_case != b->header_case || a->nheaders != b->nheaders)
		return false;
	for (uint32_t i = 0; i < a->nheaders; i++)
		if (a->headers[i].op != b->headers[i].op || !str_eq(a->headers[i].name, b->headers[i].name) ||
		    !str_eq(a->headers[i].value, b->headers[i].value))
			return false;
	return true;
}

static bool
caller_equal(const struct caller_key *a, const struct caller_key *b)
{
	return a->kind == b->kind && str_eq(a->name, b->name);
}

static bool
resilience_equal(const struct resilience *a, const struct resilience *b)
{
	return a->timeout_ms == b->timeout_ms && a->retries == b->retries && a->retry_on == b->retry_on &&
	       a->max_requests == b->max_requests;
}

bool
action_equal(const struct action *a, const struct action *b)
{
	if (a->kind != b->kind || a->status != b->status || a->nforwards != b->nforwards ||
	    a->on_empty_fail != b->on_empty_fail || !caller_equal(&a->sticky, &b->sticky) ||
	    !resilience_equal(&a->resilience, &b->resilience))
		return false;
	for (uint32_t i = 0; i < a->nforwards; i++) {
		const struct forward *x = &a->forwards[i], *y = &b->forwards[i];

		if (x->group != y->group || x->slot != y->slot || x->weight != y->weight ||
		    !str_eq(x->name, y->name))
			return false;
	}
	return true;
}

static bool
rule_equal(const struct rule *a, const struct rule *b)
{
	return str_eq(a->name, b->name) && a->priority == b->priority && a->slot == b->slot &&
	       match_equal(&a->match, &b->match) && action_equal(&a->action, &b->action);
}

static bool
listener_equal(const struct listener *a, const struct listener *b)
{
	if (!str_eq(a->name, b->name) || a->port != b->port || a->protocol != b->protocol ||
	    a->nrules != b->nrules || !rule_equal(&a->fallback, &b->fallback))
		return false;
	for (uint32_t i = 0; i < a->nrules; i++)
		if (!rule_equal(&a->rules[i], &b->rules[i]))
			return false;
	return true;
}

bool
service_equal(const struct service *a, const struct service *b)
{
	if (a->slot != b->slot || a->idle_timeout_s != b->idle_timeout_s || a->nlisteners != b->nlisteners ||
	    a->tls_edition != b->tls_edition || a->nhosts != b->nhosts || a->nplaces != b->nplaces ||
	    a->nscopes != b->nscopes || !str_eq(a->name, b->name))
		return false;
	for (uint32_t i = 0; i < a->nlisteners; i++)
		if (!listener_equal(&a->listeners[i], &b->listeners[i]))
			return false;
	for (uint32_t i = 0; i < a->nhosts; i++)
		if (a->hosts[i].scope != b->hosts[i].scope || !str_eq(a->hosts[i].name, b->hosts[i].name))
			return false;
	for (uint32_t i = 0; i < a->nscopes; i++)
		if (a->scopes[i].scope != b->scopes[i].scope || !str_eq(a->scopes[i].name, b->scopes[i].name))
			return false;
	return a->nplaces == 0 || memcmp(a->places, b->places, a->nplaces * sizeof(*a->places)) == 0;
}

bool
target_is_same(const struct target *a, const struct target *b)
{
	return str_eq(a->name, b->name) && addr_eq(&a->addr, &b->addr) && str_eq(a->host, b->host) &&
	       str_eq(a->path, b->path);
}

static bool
check_equal(const struct health_check *a, const struct health_check *b)
{
	return a->enabled == b->enabled && a->protocol == b->protocol && a->http2 == b->http2 &&
	       a->port == b->port && str_eq(a->path, b->path) && str_eq(a->service, b->service) &&
	       a->interval_ms == b->interval_ms && a->timeout_ms == b->timeout_ms &&
	       a->healthy == b->healthy && a->unhealthy == b->unhealthy && a->ncodes == b->ncodes &&
	       memcmp(a->codes, b->codes, a->ncodes * sizeof(*a->codes)) == 0;
}

static bool
passive_equal(const struct passive_check *a, const struct passive_check *b)
{
	return a->enabled == b->enabled && a->failures == b->failures && a->errors == b->errors &&
	       a->ejection_ms == b->ejection_ms && a->ejection_max_ms == b->ejection_max_ms &&
	       a->ejected_percent == b->ejected_percent;
}

/* The ring follows from the rest. */
bool
group_equal(const struct group *a, const struct group *b)
{
	if (a->slot != b->slot || a->vpc != b->vpc || a->ntargets != b->ntargets ||
	    !str_eq(a->name, b->name) || a->protocol != b->protocol || a->version != b->version ||
	    a->tls_edition != b->tls_edition || a->type != b->type || a->algorithm != b->algorithm ||
	    !caller_equal(&a->hash_key, &b->hash_key) || a->drain_ms != b->drain_ms ||
	    a->slow_start_ms != b->slow_start_ms || a->lambda_v2 != b->lambda_v2 || a->used != b->used ||
	    !check_equal(&a->check, &b->check) || !passive_equal(&a->passive, &b->passive))
		return false;
	for (uint32_t i = 0; i < a->ntargets; i++) {
		const struct target *x = &a->targets[i], *y = &b->targets[i];

		if (x->slot != y->slot || !target_is_same(x, y) || x->weight != y->weight ||
		    x->admin != y->admin)
			return false;
	}
	return true;
}
