/* exchange.h - a request's life, from its head to the last byte of its answer.
 *
 * Either side is a connection of its own with HTTP/1, or a stream of one with HTTP/2 (conn.carrier). They
 * differ in how heads, ends and trailers are told and printed; all else is the same.
 */
#ifndef EXCHANGE_H
#define EXCHANGE_H

#include "client.h"
#include "relay.h"

struct upstream;

enum exchange_wait {
	WAIT_CONNECT, /* for the target's connection */
	WAIT_ANSWER,  /* for the head of the answer */
	WAIT_INTERIM, /* for a 1xx to be sent on */
	WAIT_BODY,    /* for the rest of the answer */
	WAIT_TUNNEL,  /* both ways, until both have ended */
};

struct exchange {
	struct worker *w;
	struct client *client;
	struct upstream *up;
	struct table_ref *table; /* pinned for as long as the request may have to be sent again */
	uint8_t wait;
	uint8_t minor;	/* of the client's HTTP/1.x */
	uint8_t method; /* enum method */
	uint8_t tries;
	bool keep_alive;    /* the client allows it */
	bool upgrade;	    /* asked for */
	bool whole;	    /* all of the request is in `request` */
	bool answered;	    /* some of an answer was sent to the client */
	bool delayed;	    /* the request is not sent before more of its body, which is there already */
	bool in_flight;	    /* the first send of the request */
	bool up_keep;	    /* the target's connection may be used again */
	bool grpc_deadline; /* response_ms is the client's */
	bool h2, tls;	    /* what the target speaks */
	uint32_t group;	    /* index in the table */
	uint32_t target;    /* slot */
	uint32_t idle_ms;
	struct addr addr; /* of the target */
	uint32_t vpc;
	struct buf *request;  /* head, and as much of the body as came with it */
	uint32_t head;	      /* of it: a block, to a target of HTTP/2 */
	uint32_t response_ms; /* the target's time for the head of its answer */
	struct buf *answer;   /* of the answer: bytes not looked at */
	size_t scanned;
	struct relay to_target, to_client;
	uint64_t active_ms; /* tunnel: when a byte last went either way */
	uint16_t id_len, host_len;
	uint64_t host_hash; /* 0 without TLS */
	char id[REQUEST_ID_MAX];
	char host[HOST_MAX];   /* the request's, for TLS */
	struct exchange *next; /* free list */
};

/* Routes the request in w->msg, whose head is the first head_len bytes of c->in, and sends it on its way. */
void exchange_start(struct client *c, size_t head_len);
void exchange_abort(struct exchange *ex); /* by the client, which is closing */
void exchange_client_timeout(struct exchange *ex);
void exchange_target_timeout(struct exchange *ex);

/* ---- for the halves of an exchange */

/* An answer of ours, or a break where the answer has begun. ex is gone. */
void exchange_fail(struct exchange *ex, unsigned status);
void exchange_break(struct exchange *ex);  /* the client must notice that its answer is cut off; ex is gone */
void exchange_finish(struct exchange *ex); /* the answer is complete; ex is gone */
void exchange_forget(
    struct exchange *ex); /* the request will not be sent again: its buffer and table are free */
void exchange_drop(struct exchange *ex, struct buf **b);
/* relay_feed and relay_end for what came from one side, with what its stream's end brings. */
int exchange_feed(struct relay *r, struct conn *from, struct buf *b, struct buf **rest);
int exchange_end(struct relay *r, struct conn *from);
/* Sends what relay_next gave. */
void exchange_send(struct exchange *ex, struct relay *r, struct conn *to);
bool exchange_pick_another(
    struct exchange *ex); /* target of the same group, or address of the same target; false: there is none */

/* request.c: to the target */
void request_connected(struct exchange *ex);
void request_unreachable(struct exchange *ex, int error); /* no connection: another target, or 503 */
void request_data(struct exchange *ex, struct buf *b);	  /* of the client; takes b */
void request_end(struct exchange *ex, int error);	  /* of the client's data */
void request_sent(struct exchange *ex, int error);
bool request_replayable(const struct exchange *ex);
void request_replay(struct exchange *ex);

/* answer.c: to the client */
void answer_data(struct exchange *ex, struct buf *b); /* of the target; takes b */
void answer_head(struct exchange *ex, struct buf *b); /* of a stream; takes b */
void answer_end(struct exchange *ex, int error);      /* of the target's data */
void answer_ended(struct exchange *ex);		      /* the target has closed, and there is no whole head */
void answer_sent(struct exchange *ex, int error);
void answer_bad(struct exchange *ex);

/* tunnel.c: after an upgrade */
void tunnel_data(struct exchange *ex, struct relay *r, struct buf *b, struct conn *to);
void tunnel_end(struct exchange *ex, struct relay *r, struct conn *from, struct conn *to);
void tunnel_sent(struct exchange *ex, struct relay *r, struct conn *from, struct conn *to);

#endif
