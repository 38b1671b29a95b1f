/* subject.c - questions that several groups share, and when each is asked. */
#include "subject.h"

#include "probe.h"

#define NEW_A_MS 2u /* first questions that a worker asks a millisecond, when many are new */
#define BUCKETS_MIN 16u

/* ------------------------------------------------------------------ the question */

static struct question
question_of(const struct group *g, const struct target *t)
{
	const struct health_check *h = &g->check;
	bool http = h->protocol == CHECK_HTTP || h->protocol == CHECK_HTTPS;
	bool grpc = h->protocol == CHECK_GRPC;
	struct question q = {.addr = t->addr,
	    .vpc = g->vpc,
	    .protocol = h->protocol,
	    .tls = h->protocol == CHECK_HTTPS || (grpc && g->protocol == GROUP_HTTPS),
	    .http2 = grpc || (http && h->http2),
	    .interval_ms = MAX(h->interval_ms, 1),
	    .timeout_ms = h->timeout_ms,
	    .ncodes = http ? h->ncodes : 0,
	    .codes = h->codes};

	if (http)
		q.path = h->path.len > 0 ? h->path : STR("/");
	if (grpc)
		q.service = h->service;
	if (h->port != 0)
		addr_set_port(&q.addr, h->port);
	return q;
}

static bool
is_same(const struct question *a, const struct question *b)
{
	return addr_eq(&a->addr, &b->addr) && a->vpc == b->vpc && a->protocol == b->protocol &&
	       a->tls == b->tls && a->http2 == b->http2 && str_eq(a->path, b->path) &&
	       str_eq(a->service, b->service) && a->interval_ms == b->interval_ms &&
	       a->timeout_ms == b->timeout_ms && a->ncodes == b->ncodes &&
	       (a->ncodes == 0 || memcmp(a->codes, b->codes, a->ncodes * sizeof(*a->codes)) == 0);
}

static struct str
host_bytes(const struct addr *a)
{
	if (a->sa.sa_family == AF_INET)
		return (struct str){(const char *)&a->in.sin_addr, sizeof(a->in.sin_addr)};
	if (a->sa.sa_family == AF_INET6)
		return (struct str){(const char *)&a->in6.sin6_addr, sizeof(a->in6.sin6_addr)};
	return STR("");
}

/* Of settings that differ beside these there are few for one address. */
static uint64_t
question_hash(const struct question *q)
{
	uint64_t seed = (uint64_t)q->vpc << 16 | addr_port(&q->addr);

	return str_hash(q->path, str_hash(host_bytes(&q->addr), seed));
}

unsigned
health_owner(const struct target *t, unsigned nworkers)
{
	return (unsigned)(str_hash(host_bytes(&t->addr), 0) % nworkers);
}

/* ------------------------------------------------------------------ finding one */

static struct subject **
bucket(const struct health *h, uint64_t hash)
{
	return &h->subjects[hash & (h->nbuckets - 1)];
}

static void
grow(struct health *h)
{
	struct subject **old = h->subjects;
	uint32_t n = h->nbuckets;

	h->nbuckets = MAX(2 * n, BUCKETS_MIN);
	h->subjects = calloc(h->nbuckets, sizeof(*h->subjects));
	assert(h->subjects != NULL);
	for (uint32_t i = 0; i < n; i++) {
		struct subject *s;

		while ((s = old[i]) != NULL) {
			struct subject **at = bucket(h, s->hash);

			old[i] = s->next;
			s->next = *at;
			*at = s;
		}
	}
	free(old);
}

static struct subject *
find(const struct health *h, const struct question *q, uint64_t hash)
{
	struct subject *s = h->nbuckets > 0 ? *bucket(h, hash) : NULL;

	while (s != NULL && (s->hash != hash || !is_same(&s->question, q)))
		s = s->next;
	return s;
}

/* ------------------------------------------------------------------ when it is asked */

/* Subjects have their turns all over the interval. */
static uint64_t
next_turn(const struct subject *s)
{
	uint64_t now = s->w->net.now_ms, interval = s->question.interval_ms;

	return now - (now - s->hash % interval) % interval + interval;
}

static void
on_due(struct timer *t)
{
	struct subject *s = container_of(t, struct subject, timer);
	bool in_turn = s->w->net.now_ms >= s->turn_ms;

	if (in_turn)
		s->turn_ms = next_turn(s);
	timer_set(&s->w->net.wheel, t, s->turn_ms);
	/* A timeout may be longer than the interval: the result is then this turn's. */
	if (s->probe == NULL) {
		s->early = !in_turn;
		s->probe = probe_start(s);
	} else if (in_turn) {
		s->early = false;
	}
}

void
subject_hurry(struct subject *s)
{
	struct health *h = &s->w->health;

	/* It is about to answer, or in a hurry already. */
	if (s->probe != NULL || s->timer.deadline_ms < s->turn_ms)
		return;
	/* Soon, but not all at once. */
	timer_set(&s->w->net.wheel, &s->timer, MIN(s->w->net.now_ms + h->nnew++ / NEW_A_MS, s->turn_ms));
}

void
subject_done(struct subject *s, enum target_reason reason)
{
	s->probe = NULL;
	worker_count(s->w, COUNTER_CHECKS);
	if (reason != REASON_NONE)
		worker_count(s->w, COUNTER_CHECK_FAILURES);
	list_each(it, &s->checks)
	{
		struct check *c = container_of(it, struct check, link);

		if (!s->early || (c->good == 0 && c->bad == 0))
			check_done(c, reason);
	}
}

/* ------------------------------------------------------------------ its life */

static struct str
copy(char **at, struct str s)
{
	char *to = *at;

	if (s.len > 0)
		memcpy(to, s.p, s.len);
	*at += s.len;
	return (struct str){to, s.len};
}

/* With a copy of all that the question refers to: tables go. */
static struct subject *
subject_new(struct worker *w, const struct question *q, uint64_t hash)
{
	struct health *h = &w->health;
	size_t codes = q->ncodes * sizeof(*q->codes);
	struct subject *s = calloc(1, sizeof(*s) + codes + q->path.len + q->service.len), **at;
	char *text;

	assert(s != NULL);
	s->question = *q;
	s->question.codes = s->codes;
	if (codes > 0)
		memcpy(s->codes, q->codes, codes);
	text = (char *)s->codes + codes;
	s->question.path = copy(&text, q->path);
	s->question.service = copy(&text, q->service);
	s->hash = hash;
	s->w = w;
	list_init(&s->checks);
	timer_init(&s->timer, on_due);
	s->turn_ms = next_turn(s);
	timer_set(&w->net.wheel, &s->timer, s->turn_ms);
	if (h->nsubjects++ >= h->nbuckets)
		grow(h);
	at = bucket(h, hash);
	s->next = *at;
	*at = s;
	return s;
}

static void
subject_free(struct subject *s)
{
	struct health *h = &s->w->health;
	struct subject **at = bucket(h, s->hash);

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	h->nsubjects--;
	timer_stop(&s->w->net.wheel, &s->timer);
	if (s->probe != NULL)
		probe_drop(s->probe);
	free(s);
}

bool
subject_join(struct worker *w, struct check *c, const struct group *g, const struct target *t)
{
	struct question q = question_of(g, t);
	uint64_t hash;

	if (c->subject != NULL) {
		if (is_same(&c->subject->question, &q))
			return false;
		subject_leave(c);
	}
	hash = question_hash(&q);
	c->subject = find(&w->health, &q, hash);
	if (c->subject == NULL)
		c->subject = subject_new(w, &q, hash);
	list_append(&c->subject->checks, &c->link);
	c->good = c->bad = 0;
	return true;
}

void
subject_leave(struct check *c)
{
	struct subject *s = c->subject;

	c->subject = NULL;
	list_del(&c->link);
	if (list_empty(&s->checks))
		subject_free(s);
}

void
subject_fini(struct worker *w)
{
	assert(w->health.nsubjects == 0);
	free(w->health.subjects);
}
