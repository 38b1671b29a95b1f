/* tunnel.c - after an upgrade: bytes both ways, until both sides have ended. */
#include "exchange.h"

#include "upstream.h"
#include <errno.h>

void
tunnel_data(struct exchange *ex, struct relay *r, struct buf *b, struct conn *to)
{
	struct buf *rest;

	ex->active_ms = ex->w->net.now_ms;
	if (to->sending) {
		/* The switch itself is still being sent: there is at most one buffer to keep. */
		assert(r->after == NULL);
		r->after = b;
		return;
	}
	relay_feed(r, b, false, &rest);
	r->sending = b;
	r->sent_ms = ex->w->net.now_ms;
	conn_send(to, buf_data(b), b->len);
}

/* `from` has ended: `to` is told once all was sent to it; both: the tunnel is over. A stream is told by a
 * last send without bytes, whose end comes back to here. */
void
tunnel_end(struct exchange *ex, struct relay *r, struct conn *from, struct conn *to)
{
	if (to->sending)
		return;
	if (!r->done) {
		r->done = true;
		if (conn_is_stream(to)) {
			conn_frame(to, 0, true);
			conn_send(to, NULL, 0);
			return;
		}
		conn_shutdown(to);
	}
	if (to->ended && !from->sending)
		client_close(ex->client);
}

void
tunnel_sent(struct exchange *ex, struct relay *r, struct conn *from, struct conn *to)
{
	struct buf *b = r->after;

	ex->active_ms = ex->w->net.now_ms;
	r->after = NULL;
	if (b != NULL)
		tunnel_data(ex, r, b, to);
	else if (from->ended)
		tunnel_end(ex, r, from, to);
	else
		conn_recv(from, relay_class(r, ex->w->net.pools, BUF_SMALL));
}
