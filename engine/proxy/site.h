/* site.h - the resolver from inside: sites, dialogs, asks. Private to resolver.c, dialog.c and ask.c.
 *
 * All of it belongs to the resolver's thread. What is closed may still stand in the batch of events at hand,
 * so memory is freed after the batch, and an event of a closed source is passed over.
 */
#ifndef SITE_H
#define SITE_H

#include "list.h"
#include "resolve.h"

#include <pthread.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define DATAGRAMS 32u /* taken by one call */

/* A descriptor in the epoll set. */
struct source {
	int fd;		/* -1: closed */
	unsigned index; /* among its like in a site */
	void (*ready)(struct source *s, uint32_t events);
	struct resolver *resolver;
};

/* First in everything that sources stand in. */
struct body {
	struct body *next_dead;
};

/* One namespace: two sockets for datagrams, two for connections. */
struct site {
	struct body body;
	struct list link;
	uint32_t vpc;
	int error; /* -errno: its sockets could not be had */
	struct source udp[2], tcp[2];
	struct list dialogs; /* longest idle first */
	uint32_t ndialogs;
	struct list asks;
	uint32_t nasks;
};

/* A client's TCP connection. */
struct dialog {
	struct body body;
	struct source source;
	struct site *site;
	struct list site_link, link;
	struct list asks;
	uint64_t deadline_ms;
	bool over; /* the client sends no more */
	bool broken;
	uint32_t events;
	uint8_t *out;
	size_t out_at, out_len, out_size;
	size_t in_len;
	uint8_t in[2 + NAME_QUERY_MAX];
};

/* A question on its way to the upstream and back. */
struct ask {
	struct body body;
	struct source source;
	struct site *site;
	struct list site_link, link, dialog_link;
	struct dialog *dialog; /* NULL: it came as a datagram */
	int client_fd;	       /* then: the site's socket */
	struct addr client;
	uint64_t deadline_ms;
	uint16_t id; /* ours; q.id is the client's */
	struct dns_query q;
	size_t sent;	 /* of the query, TCP */
	uint8_t *answer; /* TCP: its length before it */
	size_t answer_len;
	size_t n;
	uint8_t query[]; /* n bytes and, before them, their length */
};

struct resolver {
	struct resolve resolve;
	struct addr upstream;
	struct addr listen[2];
	/* The control thread's: it waits while the other adopts. */
	pthread_t thread;
	const struct table *offered;
	struct list openings;	   /* of struct site, to be taken over */
	const struct zones *zones; /* of the table that was adopted */
	uint32_t nfailed;	   /* sites without sockets */
	_Atomic bool stopping;
	sem_t adopted;
	/* The resolver's thread's, but the list of sites may be read while it is not adopting. */
	int epoll;
	struct source wake;
	uint64_t now_ms;
	struct list sites;
	struct list dialogs; /* of all sites, longest idle first */
	struct list asks;    /* oldest first */
	uint32_t ndialogs;
	struct body *dead;
	/* Datagrams in and out. */
	struct mmsghdr in[DATAGRAMS], out[DATAGRAMS];
	struct iovec in_room[DATAGRAMS], out_room[DATAGRAMS];
	struct addr from[DATAGRAMS];
	uint8_t queries[DATAGRAMS][NAME_QUERY_MAX], answers[DATAGRAMS][NAME_ANSWER_MAX];
	uint8_t message[2 + DNS_MESSAGE_MAX]; /* of the upstream */
};

/* resolver.c */
int source_open(
    struct resolver *r, struct source *s, int fd, uint32_t events, void (*ready)(struct source *, uint32_t));
void source_events(struct source *s, uint32_t events);
void source_close(struct source *s);
void body_drop(struct resolver *r, struct body *b); /* freed after this batch of events */

/* dialog.c */
void dialog_accept(struct source *s, uint32_t events); /* of site.tcp */
void dialog_close(struct dialog *d);
void dialog_send(struct dialog *d, const uint8_t *p, size_t n);

/* ask.c */
/* client: of a datagram; else the dialog. */
void ask_begin(struct site *s, const struct dns_query *q, const uint8_t *p, size_t n, int client_fd,
    const struct addr *client, struct dialog *d);
void ask_expire(struct ask *f);
void ask_drop(struct ask *f);

#endif
