/* client.h - a client's connection: its requests one after the other. With HTTP/2 the connection is a
 * carrier, and each of its streams a client of one request. */
#ifndef CLIENT_H
#define CLIENT_H

#include "worker.h"

struct exchange;

enum client_state {
	CLIENT_HANDSHAKE, /* of TLS */
	CLIENT_HEAD,	  /* between requests, or in the middle of a head */
	CLIENT_EXCHANGE,  /* a request is on its way */
	CLIENT_REPLY,	  /* an answer of our own is being sent */
	CLIENT_LINGER,	  /* answered and closed by us; the rest of its data is thrown away */
	CLIENT_MUX,	  /* HTTP/2: its streams are clients of their own */
};

struct client {
	struct conn conn;
	struct worker *w;
	struct list link;
	struct list shaking; /* CLIENT_HANDSHAKE: the worker's, longest first */
	struct exchange *ex;
	struct mux *mux;	/* CLIENT_MUX */
	struct client *carrier; /* of a stream: the connection; it may be gone once the request has begun */
	struct buf *in;		/* received and not looked at: a head in parts, or what was pipelined */
	size_t scanned;		/* of an incomplete head */
	uint32_t place, serial;
	uint32_t service; /* TLS: the slot of the one that the handshake was with */
	uint32_t idle_ms; /* between requests; of the service that was asked last */
	uint8_t state;
	bool closing;	     /* after what is being sent */
	bool fresh;	     /* nothing was asked yet; with HTTP/2: the preface is not whole */
	uint8_t grpc_status; /* of an answer of ours; 0: what its HTTP status maps to */
	bool grpc;	     /* what was asked is: answers of ours are such */
	bool
	    unread; /* some of what the client sent was not read: it must not see a reset before our answer */
	uint32_t lingered;	  /* bytes */
	char peer[ADDR_TEXT_MAX]; /* client_peer */
};

/* Takes fd: a new connection at a place, with TLS or not. */
void client_accepted(struct worker *w, int fd, const struct place *p);
/* Closes it, whatever it does; its exchange is ended. */
void client_close(struct client *c);
/* The answer of ours with this status; the connection closes behind it when `close` or when the body of the
 * request was not read. c->in has what comes after the request. */
void client_reply(struct client *c, unsigned status, bool close, bool head_only, struct str request_id);
/* The answer is complete: the next request, or the end. */
void client_next(struct client *c, bool keep_alive);
void client_drop_input(struct client *c);
/* How long it may be idle from now on; a stream's connection too. While the request begins. */
void client_set_idle(struct client *c, uint32_t ms);
/* The worker stops: closes it when it is between requests; with HTTP/2 says that this is the end. */
void client_leave(struct client *c, bool final);
/* What its bytes come by: its own connection, or its stream's carrier; while the request begins. */
const struct conn *client_transport(const struct client *c);
uint32_t client_service(const struct client *c);
/* Its address as text, for x-forwarded-for. */
struct str client_peer(struct client *c);

#endif
