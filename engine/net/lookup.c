/* lookup.c - c-ares, one channel a lookup. */
#include "lookup.h"

#include "limits.h"
#include "netns.h"
#include <ares.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/uio.h>

/* c-ares doubles the time with each try: a server that is silent has had 6 s. */
#define TRY_MS 2000
#define TRIES 2

struct lookup {
	struct lookup_config config;
	ares_channel channel;
	unsigned waiting; /* answers */
	bool ending;
	struct query {
		struct lookup *lookup;
		unsigned family;
	} queries[FAMILIES];
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int library;

static void
init_library(void)
{
	library = ares_library_init(ARES_LIB_INIT_ALL);
}

/* ------------------------------------------------------------------ sockets, in the namespace */

static ares_socket_t
open_socket(int family, int type, int protocol, void *user)
{
	const struct lookup *l = user;
	int fd = netns_socket(l->config.vpc, family, type | SOCK_NONBLOCK, protocol);

	if (fd >= 0)
		return fd;
	errno = -fd;
	return ARES_SOCKET_BAD;
}

static int
close_socket(ares_socket_t fd, void *user)
{
	return close(fd);
}

static int
connect_socket(ares_socket_t fd, const struct sockaddr *a, ares_socklen_t len, void *user)
{
	return connect(fd, a, len);
}

static ares_ssize_t
receive(
    ares_socket_t fd, void *p, size_t n, int flags, struct sockaddr *from, ares_socklen_t *len, void *user)
{
	return recvfrom(fd, p, n, flags, from, len);
}

static ares_ssize_t
transmit(ares_socket_t fd, const struct iovec *parts, int n, void *user)
{
	struct msghdr m = {.msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)n};

	return sendmsg(fd, &m, MSG_NOSIGNAL);
}

static const struct ares_socket_functions sockets = {
    .asocket = open_socket,
    .aclose = close_socket,
    .aconnect = connect_socket,
    .arecvfrom = receive,
    .asendv = transmit,
};

static void
on_socket(void *user, ares_socket_t fd, int readable, int writable)
{
	const struct lookup *l = user;

	l->config.watch(l->config.owner, fd, readable != 0, writable != 0);
}

/* ------------------------------------------------------------------ answers */

static int
addr_order(const void *a, const void *b)
{
	const struct addr *x = a, *y = b;

	if (x->sa.sa_family == AF_INET)
		return memcmp(&x->in.sin_addr, &y->in.sin_addr, sizeof(x->in.sin_addr));
	return memcmp(&x->in6.sin6_addr, &y->in6.sin6_addr, sizeof(x->in6.sin6_addr));
}

/* Each address once: hosts may have a name twice. */
static uint32_t
sort_out(struct addr *all, uint32_t n)
{
	uint32_t kept = 0;

	qsort(all, n, sizeof(*all), addr_order);
	for (uint32_t i = 0; i < n; i++)
		if (kept == 0 || !addr_eq(&all[kept - 1], &all[i]))
			all[kept++] = all[i];
	return kept;
}

static uint32_t
collect(const struct ares_addrinfo *info, int family, struct addr *all, uint32_t *ttl_s)
{
	uint32_t n = 0;

	*ttl_s = UINT32_MAX;
	for (const struct ares_addrinfo_node *at = info->nodes; at != NULL && n < NAME_ADDRESSES_MAX;
	     at = at->ai_next) {
		struct addr *a = &all[n];

		if (at->ai_family != family)
			continue;
		*a = (struct addr){.sa.sa_family = (sa_family_t)family};
		if (family == AF_INET)
			a->in.sin_addr = ((const struct sockaddr_in *)(const void *)at->ai_addr)->sin_addr;
		else
			a->in6.sin6_addr =
			    ((const struct sockaddr_in6 *)(const void *)at->ai_addr)->sin6_addr;
		*ttl_s = MIN(*ttl_s, (uint32_t)MAX(at->ai_ttl, 0));
		n++;
	}
	return sort_out(all, n);
}

static const char *
words(int status)
{
	switch (status) {
	case ARES_ENOTFOUND:
		return "no such name";
	case ARES_ENODATA:
		return "the name has no address";
	case ARES_ETIMEOUT:
		return "no name server answers";
	case ARES_ECONNREFUSED:
		return "no name server can be reached";
	case ARES_ESERVFAIL:
	case ARES_EREFUSED:
		return "the name servers refuse or fail to answer";
	case ARES_EBADNAME:
		return "that is no name";
	default:
		return "the look-up failed";
	}
}

static void
on_result(void *user, int status, int timeouts, struct ares_addrinfo *info)
{
	const struct query *q = user;
	struct lookup *l = q->lookup;
	int family = q->family == FAMILY_4 ? AF_INET : AF_INET6;
	struct addr all[NAME_ADDRESSES_MAX];
	struct lookup_answer a = {.family = q->family, .addr = all};

	l->waiting--;
	if (status == ARES_SUCCESS)
		a.n = collect(info, family, all, &a.ttl_s);
	if (info != NULL)
		ares_freeaddrinfo(info);
	if (l->ending)
		return;
	if (status == ARES_SUCCESS && a.n == 0)
		status = ARES_ENODATA;
	if (status == ARES_ENODATA || status == ARES_ENOTFOUND)
		a.outcome = LOOKUP_NONE;
	else if (status != ARES_SUCCESS)
		a.outcome = LOOKUP_FAILED;
	if (a.outcome != LOOKUP_FOUND)
		a.why = words(status);
	l->config.answer(l->config.owner, &a);
}

/* ------------------------------------------------------------------ life */

static int
set_server(ares_channel channel, const struct addr *a)
{
	struct ares_addr_port_node node = {.family = a->sa.sa_family};

	node.udp_port = node.tcp_port = addr_port(a);
	if (a->sa.sa_family == AF_INET)
		node.addr.addr4 = a->in.sin_addr;
	else
		memcpy(&node.addr.addr6, &a->in6.sin6_addr, sizeof(node.addr.addr6));
	return ares_set_servers_ports(channel, &node);
}

static int
open_channel(struct lookup *l)
{
	struct ares_options o = {.timeout = TRY_MS,
	    .tries = TRIES,
	    .sock_state_cb = on_socket,
	    .sock_state_cb_data = l,
	    .resolvconf_path = (char *)l->config.resolv_conf};
	int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;

	if (l->config.resolv_conf != NULL)
		mask |= ARES_OPT_RESOLVCONF;
	if (ares_init_options(&l->channel, &o, mask) != ARES_SUCCESS)
		return -ENOMEM;
	ares_set_socket_functions(l->channel, &sockets, l);
	if (l->config.server.sa.sa_family != AF_UNSPEC && set_server(l->channel, &l->config.server) != 0) {
		ares_destroy(l->channel);
		return -ENOMEM;
	}
	return 0;
}

int
lookup_begin(struct lookup **out, const char *name, const struct lookup_config *c)
{
	struct ares_addrinfo_hints hints = {.ai_flags = ARES_AI_NOSORT, .ai_socktype = SOCK_STREAM};
	struct lookup *l;
	int rc;

	pthread_once(&once, init_library);
	l = library == ARES_SUCCESS ? calloc(1, sizeof(*l)) : NULL;
	if (l == NULL)
		return -ENOMEM;
	l->config = *c;
	rc = open_channel(l);
	if (rc != 0) {
		free(l);
		return rc;
	}
	*out = l;
	l->waiting = FAMILIES;
	for (unsigned i = 0; i < FAMILIES; i++) {
		l->queries[i] = (struct query){l, i};
		hints.ai_family = i == FAMILY_4 ? AF_INET : AF_INET6;
		ares_getaddrinfo(l->channel, name, NULL, &hints, on_result, &l->queries[i]);
	}
	return 0;
}

void
lookup_ready(struct lookup *l, int fd, bool read, bool write)
{
	ares_process_fd(l->channel, read ? fd : ARES_SOCKET_BAD, write ? fd : ARES_SOCKET_BAD);
}

int
lookup_wait(struct lookup *l, int max)
{
	struct timeval most = {max / 1000, max % 1000 * 1000}, room;
	const struct timeval *t = ares_timeout(l->channel, &most, &room);

	return (int)(t->tv_sec * 1000 + (t->tv_usec + 999) / 1000);
}

void
lookup_late(struct lookup *l)
{
	ares_process_fd(l->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

bool
lookup_over(const struct lookup *l)
{
	return l->waiting == 0;
}

void
lookup_end(struct lookup *l)
{
	l->ending = true;
	ares_destroy(l->channel);
	free(l);
}
