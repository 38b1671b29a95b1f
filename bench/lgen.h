/* lgen.h - the load generator's parts and what they share. One thread, one ring, two halves: clients and
 * backend. */
#ifndef LGEN_H
#define LGEN_H

#include <liburing.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "meter.h"
#include "wire.h"

#define CONNS_MAX 65536
#define ANSWERS_MAX 64u
#define IDLE_RAMP 64u /* connections that open at a time with -i */
#define STREAMS_MAX 128u

enum op {
	OP_ACCEPT = 1,
	OP_BACKEND_RECV,
	OP_BACKEND_SEND,
	OP_BACKEND_LAST,
	OP_BACKEND_SENT,
	OP_RECV,
	OP_SEND,
	OP_SENT,
	OP_CONNECT
};
enum step { STEP_HEAD, STEP_BODY, STEP_NONE, STEP_FIRST };
enum phase { PHASE_WARM, PHASE_MEASURE, PHASE_DONE };

/* Bytes that are copied before they are sent: what TLS and HTTP/2 say. */
struct outbox {
	char *bytes;
	size_t len, room;
};

struct tls;
struct h2;

struct conn {
	int fd;
	unsigned index;
	enum step step;
	bool client;
	bool ready;	  /* client: the way is open for its protocol */
	bool in_flight;	  /* client: a request is out and its answer is not whole */
	bool close_after; /* the message at hand is the connection's last */
	bool queued;	  /* in lgen.queue */
	bool over;	  /* ended while a send was out: closed when that is back */
	uint64_t began_ns;
	uint64_t body_left;
	uint64_t answer_bytes; /* backend: what the path asked for */
	struct gather gather;
	struct outbox clear;	       /* for TLS to encrypt at the end of the turn */
	struct outbox waiting, flying; /* flying.len > 0: its send is out */
	struct tls *tls;	       /* NULL: in the clear */
	struct h2 *h2;		       /* NULL: HTTP/1.1 */
};

struct options {
	unsigned backend_port;
	struct sockaddr_in target;
	bool client;
	unsigned conns;
	double warm_s, measure_s;
	const char *path;
	uint64_t answer_bytes; /* that it asks for */
	const char *host;      /* a %u in it takes 0 .. hosts-1 in turn */
	unsigned hosts;
	size_t post_bytes;
	bool close_each; /* a new connection for every request */
	bool idle;	 /* one request on each connection, then hold them all */
	bool tls;
	bool resume;	  /* every handshake but a connection's first must be a resumed one */
	bool hello;	  /* a ClientHello goes first, then HTTP in the clear */
	bool grpc;	  /* unary calls */
	unsigned streams; /* of HTTP/2, each connection; 0: HTTP/1.1 */
	const char *pids;
	unsigned proxy_cpu;
};

struct message {
	char *bytes;
	size_t len;
	uint64_t body_bytes;
};

struct lgen {
	struct options opt;
	struct io_uring ring;
	struct io_uring_buf_ring *buffers;
	char *buffer_bytes;
	int listen_fd;
	struct conn *clients, *backends; /* backends by descriptor */
	struct conn **queue;		 /* what has something waiting, sent at the end of the turn */
	unsigned nqueued;
	struct message *requests;
	struct message hello;
	unsigned next_request;
	struct message answers[ANSWERS_MAX];
	unsigned nanswers;
	unsigned nopened, ndone;
	enum phase phase;
	uint64_t warm_until_ns, measure_until_ns;
	struct sample first, last;
	uint64_t requests_done, bytes, connects, handshakes;
	uint64_t errors, not_200; /* not_200: or not the answer that was asked for */
	struct histogram latency;
};

_Noreturn void die(const char *what, int error);

/* lgen_ring.c: io_uring, and what a connection has to send. */
void ring_open(struct lgen *g);
void ring_recv(struct lgen *g, enum op op, unsigned index, int fd);
/* Sends bytes that stay. quiet: no completion when it went well. */
void ring_send(struct lgen *g, enum op op, unsigned index, int fd, const char *bytes, size_t len, bool quiet);
void ring_accept(struct lgen *g);
void ring_connect(struct lgen *g, unsigned index, int fd);
void ring_buffer_give(struct lgen *g, unsigned id);
struct span ring_buffer(const struct lgen *g, const struct io_uring_cqe *cqe);

/* Room for len more bytes at its end. */
char *outbox_room(struct outbox *o, size_t len);
/* Its outbox is sent at the end of the turn. */
void conn_queue(struct lgen *g, struct conn *c);
/* Says bytes, through TLS if it has that. They are copied. */
void conn_say(struct lgen *g, struct conn *c, const char *bytes, size_t len);
/* Sends what was said in this turn, in one piece each connection. */
void conn_flush_all(struct lgen *g);
void conn_sent(struct lgen *g, struct conn *c);
/* Closes the descriptor and forgets what was to be sent. False: a send is out, conn_sent() comes first. */
bool conn_close(struct conn *c);
/* Ends a connection from here: its receive sees the end. */
void conn_abort(struct conn *c);

/* lgen_client.c */
void client_start(struct lgen *g);
void client_connected(struct lgen *g, unsigned i, int result);
void client_received(struct lgen *g, unsigned i, struct span data);
void client_closed(struct lgen *g, unsigned i);
/* A whole answer came, for a request of began_ns. */
void client_count(struct lgen *g, uint64_t began_ns);
void client_wrong(struct lgen *g, uint64_t *counter);

/* lgen_backend.c */
void backend_start(struct lgen *g);
void backend_accepted(struct lgen *g, int fd);
void backend_data(struct lgen *g, unsigned i, struct span data);
void backend_closed(struct lgen *g, unsigned i);

/* lgen_tls.c: TLS 1.3 of a client. */
void tls_prepare(struct lgen *g);
/* What a client says first to a server of that name, as bytes. */
struct message tls_hello(const char *host);
void tls_open(struct lgen *g, struct conn *c);
void tls_close(struct conn *c);
/* Encrypts what is clear in as few records as can be. */
void tls_seal(struct lgen *g, struct conn *c);
/* Bytes came: goes on with the handshake. Returns whether it is over. One that failed, or is not the one that
 * was asked for, aborts the connection. */
bool tls_handshake(struct lgen *g, struct conn *c, struct span data);
/* What came, in the clear, at most size bytes; 0: no more. */
size_t tls_read(struct conn *c, char *bytes, size_t size);

/* lgen_h2.c: HTTP/2, of a client and of a backend that answers unary calls. */
void h2_prepare(struct lgen *g);
void h2_open(struct lgen *g, struct conn *c);
/* Counts what was in flight as lost. */
void h2_close(struct lgen *g, struct conn *c);
void h2_data(struct lgen *g, struct conn *c, struct span data);

#endif
