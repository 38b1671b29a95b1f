/* resolver.c - the resolvers of all VPCs in one thread: sites come and go with the table, datagrams in
 * batches.
 *
 * Names are cheap to look up and rare beside requests, so they get one thread that leaves the workers alone.
 * It sees one table at a time: the control thread waits until the new one is adopted, so a name resolves when
 * the write that made it has returned.
 */
#include "resolver.h"

#include "../net/sock.h"
#include "clock.h"
#include "log.h"
#include "site.h"
#include <errno.h>
#include <sys/eventfd.h>

#define EVENTS 64
#define BATCHES 8 /* of datagrams, before others have their turn */

/* ------------------------------------------------------------------ sources */

int
source_open(
    struct resolver *r, struct source *s, int fd, uint32_t events, void (*ready)(struct source *, uint32_t))
{
	struct epoll_event e = {.events = events, .data.ptr = s};

	s->fd = fd;
	s->resolver = r;
	s->ready = ready;
	if (epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &e) == 0)
		return 0;
	s->fd = -1;
	close(fd);
	return -errno;
}

void
source_events(struct source *s, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.ptr = s};
	int rc = epoll_ctl(s->resolver->epoll, EPOLL_CTL_MOD, s->fd, &e);

	assert(rc == 0);
}

void
source_close(struct source *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

void
body_drop(struct resolver *r, struct body *b)
{
	b->next_dead = r->dead;
	r->dead = b;
}

static void
bury(struct resolver *r)
{
	while (r->dead != NULL) {
		struct body *b = r->dead;

		r->dead = b->next_dead;
		free(b);
	}
}

/* ------------------------------------------------------------------ datagrams */

static unsigned
answer_batch(struct site *s, int fd, unsigned n)
{
	struct resolver *r = s->udp[0].resolver;
	const struct zone *z = table_zone(r->resolve.table, s->vpc);
	unsigned nout = 0;

	assert(z != NULL);
	for (unsigned i = 0; i < n; i++) {
		struct msghdr *out = &r->out[nout].msg_hdr;
		struct dns_query q;
		size_t len = 0;
		/* What was cut has lost its end, which no question can. */
		size_t got = r->in[i].msg_hdr.msg_flags & MSG_TRUNC ? 0 : r->in[i].msg_len;

		switch (
		    resolve_message(&r->resolve, z, r->queries[i], got, false, &q, r->answers[nout], &len)) {
		case RESOLVE_ANSWER:
			r->out_room[nout].iov_len = len;
			out->msg_name = &r->from[i];
			out->msg_namelen = r->in[i].msg_hdr.msg_namelen;
			nout++;
			break;
		case RESOLVE_FORWARD:
			ask_begin(s, &q, r->queries[i], got, fd, &r->from[i], NULL);
			break;
		case RESOLVE_NOTHING:
			break;
		}
	}
	return nout;
}

/* A datagram that cannot be sent is lost, as datagrams are; those behind it are not. */
static void
send_batch(struct resolver *r, int fd, unsigned n)
{
	for (unsigned sent = 0; sent < n;) {
		int rc = sendmmsg(fd, r->out + sent, n - sent, MSG_DONTWAIT);

		sent += rc > 0 ? (unsigned)rc : 1;
	}
}

static void
datagrams_ready(struct source *source, uint32_t events)
{
	struct resolver *r = source->resolver;
	struct site *s = container_of(source - source->index, struct site, udp[0]);

	for (unsigned batch = 0; batch < BATCHES; batch++) {
		int n;

		for (unsigned i = 0; i < DATAGRAMS; i++)
			r->in[i].msg_hdr.msg_namelen = sizeof(r->from[i]);
		n = recvmmsg(source->fd, r->in, DATAGRAMS, MSG_DONTWAIT, NULL);
		if (n <= 0)
			return;
		send_batch(r, source->fd, answer_batch(s, source->fd, (unsigned)n));
		if (n < (int)DATAGRAMS)
			return;
	}
}

static void
datagrams_init(struct resolver *r)
{
	for (unsigned i = 0; i < DATAGRAMS; i++) {
		r->in_room[i] = (struct iovec){r->queries[i], NAME_QUERY_MAX};
		r->in[i].msg_hdr =
		    (struct msghdr){.msg_name = &r->from[i], .msg_iov = &r->in_room[i], .msg_iovlen = 1};
		r->out_room[i] = (struct iovec){r->answers[i], 0};
		r->out[i].msg_hdr = (struct msghdr){.msg_iov = &r->out_room[i], .msg_iovlen = 1};
	}
}

/* ------------------------------------------------------------------ sites */

static void
site_close(struct resolver *r, struct site *s)
{
	while (!list_empty(&s->dialogs))
		dialog_close(container_of(s->dialogs.next, struct dialog, site_link));
	while (!list_empty(&s->asks))
		ask_drop(container_of(s->asks.next, struct ask, site_link));
	for (unsigned i = 0; i < 2; i++) {
		source_close(&s->udp[i]);
		source_close(&s->tcp[i]);
	}
	list_del(&s->link);
	body_drop(r, &s->body);
}

static void
site_take(struct resolver *r, struct site *s)
{
	for (unsigned i = 0; i < 2 && s->error == 0; i++) {
		s->udp[i].index = s->tcp[i].index = i;
		s->error = source_open(r, &s->udp[i], s->udp[i].fd, EPOLLIN, datagrams_ready);
		if (s->error == 0)
			s->error = source_open(r, &s->tcp[i], s->tcp[i].fd, EPOLLIN, dialog_accept);
	}
	list_append(&r->sites, &s->link);
}

static struct site *
site_find(const struct list *sites, uint32_t vpc)
{
	list_each(it, sites)
	{
		struct site *s = container_of(it, struct site, link);

		if (s->vpc == vpc)
			return s;
	}
	return NULL;
}

static void
adopt(struct resolver *r)
{
	bool same = table_zones(r->offered) == r->zones && list_empty(&r->openings);

	r->resolve.table = r->offered;
	if (same)
		return;
	r->zones = table_zones(r->offered);
	r->nfailed = 0;
	list_each_safe(it, &r->sites)
	{
		struct site *s = container_of(it, struct site, link);

		if (table_zone(r->offered, s->vpc) == NULL || site_find(&r->openings, s->vpc) != NULL)
			site_close(r, s);
	}
	list_each_safe(it, &r->openings)
	{
		list_del(it);
		site_take(r, container_of(it, struct site, link));
	}
	list_each(it, &r->sites) r->nfailed += container_of(it, struct site, link)->error != 0;
}

static void
woken(struct source *s, uint32_t events)
{
	struct resolver *r = s->resolver;
	uint64_t n;

	if (read(s->fd, &n, sizeof(n)) < 0 || r->offered == NULL)
		return;
	adopt(r);
	r->offered = NULL;
	sem_post(&r->adopted);
}

/* ------------------------------------------------------------------ the thread */

/* Milliseconds until something runs out, -1: nothing waits. */
static int
next_timeout(const struct resolver *r)
{
	uint64_t next = UINT64_MAX;

	if (!list_empty(&r->dialogs))
		next = container_of(r->dialogs.next, struct dialog, link)->deadline_ms;
	if (!list_empty(&r->asks))
		next = MIN(next, container_of(r->asks.next, struct ask, link)->deadline_ms);
	if (next == UINT64_MAX)
		return -1;
	return next <= r->now_ms ? 0 : (int)(next - r->now_ms);
}

static void
expire(struct resolver *r)
{
	while (!list_empty(&r->dialogs)) {
		struct dialog *d = container_of(r->dialogs.next, struct dialog, link);

		if (d->deadline_ms > r->now_ms)
			break;
		dialog_close(d);
	}
	while (!list_empty(&r->asks)) {
		struct ask *f = container_of(r->asks.next, struct ask, link);

		if (f->deadline_ms > r->now_ms)
			break;
		ask_expire(f);
	}
}

static void *
run(void *arg)
{
	struct resolver *r = arg;
	struct epoll_event events[EVENTS];

	while (!atomic_load(&r->stopping)) {
		int n = epoll_wait(r->epoll, events, EVENTS, next_timeout(r));

		r->now_ms = clock_ms();
		for (int i = 0; i < n; i++) {
			struct source *s = events[i].data.ptr;

			if (s->fd >= 0)
				s->ready(s, events[i].events);
		}
		expire(r);
		bury(r);
	}
	while (!list_empty(&r->sites))
		site_close(r, container_of(r->sites.next, struct site, link));
	bury(r);
	return NULL;
}

/* ------------------------------------------------------------------ the control thread: start and stop */

static void
resolver_free(struct resolver *r)
{
	source_close(&r->wake);
	if (r->epoll >= 0)
		close(r->epoll);
	sem_destroy(&r->adopted);
	free(r);
}

int
resolver_start(struct resolver **out, const struct engine_config *c)
{
	struct resolver *r = xcalloc(1, sizeof(*r));
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), rc = fd < 0 ? -errno : 0;

	r->resolve = (struct resolve){.suffix = str_of(c->suffix),
	    .ttl_s = c->name_ttl_s,
	    .forwards = c->upstream.sa.sa_family != AF_UNSPEC};
	r->upstream = c->upstream;
	memcpy(r->listen, c->resolvers, sizeof(r->listen));
	r->wake.fd = -1;
	list_init(&r->sites);
	list_init(&r->openings);
	list_init(&r->dialogs);
	list_init(&r->asks);
	sem_init(&r->adopted, 0, 0);
	datagrams_init(r);
	r->now_ms = clock_ms();
	r->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (rc == 0 && r->epoll < 0)
		rc = -errno;
	if (rc == 0)
		rc = source_open(r, &r->wake, fd, EPOLLIN, woken);
	if (rc == 0)
		rc = -pthread_create(&r->thread, NULL, run, r);
	if (rc != 0)
		resolver_free(r);
	else
		*out = r;
	return rc;
}

static void
wake(struct resolver *r)
{
	uint64_t one = 1;

	/* It can only fail when the counter is full, and then the thread is awake. */
	if (write(r->wake.fd, &one, sizeof(one)) < 0)
		return;
}

void
resolver_stop(struct resolver *r)
{
	atomic_store(&r->stopping, true);
	wake(r);
	pthread_join(r->thread, NULL);
	resolver_free(r);
}

/* ------------------------------------------------------------------ the control thread: publishing */

static void
close_unused(struct site *s)
{
	for (unsigned i = 0; i < 2; i++) {
		source_close(&s->udp[i]);
		source_close(&s->tcp[i]);
	}
}

static int
listen_at(struct site *s, unsigned i, const struct addr *a)
{
	int fd = sock_datagram(s->vpc, a);

	if (fd < 0)
		return fd;
	s->udp[i].fd = fd;
	fd = sock_listen_alone(s->vpc, a);
	if (fd < 0)
		return fd;
	s->tcp[i].fd = fd;
	return 0;
}

static void
open_site(struct resolver *r, uint32_t vpc, int before)
{
	struct site *s = xcalloc(1, sizeof(*s));

	s->vpc = vpc;
	list_init(&s->dialogs);
	list_init(&s->asks);
	for (unsigned i = 0; i < 2; i++) {
		s->udp[i] = s->tcp[i] = (struct source){.fd = -1, .resolver = r};
	}
	for (unsigned i = 0; i < 2 && s->error == 0; i++)
		s->error = listen_at(s, i, &r->listen[i]);
	if (s->error != 0)
		close_unused(s);
	if (s->error != 0 && s->error != before) {
		char addr[ADDR_TEXT_MAX];

		addr_print(&r->listen[0], addr);
		log_warn("no names at %s in namespace %u: %s", addr, vpc, strerror(-s->error));
	}
	list_append(&r->openings, &s->link);
}

void
resolver_prepare(struct resolver *r, const struct table *next)
{
	const struct zones *zones = table_zones(next);

	assert(list_empty(&r->openings));
	/* The adopted ones are alive, so others cannot have their address. */
	if (zones == r->zones && r->nfailed == 0)
		return;
	for (uint32_t i = 0; zones != NULL && i < zones->n; i++) {
		const struct site *s = site_find(&r->sites, zones->all[i].vpc);

		if (s == NULL || s->error != 0)
			open_site(r, zones->all[i].vpc, s == NULL ? 0 : s->error);
	}
}

void
resolver_unprepare(struct resolver *r)
{
	list_each_safe(it, &r->openings)
	{
		struct site *s = container_of(it, struct site, link);

		list_del(it);
		close_unused(s);
		free(s);
	}
}

void
resolver_offer(struct resolver *r, const struct table *next)
{
	r->offered = next;
	wake(r);
}

void
resolver_await(struct resolver *r)
{
	while (sem_wait(&r->adopted) != 0)
		;
}

int
resolver_state(const struct resolver *r, uint32_t vpc)
{
	const struct site *s = site_find(&r->sites, vpc);

	return s == NULL ? -ENOENT : s->error;
}

bool
resolver_waits(const struct resolver *r)
{
	return r->nfailed > 0;
}

uint64_t
resolver_count(const struct resolver *r, unsigned counter)
{
	assert(counter < NAME_COUNTER_COUNT);
	return atomic_load_explicit(&r->resolve.counters[counter], memory_order_relaxed);
}
