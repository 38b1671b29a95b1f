/* tls_conn.h - between conn.c, which has the operations, and tls.c, which has the bytes. For these two alone.
 *
 * Of a connection with TLS conn.c hands on what the ring tells and what the owner asks for; tls.c reads and
 * writes through conn_arm and conn_write, and tells the owner.
 */
#ifndef TLS_CONN_H
#define TLS_CONN_H

#include "conn.h"

void conn_arm(struct conn *c, bool later);		    /* a receive of recv_class; none is armed */
void conn_write(struct conn *c, const void *p, uint32_t n); /* all of p; nothing is being written */

/* The ring's side. */
void tls_connected(struct conn *c);
void tls_received(struct conn *c, struct buf *b); /* takes b */
void tls_ended(struct conn *c, int error);
void tls_sent(struct conn *c, int error);
void tls_ready(struct conn *c); /* of net->ready, where tls_recv put it */

/* The owner's side. */
void tls_recv(struct conn *c, bool later);
void tls_send(struct conn *c); /* parts */
void tls_shutdown(struct conn *c);
void tls_close(struct conn *c); /* a last write, maybe; the connection is closing */
void tls_free(struct conn *c);	/* nothing is in flight any more */

#endif
