/* table_print.c - the table as text: one line an effective route. */
#include "limits.h"
#include "table.h"
#include <inttypes.h>

/* As it is, or in quotes when a blank, a quote or an unprintable byte would make the line unclear. */
static void
print_value(struct text *out, struct str s)
{
	bool plain = s.len > 0;

	for (uint32_t i = 0; i < s.len && plain; i++)
		plain = s.p[i] > ' ' && s.p[i] != 0x7f && s.p[i] != '"' && s.p[i] != '\\';
	if (plain) {
		text_str(out, s);
		return;
	}
	text_char(out, '"');
	for (uint32_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '"' || c == '\\')
			text_printf(out, "\\%c", c);
		else if (c < ' ' || c >= 0x7f)
			text_printf(out, "\\x%02x", c);
		else
			text_char(out, (char)c);
	}
	text_char(out, '"');
}

static void
print_match(struct text *out, const struct match *m)
{
	static const char *const ops[] = {[MATCH_ANY] = "any",
	    [MATCH_EXACT] = "exact",
	    [MATCH_PREFIX] = "prefix",
	    [MATCH_CONTAINS] = "contains"};

	if (m->method.len > 0) {
		text_printf(out, " method=");
		print_value(out, m->method);
	}
	if (m->path_op != MATCH_ANY) {
		text_printf(out, " path-%s=", ops[m->path_op]);
		print_value(out, m->path);
		if (m->path_case)
			text_printf(out, " path-case-sensitive");
	}
	for (uint32_t i = 0; i < m->nheaders; i++) {
		const struct header_match *h = &m->headers[i];

		text_printf(out, " header-%s=" STR_FMT ":", ops[h->op], STR_ARG(h->name));
		print_value(out, h->value);
	}
	if (m->nheaders > 0 && m->header_case)
		text_printf(out, " header-case-sensitive");
}

/* What its targets speak, unless it is HTTP/1.1 without TLS. */
static void
print_group_protocol(struct text *out, const struct group *g)
{
	static const char *const protocols[] = {
	    [GROUP_HTTP] = "HTTP", [GROUP_HTTPS] = "HTTPS", [GROUP_TCP] = "TCP"};
	static const char *const versions[] = {
	    [GROUP_HTTP1] = "", [GROUP_HTTP2] = "/HTTP2", [GROUP_GRPC] = "/GRPC"};

	if (g->protocol == GROUP_HTTP && g->version == GROUP_HTTP1)
		return;
	text_printf(out, "/%s%s", protocols[g->protocol], versions[g->version]);
	if (g->protocol == GROUP_HTTPS && (g->ca.len > 0 || g->verify_system))
		text_printf(out, "/verified");
	if (g->protocol == GROUP_HTTPS && g->ca.len > 0)
		text_printf(out, ":%s" STR_FMT, g->verify_system ? "system+" : "", STR_ARG(g->ca_mark));
}

/* ------------------------------------------------------------------ options: what is not the default */

/* `[` before the first, `,` before the others, and `]` behind the last. */
struct options {
	struct text *out;
	const char *before; /* the first */
	bool any;
};

static void PRINTF(2, 3) option(struct options *o, const char *fmt, ...)
{
	va_list ap;

	text_printf(o->out, "%s", o->any ? "," : o->before);
	o->any = true;
	va_start(ap, fmt);
	text_vprintf(o->out, fmt, ap);
	va_end(ap);
}

static void
option_caller(struct options *o, const char *key, const struct caller_key *c)
{
	static const char *const kinds[] = {[CALLER_HEADER] = "header:",
	    [CALLER_COOKIE] = "cookie:",
	    [CALLER_SOURCE] = "source",
	    [CALLER_PATH] = "path"};

	if (c->kind != CALLER_NONE)
		option(o, "%s=%s" STR_FMT, key, kinds[c->kind], STR_ARG(c->name));
}

static bool
checks_equal(const struct health_check *a, const struct health_check *b)
{
	return a->protocol == b->protocol && a->http2 == b->http2 && a->port == b->port &&
	       str_eq(a->path, b->path) && str_eq(a->service, b->service) &&
	       a->interval_ms == b->interval_ms && a->timeout_ms == b->timeout_ms &&
	       a->healthy == b->healthy && a->unhealthy == b->unhealthy && a->ncodes == b->ncodes &&
	       (a->ncodes == 0 || memcmp(a->codes, b->codes, a->ncodes * sizeof(*a->codes)) == 0);
}

static void
option_check(struct options *o, const struct group *g)
{
	static const char *const protocols[] = {
	    [CHECK_HTTP] = "HTTP", [CHECK_HTTPS] = "HTTPS", [CHECK_TCP] = "TCP", [CHECK_GRPC] = "GRPC"};
	const struct health_check *c = &g->check;
	struct health_check preset;

	group_check_default(g, &preset);
	if (c->enabled == preset.enabled && (!c->enabled || checks_equal(c, &preset)))
		return;
	if (!c->enabled) {
		option(o, "check=off");
		return;
	}
	option(o, "check=%s%s:%u:", protocols[c->protocol], c->http2 ? "/HTTP2" : "", c->port);
	if (c->protocol == CHECK_GRPC)
		text_str(o->out, c->service);
	else if (c->protocol != CHECK_TCP)
		text_str(o->out, c->path);
	text_printf(o->out, ":%" PRIu32 ":%" PRIu32 ":%" PRIu32 ":%" PRIu32 ":", c->interval_ms,
	    c->timeout_ms, c->healthy, c->unhealthy);
	for (uint32_t i = 0; c->protocol <= CHECK_HTTPS && i < c->ncodes; i++) {
		text_printf(o->out, "%s%u", i > 0 ? "+" : "", c->codes[i].low);
		if (c->codes[i].high != c->codes[i].low)
			text_printf(o->out, "-%u", c->codes[i].high);
	}
}

static void
print_group_options(struct text *out, const struct group *g)
{
	static const char *const types[] = {
	    [GROUP_INSTANCE] = "INSTANCE", [GROUP_LAMBDA] = "LAMBDA", [GROUP_ALB] = "ALB"};
	const struct passive_check *p = &g->passive;
	struct options o = {.out = out, .before = "["};

	if (g->type != GROUP_IP)
		option(&o, "%s", types[g->type]);
	if (g->algorithm == ALGORITHM_LEAST_REQUESTS)
		option(&o, "least-requests");
	if (g->algorithm == ALGORITHM_CONSISTENT_HASH)
		option_caller(&o, "consistent-hash", &g->hash_key);
	if (g->drain_ms != DRAIN_DEFAULT * 1000)
		option(&o, "drain=%" PRIu32, g->drain_ms / 1000);
	if (g->slow_start_ms != 0)
		option(&o, "slow-start=%" PRIu32, g->slow_start_ms / 1000);
	if (g->lambda_v2)
		option(&o, "events=V2");
	option_check(&o, g);
	if (p->enabled)
		option(&o, "passive=%" PRIu32 ":%" PRIu32 ":%" PRIu32 ":%" PRIu32 ":%" PRIu32, p->failures,
		    p->errors, p->ejection_ms, p->ejection_max_ms, p->ejected_percent);
	if (o.any)
		text_char(out, ']');
}

static void
print_action_options(struct text *out, const struct action *a)
{
	static const char *const words[] = {"connect", "timeout", "5xx", "gateway-error"};
	const struct resilience *r = &a->resilience;
	struct options o = {.out = out, .before = " ["};
	const char *between = "";

	option_caller(&o, "sticky", &a->sticky);
	if (a->on_empty_fail)
		option(&o, "on-empty=fail");
	if (r->timeout_ms > 0)
		option(&o, "timeout=%" PRIu32 "ms", r->timeout_ms);
	if (r->retries > 0) {
		option(&o, "retries=%" PRIu32 ",retry-on=", r->retries);
		for (size_t i = 0; i < COUNT(words); i++) {
			if ((r->retry_on & 1u << i) == 0)
				continue;
			text_printf(out, "%s%s", between, words[i]);
			between = "+";
		}
	}
	if (r->max_requests > 0)
		option(&o, "max-requests=%" PRIu32, r->max_requests);
	if (o.any)
		text_char(out, ']');
}

/* ------------------------------------------------------------------ routes */

static void
print_target(struct text *out, const struct group *g, const struct target *t)
{
	static const char *const admins[] = {
	    [ADMIN_UP] = "", [ADMIN_DRAIN] = "!drain", [ADMIN_DOWN] = "!down"};
	char addr[ADDR_TEXT_MAX];

	if (g->type == GROUP_LAMBDA) {
		text_printf(out, "http://" STR_FMT STR_FMT, STR_ARG(t->host), STR_ARG(t->path));
	} else if (t->addr.sa.sa_family == AF_UNSPEC) {
		text_printf(out, STR_FMT ":%u", STR_ARG(t->host), addr_port(&t->addr));
	} else {
		addr_print(&t->addr, addr);
		text_printf(out, "%s", addr);
	}
	if (t->weight > 1)
		text_printf(out, "*%u", t->weight);
	text_printf(out, "%s", admins[t->admin]);
}

static void
print_action(struct text *out, const struct table *t, const struct action *a)
{
	if (a->kind == ACTION_FIXED) {
		text_printf(out, " -> fixed-response %u\n", a->status);
		return;
	}
	text_printf(out, " -> forward");
	for (uint32_t i = 0; i < a->nforwards; i++) {
		const struct forward *f = &a->forwards[i];
		const struct group *g = table_group(t, f->group);

		text_printf(out, " " STR_FMT ":%u{", STR_ARG(f->name), f->weight);
		for (uint32_t j = 0; g != NULL && j < g->ntargets; j++) {
			if (j > 0)
				text_char(out, ',');
			print_target(out, g, &g->targets[j]);
		}
		text_char(out, '}');
		if (g == NULL)
			continue;
		print_group_protocol(out, g);
		print_group_options(out, g);
	}
	print_action_options(out, a);
	text_char(out, '\n');
}

static bool
place_has_scope(const struct place *p, uint32_t scope)
{
	for (uint32_t i = 0; i < p->nscopes; i++)
		if (p->scopes[i] == scope)
			return true;
	return false;
}

/* What is shown in a handshake, and asked for. */
static void
print_tls(struct text *out, const struct service *s)
{
	if (s->ncertificates > 0 && s->certificates[0].local)
		text_printf(out, " certificate=local-ca");
	else if (s->ncertificates > 0)
		text_printf(out, " certificate=own:" STR_FMT, STR_ARG(s->certificates[0].mark));
	if (s->client_ca.len > 0)
		text_printf(out, " client-ca=" STR_FMT, STR_ARG(s->client_ca_mark));
}

/* What all routes of a listener in a network share: ` HTTP places hosts`. False: it is offered nowhere. */
static bool
print_where(struct text *out, const struct table *t, const struct service *s, const struct listener *l,
    uint32_t scope)
{
	static const char *const protocols[] = {[PROTOCOL_HTTP] = "HTTP",
	    [PROTOCOL_HTTPS] = "HTTPS",
	    [PROTOCOL_TLS_PASSTHROUGH] = "TLS_PASSTHROUGH"};
	char addr[ADDR_TEXT_MAX];
	const char *before = " ";

	text_printf(out, " %s", protocols[l->protocol]);
	for (uint32_t i = 0; i < s->nplaces; i++) {
		const struct place *p = table_place(t, s->places[i]);

		if (p == NULL || addr_port(&p->addr) != l->port || !place_has_scope(p, scope))
			continue;
		addr_print(&p->addr, addr);
		text_printf(out, "%s%s", before, addr);
		if (p->space != NULL)
			text_printf(out, "@%s", p->space);
		before = ",";
	}
	if (*before == ' ')
		return false;
	before = " ";
	for (uint32_t i = 0; i < s->nhosts; i++) {
		if (s->hosts[i].scope != scope)
			continue;
		text_printf(out, "%s" STR_FMT, before, STR_ARG(s->hosts[i].name));
		before = ",";
	}
	if (s->idle_timeout_s != IDLE_TIMEOUT_DEFAULT)
		text_printf(out, " idle-timeout=%" PRIu32, s->idle_timeout_s);
	if (l->protocol == PROTOCOL_HTTPS)
		print_tls(out, s);
	return true;
}

static void
print_listener(struct text *out, const struct table *t, const struct service *s, const struct listener *l,
    const struct scope_name *scope)
{
	struct text where = {0};
	bool offered = print_where(&where, t, s, l, scope->scope);

	for (uint32_t i = 0; offered && i <= l->nrules; i++) {
		const struct rule *r = i < l->nrules ? &l->rules[i] : &l->fallback;

		text_printf(out, STR_FMT " " STR_FMT "/" STR_FMT " ", STR_ARG(scope->name), STR_ARG(s->name),
		    STR_ARG(l->name));
		if (i < l->nrules)
			text_printf(out, "%" PRIu32, r->priority);
		else
			text_printf(out, "default");
		text_printf(out, " " STR_FMT, STR_ARG(r->name));
		text_add(out, where.p, where.len);
		print_match(out, &r->match);
		print_action(out, t, &r->action);
	}
	text_fini(&where);
}

static void
print_scope(struct text *out, const struct table *t, const struct service *s, const struct scope_name *scope)
{
	uint32_t done = 0, least;

	/* By port; a service has one listener a port. */
	for (uint32_t n = 0; n < s->nlisteners; n++) {
		const struct listener *l = NULL;

		least = UINT32_MAX;
		for (uint32_t i = 0; i < s->nlisteners; i++) {
			if (s->listeners[i].port > done && s->listeners[i].port < least) {
				l = &s->listeners[i];
				least = l->port;
			}
		}
		if (l == NULL)
			return;
		print_listener(out, t, s, l, scope);
		done = least;
	}
}

void
table_print_service(const struct table *t, const struct service *s, struct text *out)
{
	CHECK(s, SERVICE_MAGIC);
	for (uint32_t i = 0; i < s->nscopes; i++)
		print_scope(out, t, s, &s->scopes[i]);
}

struct print_row {
	const struct service *service;
	const struct scope_name *scope;
};

static int
str_compare(struct str a, struct str b)
{
	int order = memcmp(a.p, b.p, MIN(a.len, b.len));

	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int
row_compare(const void *a, const void *b)
{
	const struct print_row *x = a, *y = b;
	int order = str_compare(x->scope->name, y->scope->name);

	return order != 0 ? order : str_compare(x->service->name, y->service->name);
}

void
table_print(const struct table *t, struct text *out)
{
	struct print_row *rows = NULL;
	uint32_t n = 0, size = 0;

	for (uint32_t i = 0; i < table_nservices(t); i++) {
		const struct service *s = table_service(t, i);

		for (uint32_t j = 0; s != NULL && j < s->nscopes; j++) {
			if (n == size) {
				size = MAX(size * 2, 8);
				rows = xrealloc(rows, size * sizeof(*rows));
			}
			rows[n++] = (struct print_row){s, &s->scopes[j]};
		}
	}
	if (n > 1)
		qsort(rows, n, sizeof(*rows), row_compare);
	for (uint32_t i = 0; i < n; i++)
		print_scope(out, t, rows[i].service, rows[i].scope);
	free(rows);
}
