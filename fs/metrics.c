/* metrics.c - the counters that are an object's, as Prometheus reads them. */
#include "metrics.h"

#include "identity.h"
#include <inttypes.h>

static void
metric_head(const char *name, const char *help, const char *type, struct text *out)
{
	text_printf(out, "# HELP latticefs_%s %s\n# TYPE latticefs_%s %s\n", name, help, name, type);
}

static void
metric_rule(const struct status_context *c, const struct service *s, const struct listener *l,
    const struct rule *r, bool forwards, struct text *out)
{
	for (uint32_t i = 0; i < (forwards ? r->action.nforwards : 1); i++) {
		const struct forward *f = &r->action.forwards[i];

		text_printf(out,
		    "latticefs_rule_%s_total{service=\"" STR_FMT "\",listener=\"" STR_FMT "\",rule=\"" STR_FMT
		    "\"",
		    forwards ? "forwards" : "requests", STR_ARG(s->name), STR_ARG(l->name), STR_ARG(r->name));
		if (forwards)
			text_printf(out, ",group=\"" STR_FMT "\"", STR_ARG(f->name));
		text_printf(out, "} %" PRIu64 "\n", engine_requests(c->engine, forwards ? f->slot : r->slot));
	}
}

static void
metric_services(const struct status_context *c, bool forwards, struct text *out)
{
	const struct table *t = engine_table(c->engine);

	for (uint32_t i = 0; i < table_nservices(t); i++) {
		const struct service *s = table_service(t, i);

		for (uint32_t k = 0; s != NULL && k < s->nlisteners; k++) {
			const struct listener *l = &s->listeners[k];

			for (uint32_t r = 0; r < l->nrules; r++)
				metric_rule(c, s, l, &l->rules[r], forwards, out);
			metric_rule(c, s, l, &l->fallback, forwards, out);
		}
	}
}

enum target_metric { METRIC_REQUESTS, METRIC_INFLIGHT, METRIC_HEALTHY };

/* False: nothing is known of it. */
static bool
target_value(
    const struct status_context *c, const struct target *t, enum target_metric metric, uint64_t *value)
{
	enum target_reason reason;
	enum target_state state;

	switch (metric) {
	case METRIC_REQUESTS:
		*value = engine_requests(c->engine, t->slot);
		return true;
	case METRIC_INFLIGHT:
		*value = engine_inflight(c->engine, t->slot);
		return true;
	case METRIC_HEALTHY:
		break;
	}
	state = engine_target(c->engine, t, &reason);
	*value = state == TARGET_HEALTHY;
	return state == TARGET_HEALTHY || state == TARGET_UNHEALTHY || state == TARGET_INITIAL;
}

/* A machine is a target at each of its addresses: they tell its counters apart. */
static void
metric_labels(const struct group *g, const struct target *t, struct text *out)
{
	char addr[ADDR_TEXT_MAX];

	text_printf(out, "group=\"" STR_FMT "\",target=\"" STR_FMT "\"", STR_ARG(g->name), STR_ARG(t->name));
	if (g->type != GROUP_INSTANCE)
		return;
	addr_print_host(&t->addr, addr);
	text_printf(out, ",address=\"%s\"", addr);
}

static void
metric_targets(const struct status_context *c, enum target_metric metric, struct text *out)
{
	static const char *const names[] = {"requests_total", "inflight", "healthy"};
	struct map_entry *it;

	for (uint32_t i = 0; (it = map_next(&c->model->names[KIND_GROUP], &i)) != NULL;) {
		const struct entry *e = it->value;
		const struct group *g = e->served ? table_group(engine_table(c->engine), e->index) : NULL;

		for (uint32_t k = 0; g != NULL && k < g->ntargets; k++) {
			uint64_t value;

			if (!target_value(c, &g->targets[k], metric, &value))
				continue;
			text_printf(out, "latticefs_target_%s{", names[metric]);
			metric_labels(g, &g->targets[k], out);
			text_printf(out, "} %" PRIu64 "\n", value);
		}
	}
}

void
metrics_print(const struct status_context *c, struct text *out)
{
	if (c->engine == NULL)
		return;
	metric_head("rule_requests_total", "Requests that a rule decided.", "counter", out);
	metric_services(c, false, out);
	metric_head("rule_forwards_total", "Requests that a rule sent to a target group.", "counter", out);
	metric_services(c, true, out);
	metric_head("target_requests_total", "Requests sent to a target.", "counter", out);
	metric_targets(c, METRIC_REQUESTS, out);
	metric_head("target_inflight", "Requests that a target has not answered yet.", "gauge", out);
	metric_targets(c, METRIC_INFLIGHT, out);
	metric_head("target_healthy", "1: its checks are good. Of targets that are checked.", "gauge", out);
	metric_targets(c, METRIC_HEALTHY, out);
	identity_print_metrics(engine_table(c->engine), out);
}
