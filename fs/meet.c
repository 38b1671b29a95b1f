/* meet.c - where services are offered, and that those who meet at one place speak the same protocol there.
 *
 * Names are told apart by Host in HTTP and by SNI in TLS, but what a connection begins with must be known
 * before either. Who has a place keeps it; of those that come, who came later is wrong.
 */
#include "meet.h"
#include "pair.h"
#include "protocols.h"
#include <errno.h>
#include <stdio.h>

/* ------------------------------------------------------------------ places */

struct str
place_key(const struct addr *a, uint32_t vpc, struct place_key *k)
{
	*k = (struct place_key){.vpc = vpc, .family = a->sa.sa_family, .port = addr_port(a)};
	if (k->family == AF_INET)
		memcpy(k->ip, &a->in.sin_addr, sizeof(a->in.sin_addr));
	else
		memcpy(k->ip, &a->in6.sin6_addr, sizeof(a->in6.sin6_addr));
	return (struct str){(const char *)k, sizeof(*k)};
}

static bool
job_reaches(const struct job *j, const struct reach *r)
{
	for (uint32_t i = 0; i < j->nnetworks; i++)
		if (j->networks[i] == r->network)
			return true;
	return false;
}

void
meet_offers(struct check *c, struct job *j)
{
	struct addr pair[2];
	uint32_t max = 0;

	for (uint32_t i = 0; i < c->nreaches; i++)
		max += job_reaches(j, &c->reaches[i]) ? 2 : 0;
	pair_make(c->m->account, str_of(j->entry->name), pair);
	j->offers = arena_alloc(&c->arena, max * sizeof(*j->offers));
	for (uint32_t i = 0; i < c->nreaches; i++) {
		const struct reach *r = &c->reaches[i];
		bool own = r->addr.sa.sa_family == AF_UNSPEC;

		if (!job_reaches(j, r))
			continue;
		for (uint32_t k = 0; k < (own ? 2 : 1); k++)
			j->offers[j->noffers++] = (struct offer){own ? pair[k] : r->addr, r->vpc, r->netns};
	}
}

/* The place as it is served, or NULL. */
static const struct place *
served_place(const struct check *c, struct str key)
{
	const struct place_record *r = c->served == NULL ? NULL : map_find(&c->m->places, key);
	const struct place *p = r == NULL ? NULL : table_place(c->served, r->index);

	return p == NULL || p->serial != r->serial ? NULL : p;
}

static bool
is_at(const struct service *s, const struct place *p)
{
	for (uint32_t i = 0; i < s->nplaces; i++)
		if (s->places[i] == p->index)
			return true;
	return false;
}

/* ------------------------------------------------------------------ who has a place */

struct meeting {
	enum protocol protocol;
	const char *service; /* one that has it */
};

static struct meeting *
meeting_add(struct check *c, struct str key, enum protocol protocol, const char *service)
{
	struct meeting *m = arena_alloc(&c->arena, sizeof(*m));

	*m = (struct meeting){protocol, service};
	map_put(&c->meetings, key, m);
	return m;
}

static const char *
clean_name(const struct check *c, const struct service *s)
{
	const struct entry *e = entry_find(c->m, KIND_SERVICE, s->name);

	return e == NULL || e->dirty != 0 ? NULL : e->name;
}

/* A service at a served place that is none of the jobs, or NULL. Those are looked for only where another
 * comes: most of the time the first is one. */
static const char *
find_clean(const struct check *c, const struct place *p)
{
	const struct service *s = table_sole(c->served, p);
	const char *name = s == NULL ? NULL : clean_name(c, s);

	for (uint32_t i = 0; s == NULL && name == NULL && i < table_nservices(c->served); i++) {
		const struct service *other = table_service(c->served, i);

		if (other != NULL && is_at(other, p))
			name = clean_name(c, other);
	}
	return name;
}

/* Who has the place: of the services at hand, or, clean, of the served table. */
static const struct meeting *
meeting_find(struct check *c, struct str key)
{
	const struct meeting *m = map_find(&c->meetings, key);
	const struct place *p = m != NULL ? NULL : served_place(c, key);
	const char *name = p == NULL ? NULL : find_clean(c, p);

	return name == NULL ? m : meeting_add(c, key, p->protocol, name);
}

/* What a listener has and still wants is its own, whoever comes. */
static void
meetings_keep(struct check *c, const struct job *j, const struct node *l, const struct service *old)
{
	struct place_key bytes;

	for (uint32_t i = 0; i < j->noffers; i++) {
		struct addr addr = j->offers[i].addr;
		const struct place *p;
		struct str key;

		addr_set_port(&addr, (uint16_t)l->values[LISTENER_PORT]->number);
		key = place_key(&addr, j->offers[i].vpc, &bytes);
		p = served_place(c, key);
		if (p != NULL && p->protocol == listener_protocol(l) && is_at(old, p) &&
		    map_find(&c->meetings, key) == NULL)
			meeting_add(c, key, p->protocol, j->entry->name);
	}
}

/* ------------------------------------------------------------------ who comes */

/* A listener on its way to its places. */
struct comer {
	const struct job *job;
	struct node *listener;
	uint64_t stamp;
};

static void
problem_meeting(struct check *c, const struct comer *comer, const struct offer *o, const struct meeting *m)
{
	struct node *l = comer->listener;
	const struct value *protocol = l->values[LISTENER_PROTOCOL], *port = l->values[LISTENER_PORT];
	bool moved = protocol == NULL || port->stamp > protocol->stamp;
	const char *mine = protocol_name(listener_protocol(l));
	char text[ADDR_TEXT_MAX];
	struct addr addr = o->addr;
	struct problem *p;

	addr_set_port(&addr, (uint16_t)port->number);
	addr_print(&addr, text);
	l->wrong = true;
	p = problem(comer->job->entry, where_value(l, moved ? LISTENER_PORT : LISTENER_PROTOCOL), EEXIST,
	    "%s cannot be offered on %s%s%s: service '%s' offers %s there", mine, text,
	    o->netns == NULL ? "" : "@", o->netns == NULL ? "" : o->netns, m->service,
	    protocol_name(m->protocol));
	/* Another may come to have the place: a listener left out before is no new problem then. */
	p->same = (uint32_t)strlen(mine);
}

/* Takes all its places, or none of them. */
static void
comer_take(struct check *c, const struct comer *comer)
{
	const struct job *j = comer->job;
	enum protocol protocol = listener_protocol(comer->listener);
	uint16_t port = (uint16_t)comer->listener->values[LISTENER_PORT]->number;
	struct place_key bytes;

	for (uint32_t take = 0; take < 2; take++) {
		for (uint32_t i = 0; i < j->noffers; i++) {
			struct addr addr = j->offers[i].addr;
			const struct meeting *m;
			struct str key;

			addr_set_port(&addr, port);
			key = place_key(&addr, j->offers[i].vpc, &bytes);
			m = meeting_find(c, key);
			if (m != NULL && m->protocol != protocol) {
				problem_meeting(c, comer, &j->offers[i], m);
				return;
			}
			if (take == 1 && m == NULL)
				meeting_add(c, key, protocol, j->entry->name);
		}
	}
}

static int
comer_compare(const void *a, const void *b)
{
	const struct comer *x = a, *y = b;
	int order = strcmp(x->job->entry->name, y->job->entry->name);

	if (x->stamp != y->stamp)
		return x->stamp < y->stamp ? -1 : 1;
	return order != 0 ? order : strcmp(x->listener->name, y->listener->name);
}

static uint64_t
listener_stamp(const struct node *l)
{
	const struct value *protocol = l->values[LISTENER_PROTOCOL];
	uint64_t stamp = MAX(l->stamp, l->values[LISTENER_PORT]->stamp);

	return protocol == NULL ? stamp : MAX(stamp, protocol->stamp);
}

void
meet_check(struct check *c)
{
	struct comer *comers = NULL;
	uint32_t n = 0, size = 0;

	for (uint32_t i = 0; i < c->njobs; i++) {
		const struct job *j = &c->jobs[i];
		const struct service *old = check_before(c, j->entry);
		const struct kids *k = &j->entry->node->kids[0];

		for (uint32_t l = 0; !j->entry->node->wrong && l < k->n; l++) {
			if (!node_is_complete(k->at[l]))
				continue;
			if (old != NULL)
				meetings_keep(c, j, k->at[l], old);
			comers = array_room(comers, n, &size, sizeof(*comers));
			comers[n++] = (struct comer){j, k->at[l], listener_stamp(k->at[l])};
		}
	}
	if (n > 1)
		qsort(comers, n, sizeof(*comers), comer_compare);
	for (uint32_t i = 0; i < n; i++)
		comer_take(c, &comers[i]);
	free(comers);
}

enum protocol
meet_protocol(const struct check *c, const struct addr *a, uint32_t vpc)
{
	struct place_key bytes;
	struct str key = place_key(a, vpc, &bytes);
	const struct meeting *m = map_find(&c->meetings, key);
	const struct place *p = m != NULL ? NULL : served_place(c, key);

	return m != NULL ? m->protocol : p != NULL ? p->protocol : PROTOCOL_HTTP;
}
