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
struct invoke;
struct lambda_context;

enum exchange_wait {
	WAIT_CONNECT, /* for the target's connection */
	WAIT_GATHER,  /* before that: for all of the body, when the target is a function */
	WAIT_ANSWER,  /* for the head of the answer */
	WAIT_INTERIM, /* for a 1xx to be sent on */
	WAIT_INVOKED, /* for the rest of what a function answers */
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
	bool keeping;	  /* all that came of the request is in `request` and `kept`: it may be sent again */
	bool retrying;	  /* counted in the worker's nretries */
	uint8_t retries;  /* how often it may */
	uint8_t retry_on; /* enum retry_on */
	uint32_t max_requests; /* resilience.max_requests */
	bool h2, tls;	       /* what the target speaks */
	bool lambda;	       /* the target is a function */
	uint32_t group;	       /* index in the table */
	uint32_t target;       /* slot */
	uint64_t key;	       /* the caller's, for the group's consistent hash */
	uint32_t idle_ms;
	struct addr addr; /* of the target */
	uint32_t vpc;
	struct buf *request;   /* head, and as much of the body as came with it */
	uint32_t head;	       /* of it: a block, to a target of HTTP/2 */
	struct buf *kept;      /* what of the body was sent behind it, but for to_target.sending */
	uint64_t deadline_ms;  /* for the answer to begin; 0: response_ms alone counts */
	uint64_t try_end_ms;   /* and of this try */
	uint32_t response_ms;  /* the target's time for the head of its answer */
	struct buf *answer;    /* of the answer: bytes not looked at; all of it, of a function */
	struct invoke *invoke; /* to a function, before it is asked */
	size_t scanned;
	struct relay to_target, to_client;
	uint64_t active_ms; /* tunnel: when a byte last went either way */
	uint16_t id_len, host_len;
	uint64_t host_hash; /* 0 without TLS */
	char id[REQUEST_ID_MAX];
	char host[HOST_MAX]; /* the request's, for TLS */
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
/* Of the same group as it is now, or the same by another address; NULL: there is none that could take the
 * request. */
const struct target *exchange_find_another(const struct exchange *ex, const struct group **g);
/* False: it has no address, or no other. */
bool exchange_move(struct exchange *ex, const struct group *g, const struct target *t);
bool exchange_pick_another(struct exchange *ex); /* both */
/* ms, or what is left until the end, which 0 is not. */
uint32_t exchange_until(const struct exchange *ex, uint64_t end_ms, uint32_t ms);
/* For the target, which has no longer than this try has. */
void exchange_deadline(struct exchange *ex, uint32_t ms);

/* retry.c: the request once more, as its rule wants it */
void retry_init(struct exchange *ex, const struct resilience *r); /* the request is built */
/* Of the body, what was being sent: the target's connection uses it no more, or has failed to. */
void retry_keep(struct exchange *ex);
/* From this target, or this try, with all that came of the request in `request`. -ENOMEM: it stays. */
int retry_leave(struct exchange *ex);
/* For one of these reasons (enum retry_on). True: it is on its way again, or has failed; ex may be gone. */
bool retry_try(struct exchange *ex, unsigned why);
bool retry_answer(struct exchange *ex, unsigned status);
void retry_late(struct exchange *ex); /* the time of this try is over; ex may be gone */

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
/* One of which all is there: its head in w->msg, its body in b; takes b. */
void answer_whole(struct exchange *ex, struct buf *b);

/* invoke.c: the target is a function */
/* May the request in w->msg go to a function? 0, or the status to refuse it with. */
unsigned invoke_refuses(struct client *c);
/* Takes the head, and what came of the body, from c->in, with to_target set up. -EBADMSG, -ENOMEM. */
int invoke_init(
    struct exchange *ex, size_t head_len, const struct msg_forward *f, const struct lambda_context *x);
void invoke_fini(struct exchange *ex);
void invoke_gather(struct exchange *ex);		/* gets more of the body, or asks the function */
void invoke_body(struct exchange *ex, struct buf *b);	/* which was fed to to_target; takes b */
void invoke_head(struct exchange *ex, size_t head_len); /* w->msg is the Invoke API's answer, in ex->answer */
void invoke_data(struct exchange *ex, struct buf *b);	/* more of that; takes b */
void invoke_end(struct exchange *ex, int error);

/* tunnel.c: after an upgrade */
void tunnel_data(struct exchange *ex, struct relay *r, struct buf *b, struct conn *to);
void tunnel_end(struct exchange *ex, struct relay *r, struct conn *from, struct conn *to);
void tunnel_sent(struct exchange *ex, struct relay *r, struct conn *from, struct conn *to);

#endif
