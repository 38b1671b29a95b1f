/* resolve.c - what is ours and what is not: the resolver's decisions. */
#include "resolve.h"

#include "../route/names.h"

static void
add_addresses(const struct resolve *r, const struct zone *z, const struct name_found *f, int family,
    struct dns_answer *a)
{
	struct addr all[NAME_ADDRESSES_MAX];
	uint32_t n = names_addresses(r->table, f->service, z->vpc, f->scope, family, all, COUNT(all));

	for (uint32_t i = 0; i < n; i++)
		dns_add_address(a, r->ttl_s, &all[i]);
}

static void
add_service(const struct resolve *r, const struct zone *z, const struct dns_query *q,
    const struct name_found *f, struct dns_answer *a)
{
	if (q->type == DNS_A || q->type == DNS_ANY)
		add_addresses(r, z, f, AF_INET, a);
	if (q->type == DNS_AAAA || q->type == DNS_ANY)
		add_addresses(r, z, f, AF_INET6, a);
}

/* How long it may be remembered that there is nothing: a service made in the meantime should soon be found.
 */
static uint32_t
negative_ttl(const struct resolve *r)
{
	return MIN(r->ttl_s, NAME_NEGATIVE_TTL);
}

static size_t
print_found(struct resolve *r, const struct zone *z, const struct dns_query *q, const struct name_found *f,
    uint8_t *room, size_t max)
{
	struct dns_style style = {.authoritative = true, .recursive = r->forwards};
	struct dns_answer a;

	dns_begin(&a, q, f->kind == NAME_NONE ? DNS_NXDOMAIN : DNS_NOERROR, style, room, max);
	if (f->kind == NAME_SERVICE)
		add_service(r, z, q, f, &a);
	if (f->kind == NAME_SUFFIX && (q->type == DNS_SOA || q->type == DNS_ANY))
		dns_add_soa(&a, r->suffix.len, r->ttl_s, negative_ttl(r), false);
	if (f->kind == NAME_SUFFIX && (q->type == DNS_NS || q->type == DNS_ANY))
		dns_add_ns(&a, r->suffix.len, r->ttl_s);
	/* A custom domain belongs to a zone that is not ours to speak for. */
	if (a.answers == 0 && !a.cut && f->below)
		dns_add_soa(&a, r->suffix.len, negative_ttl(r), negative_ttl(r), true);
	if (a.cut)
		resolve_count(r, NAME_COUNTER_CUT);
	if (f->kind == NAME_NONE)
		resolve_count(r, NAME_COUNTER_NXDOMAIN);
	return dns_end(&a);
}

size_t
resolve_failure(const struct resolve *r, const struct dns_query *q, unsigned rcode, uint8_t *room)
{
	struct dns_answer a;

	dns_begin(&a, q, rcode, (struct dns_style){.recursive = r->forwards}, room, DNS_UDP_MIN);
	return dns_end(&a);
}

enum resolve_verdict
resolve_message(struct resolve *r, const struct zone *z, const void *p, size_t n, bool stream,
    struct dns_query *q, uint8_t *room, size_t *len)
{
	int rc = dns_parse(q, p, n);
	struct name_found f;

	resolve_count(r, NAME_COUNTER_QUERIES);
	if (rc == DNS_DROP || rc == DNS_FORMERR)
		resolve_count(r, NAME_COUNTER_MALFORMED);
	if (rc == DNS_DROP)
		return RESOLVE_NOTHING;
	if (rc == DNS_NOERROR && (q->class != DNS_IN || (q->type >= DNS_META && q->type < DNS_ANY)))
		rc = DNS_REFUSED;
	if (rc == DNS_NOERROR) {
		f = names_find(r->table, z, r->suffix, (struct str){q->name, q->name_len});
		if (f.kind != NAME_FOREIGN) {
			*len = print_found(r, z, q, &f, room, stream ? NAME_ANSWER_MAX : q->udp_max);
			return RESOLVE_ANSWER;
		}
		if (r->forwards && q->recursion)
			return RESOLVE_FORWARD;
		rc = DNS_REFUSED;
	}
	if (rc == DNS_REFUSED)
		resolve_count(r, NAME_COUNTER_REFUSED);
	*len = resolve_failure(r, q, (unsigned)rc, room);
	return RESOLVE_ANSWER;
}
