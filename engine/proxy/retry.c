/* retry.c - a request once more: when its rule wants it, nothing of an answer has gone to the client, and all
 * that came of it is still here. */
#include "exchange.h"

#include "health.h"
#include "upstream.h"
#include <errno.h>

/* What of its time a try may have: all of it, unless the others are to have some when it is over. */
static void
begin_try(struct exchange *ex)
{
	uint64_t now = ex->w->net.now_ms, left = ex->deadline_ms - now;

	if (ex->deadline_ms == 0)
		return;
	if (ex->keeping && ex->retry_on & RETRY_TIMEOUT)
		left /= ex->retries + 1u;
	ex->try_end_ms = now + left;
}

/* So much of a body is kept. */
static uint32_t
keep_max(const struct exchange *ex)
{
	return ex->retry_on != 0 ? RETRY_BODY_MAX : REFUSED_BODY_MAX;
}

void
retry_init(struct exchange *ex, const struct resilience *r)
{
	uint32_t timeout_ms = r->timeout_ms;

	ex->retries = (uint8_t)r->retries;
	ex->retry_on = r->retries > 0 ? r->retry_on : 0;
	/* A stream may be refused at any time before its answer. */
	ex->keeping = (ex->retry_on != 0 || ex->h2) && ex->to_target.bytes <= keep_max(ex);
	if (timeout_ms == 0 && ex->retry_on & RETRY_TIMEOUT)
		timeout_ms = ex->w->config->response_timeout_ms;
	if (timeout_ms == 0)
		return;
	ex->response_ms = ex->grpc_deadline ? MIN(ex->response_ms, timeout_ms) : timeout_ms;
	ex->deadline_ms = ex->w->net.now_ms + ex->response_ms;
	begin_try(ex);
}

void
retry_keep(struct exchange *ex)
{
	struct relay *r = &ex->to_target;
	struct buf *b = r->sending;

	/* What went with the head of a stream that is refused goes with it again, however long it is. */
	if (b == NULL || !(ex->keeping || (ex->up->conn.unseen && ex->table != NULL)))
		return;
	if (ex->keeping && r->bytes > keep_max(ex)) {
		exchange_forget(ex);
		return;
	}
	r->sending = NULL;
	if (buf_gather(ex->w->net.pools, &ex->kept, b) != 0)
		exchange_forget(ex);
}

/* What the target may have begun with is sent again when that does no harm, or when the rule says that it is
 * to be, by telling of answers that are to be had again. */
static bool
is_safe(const struct exchange *ex)
{
	return ex->wait == WAIT_CONNECT || ex->delayed || ex->up->conn.unseen ||
	       method_is_idempotent(ex->method) || ex->retry_on & (RETRY_5XX | RETRY_GATEWAY);
}

/* Many retries at the same time say that something is wrong with more than one request. */
static bool
take_budget(struct exchange *ex)
{
	struct worker *w = ex->w;

	if (ex->retrying)
		return true;
	if (w->nretries >= MAX(w->nexchanges / RETRY_SHARE, RETRIES_MIN)) {
		worker_count(w, COUNTER_RETRIES_REFUSED);
		return false;
	}
	w->nretries++;
	ex->retrying = true;
	return true;
}

/* All that came of the request, in one buffer that no connection uses. */
static int
gather(struct exchange *ex)
{
	const struct buf *parts[] = {ex->request, ex->kept, ex->to_target.sending};
	struct buf *whole;
	uint32_t len = 0;

	if (!ex->in_flight && parts[1] == NULL && parts[2] == NULL)
		return 0;
	for (unsigned i = 0; i < COUNT(parts); i++)
		len += parts[i] != NULL ? parts[i]->len : 0;
	whole = buf_heap(len);
	if (whole == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < COUNT(parts); i++) {
		if (parts[i] == NULL)
			continue;
		memcpy(buf_data(whole) + whole->len, buf_data(parts[i]), parts[i]->len);
		whole->len += parts[i]->len;
	}
	if (ex->in_flight)
		conn_hold(&ex->up->conn, ex->request);
	else
		buf_put(ex->w->net.pools, ex->request);
	ex->in_flight = false;
	ex->request = whole;
	exchange_drop(ex, &ex->kept);
	return 0;
}

int
retry_leave(struct exchange *ex)
{
	struct relay *r = &ex->to_target;
	int rc = gather(ex);

	if (rc != 0)
		return rc;
	if (r->sending != NULL && ex->up != NULL && ex->up->conn.sending) {
		conn_hold(&ex->up->conn, r->sending);
		r->sending = NULL;
	}
	exchange_drop(ex, &r->sending);
	exchange_drop(ex, &ex->answer);
	ex->scanned = 0;
	ex->delayed = false;
	ex->whole = r->done && r->after == NULL;
	if (ex->up != NULL)
		upstream_give(ex, false);
	return 0;
}

bool
retry_try(struct exchange *ex, unsigned why)
{
	bool late = ex->deadline_ms != 0 && ex->w->net.now_ms >= ex->deadline_ms;
	const struct group *g;
	const struct target *t;

	if (!(ex->retry_on & why) || ex->retries == 0 || !ex->keeping || late || !is_safe(ex))
		return false;
	t = exchange_find_another(ex, &g);
	/* Who was removed is not asked again. */
	if (t == NULL && worker_slot(ex->w, ex->target)->draining)
		return false;
	if (!take_budget(ex) || retry_leave(ex) != 0)
		return false;
	worker_count(ex->w, COUNTER_RETRIES);
	ex->retries--;
	ex->tries++;
	if (t != NULL)
		exchange_move(ex, g, t);
	begin_try(ex);
	ex->wait = WAIT_CONNECT;
	/* A kept connection could be dead, and that would be another try. */
	upstream_take(ex, true);
	return true;
}

bool
retry_answer(struct exchange *ex, unsigned status)
{
	bool gateway = status >= 502 && status <= 504;
	uint32_t group = ex->group, target = ex->target;

	if (!retry_try(ex, gateway ? RETRY_5XX | RETRY_GATEWAY : RETRY_5XX))
		return false;
	health_report(ex->w, group, target, OUTCOME_ERROR);
	return true;
}

void
retry_late(struct exchange *ex)
{
	worker_count(ex->w, COUNTER_ANSWER_TIMEOUT);
	if (!ex->grpc_deadline)
		health_report(ex->w, ex->group, ex->target, OUTCOME_ERROR);
	if (retry_try(ex, RETRY_TIMEOUT))
		return;
	if (ex->client->grpc)
		ex->client->grpc_status = GRPC_DEADLINE_EXCEEDED;
	exchange_fail(ex, 504);
}
