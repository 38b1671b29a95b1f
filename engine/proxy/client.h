/* client.h - a client's connection: its requests one after the other. */
#ifndef CLIENT_H
#define CLIENT_H

#include "worker.h"

struct exchange;

enum client_state {
	CLIENT_HEAD,	 /* between requests, or in the middle of a head */
	CLIENT_EXCHANGE, /* a request is on its way */
	CLIENT_REPLY,	 /* an answer of our own is being sent */
	CLIENT_LINGER,	 /* answered and closed by us; the rest of its data is thrown away */
};

struct client {
	struct conn conn;
	struct worker *w;
	struct list link;
	struct exchange *ex;
	struct buf *in; /* received and not looked at: a head in parts, or what was pipelined */
	size_t scanned; /* of an incomplete head */
	uint32_t place, serial;
	uint32_t idle_ms; /* between requests; of the service that was asked last */
	uint8_t state;
	bool closing; /* after what is being sent */
	bool
	    unread; /* some of what the client sent was not read: it must not see a reset before our answer */
	uint32_t lingered;	  /* bytes */
	char peer[ADDR_TEXT_MAX]; /* client_peer */
	struct client *free_next;
};

/* Takes fd: a new connection at a place. */
void client_accepted(struct worker *w, int fd, uint32_t place, uint32_t serial);
/* Closes it, whatever it does; its exchange is ended. */
void client_close(struct client *c);
/* The answer of ours with this status; the connection closes behind it when `close` or when the body of the
 * request was not read. c->in has what comes after the request. */
void client_reply(struct client *c, unsigned status, bool close, bool head_only, struct str request_id);
/* The answer is complete: the next request, or the end. */
void client_next(struct client *c, bool keep_alive);
/* Its address as text, for x-forwarded-for. */
struct str client_peer(struct client *c);

#endif
