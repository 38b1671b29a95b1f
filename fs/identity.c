/* identity.c - the certificates of services: their own pair, the local CA's leaf, and what .status says. */
#include "identity.h"
#include "authority.h"
#include "certificate.h"
#include "clock.h"

#include <inttypes.h>

#define RENEWALS_A_TURN 256u /* signed while everything else waits: some twenty milliseconds */

/* ------------------------------------------------------------------ the pair */

static const struct credential *
credential(const struct node *n, uint32_t index)
{
	return node_has(n, index) ? n->values[index]->credential : NULL;
}

/* Its certificate and its private key match. */
static bool
has_pair(const struct node *n)
{
	const struct credential *chain = credential(n, SERVICE_CERTIFICATE);
	const struct credential *key = credential(n, SERVICE_PRIVATE_KEY);

	return chain != NULL && key != NULL && certificate_is_pair(chain, key);
}

/* One of the two is there, without the other that belongs to it. */
static bool
is_waiting(const struct node *n)
{
	return !has_pair(n) &&
	       (credential(n, SERVICE_CERTIFICATE) != NULL || credential(n, SERVICE_PRIVATE_KEY) != NULL);
}

/* Who came last waits for the other. */
static bool
waits_for_key(const struct node *n)
{
	const struct value *chain = n->values[SERVICE_CERTIFICATE], *key = n->values[SERVICE_PRIVATE_KEY];

	return chain != NULL && (key == NULL || chain->stamp >= key->stamp);
}

/* ------------------------------------------------------------------ building */

bool
identity_is_wanted(const struct node *service)
{
	for (uint32_t i = 0; i < service->kids[0].n; i++) {
		const struct node *l = service->kids[0].at[i];

		if (node_is_complete(l) && node_number(l, LISTENER_PROTOCOL, PROTOCOL_HTTP) == PROTOCOL_HTTPS)
			return true;
	}
	return false;
}

static void
copy(struct arena *arena, struct certificate *to, const struct certificate *from)
{
	*to = *from;
	to->chain = arena_str(arena, from->chain);
	to->key = arena_str(arena, from->key);
	to->mark = arena_str(arena, from->mark);
	to->issuer = arena_str(arena, from->issuer);
}

/* The local CA's, or its own; NULL: there is none. */
static const struct certificate *
find(const struct service *s, bool local)
{
	for (uint32_t i = 0; s != NULL && i < s->ncertificates; i++)
		if (s->certificates[i].local == local)
			return &s->certificates[i];
	return NULL;
}

static void
add_own(const struct node *n, struct service *s, const struct service *old)
{
	const struct certificate *was = find(old, false);
	struct certificate *to = &s->certificates[s->ncertificates];

	if (has_pair(n)) {
		const struct credential *chain = credential(n, SERVICE_CERTIFICATE);

		*to = (struct certificate){.not_after_s = chain->not_after_s};
		to->chain = arena_str(&s->arena, chain->pem);
		to->key = arena_str(&s->arena, credential(n, SERVICE_PRIVATE_KEY)->pem);
		to->mark = arena_str(&s->arena, chain->mark);
		to->issuer = arena_str(&s->arena, chain->issuer);
		s->ncertificates++;
	} else if (is_waiting(n) && was != NULL) {
		copy(&s->arena, to, was);
		s->ncertificates++;
	}
}

/* Was the old leaf made for these names? They stand in the table, once for each network. */
static bool
has_names(const struct service *old, const struct job *j)
{
	if (old->nscopes == 0 || old->nhosts / old->nscopes != j->nwants)
		return false;
	for (uint32_t i = 0; i < j->nwants; i++)
		if (!str_eq(old->hosts[i].name, j->wants[i].name))
			return false;
	return true;
}

static int
issue(const struct check *c, const struct job *j, struct service *s, struct certificate *to)
{
	cleanup_free struct str *names = xcalloc(j->nwants, sizeof(*names));

	for (uint32_t i = 0; i < j->nwants; i++)
		names[i] = j->wants[i].name;
	return authority_issue(c->m->authority, s->name, names, j->nwants, &s->arena, to);
}

static void
add_local(const struct check *c, const struct job *j, struct service *s, const struct service *old)
{
	const struct certificate *was = find(old, true);
	struct certificate *to = &s->certificates[s->ncertificates];
	const struct authority *a = c->m->authority;
	bool fits = was != NULL && has_names(old, j);

	if (a == NULL)
		return;
	if ((!fits || authority_is_due(a, was)) && issue(c, j, s, to) == 0)
		s->ncertificates++;
	else if (fits) {
		copy(&s->arena, to, was);
		s->ncertificates++;
	}
}

static bool
is_equal(const struct service *a, const struct service *b)
{
	if (a->ncertificates != b->ncertificates || !str_eq(a->client_ca, b->client_ca))
		return false;
	for (uint32_t i = 0; i < a->ncertificates; i++)
		if (!str_eq(a->certificates[i].chain, b->certificates[i].chain) ||
		    !str_eq(a->certificates[i].key, b->certificates[i].key))
			return false;
	return true;
}

bool
identity_build(const struct check *c, const struct job *j, struct service *s, const struct service *old)
{
	const struct node *n = j->entry->node;
	const struct credential *ca = credential(n, SERVICE_CLIENT_CA);
	bool wanted = identity_is_wanted(n);

	if (wanted) {
		add_own(n, s, old);
		add_local(c, j, s, old);
	}
	if (wanted && ca != NULL) {
		s->client_ca = arena_str(&s->arena, ca->pem);
		s->client_ca_mark = arena_str(&s->arena, ca->mark);
	}
	if (old != NULL && is_equal(old, s))
		s->tls_edition = old->tls_edition;
	else if (wanted)
		s->tls_edition = ++c->m->edition;
	return !wanted || s->ncertificates > 0 || c->m->authority == NULL;
}

/* Its leaf grows old; or there is none, since there was no CA, but is one now. */
static bool
is_due(const struct model *m, const struct service *s)
{
	const struct certificate *leaf = find(s, true);
	const struct entry *e;

	if (leaf != NULL)
		return authority_is_due(m->authority, leaf);
	e = entry_find(m, KIND_SERVICE, s->name);
	return e->node != NULL && identity_is_wanted(e->node) && authority_pem(m->authority) != NULL;
}

bool
model_mark_renewals(struct model *m, const struct table *served, uint32_t *at)
{
	uint32_t n = 0, i = *at;

	CHECK(m, MODEL_MAGIC);
	assert(m->edit == NULL);
	for (; m->authority != NULL && n < RENEWALS_A_TURN && i < table_nservices(served); i++) {
		const struct service *s = table_service(served, i);

		if (s == NULL || !is_due(m, s))
			continue;
		entry_mark(m, entry_find(m, KIND_SERVICE, s->name));
		n++;
	}
	*at = n < RENEWALS_A_TURN ? 0 : i;
	return n > 0;
}

/* ------------------------------------------------------------------ telling */

const char *
identity_why(const struct model *m, const struct node *service, const struct service *s)
{
	if (m->authority == NULL || s == NULL || s->ncertificates > 0 || !identity_is_wanted(service))
		return NULL;
	return authority_why(m->authority);
}

static void
print_waiting(const struct node *n, struct text *out)
{
	static const char *const names[] = {"certificate", "private-key"};
	bool key = waits_for_key(n);
	bool there = credential(n, key ? SERVICE_PRIVATE_KEY : SERVICE_CERTIFICATE) != NULL;

	text_printf(out, "waiting %s", names[key]);
	if (there)
		text_printf(out, ": the one that is there does not match the %s", names[!key]);
	text_char(out, '\n');
}

static int64_t
now_of(const struct model *m)
{
	return m->authority == NULL ? (int64_t)(clock_unix_ms() / 1000) : authority_now(m->authority);
}

void
identity_print_ca(const struct model *m, const struct node *group, struct text *out)
{
	const struct credential *ca = credential(group, GROUP_CA);

	if (ca != NULL)
		certificate_print_cas("ca", ca, now_of(m), out);
}

void
identity_print(const struct model *m, const struct node *service, const struct service *s, struct text *out)
{
	int64_t now = now_of(m);
	const struct credential *ca = credential(service, SERVICE_CLIENT_CA);

	for (uint32_t i = 0; s != NULL && i < s->ncertificates; i++) {
		const struct certificate *c = &s->certificates[i];
		char date[CERTIFICATE_DATE];

		text_printf(out, "certificate %s\n", c->local ? "local-ca" : "own");
		certificate_date(c->not_after_s, date);
		if (c->not_after_s < now)
			text_printf(out, "certificate expired %s\n", date);
		certificate_print(c->chain, now, out);
	}
	if (is_waiting(service))
		print_waiting(service, out);
	if (ca != NULL)
		certificate_print_cas("client-ca", ca, now, out);
}

/* The value of a label. */
static void
print_label(struct str s, struct text *out)
{
	for (uint32_t i = 0; i < s.len; i++) {
		if (s.p[i] == '\\' || s.p[i] == '"')
			text_char(out, '\\');
		text_char(out, s.p[i] == '\n' ? ' ' : s.p[i]);
	}
}

void
identity_print_metrics(const struct table *t, struct text *out)
{
	text_printf(out,
	    "# HELP latticefs_certificate_not_after_seconds When a certificate that is shown expires.\n"
	    "# TYPE latticefs_certificate_not_after_seconds gauge\n");
	for (uint32_t i = 0; i < table_nservices(t); i++) {
		const struct service *s = table_service(t, i);

		for (uint32_t k = 0; s != NULL && k < s->ncertificates; k++) {
			text_printf(out,
			    "latticefs_certificate_not_after_seconds{service=\"" STR_FMT "\",issuer=\"",
			    STR_ARG(s->name));
			print_label(s->certificates[k].issuer, out);
			text_printf(out, "\"} %" PRId64 "\n", s->certificates[k].not_after_s);
		}
	}
}
