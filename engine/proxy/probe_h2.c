/* probe_h2.c - a health check by HTTP/2: a GET, or grpc.health.v1.Health/Check. */
#include "probe.h"

#define WINDOW 65535u
#define GRPC_PREFIX 5u /* of a message: compressed, length */
#define SERVING 1u     /* HealthCheckResponse.ServingStatus */

static bool
is_grpc(const struct probe *p)
{
	return p->subject->question.protocol == CHECK_GRPC;
}

static void
decide(struct probe *p, enum target_reason reason)
{
	if (!p->decided)
		p->reason = reason;
	p->decided = true;
}

/* ------------------------------------------------------------------ gRPC's messages */

/* HealthCheckRequest { string service = 1; }, framed. */
static struct buf *
question(struct probe *p)
{
	struct str service = p->subject->question.service;
	struct buf *b = buf_heap(GRPC_PREFIX + 6 + service.len);
	uint8_t *at;
	uint32_t n, len = service.len;

	if (b == NULL)
		return NULL;
	at = (uint8_t *)buf_data(b) + GRPC_PREFIX;
	if (len > 0) {
		*at++ = 1 << 3 | 2;
		for (; len >= 0x80; len >>= 7)
			*at++ = (uint8_t)(len | 0x80);
		*at++ = (uint8_t)len;
		memcpy(at, service.p, service.len);
		at += service.len;
	}
	b->len = (uint32_t)(at - (uint8_t *)buf_data(b));
	n = b->len - GRPC_PREFIX;
	at = (uint8_t *)buf_data(b);
	at[0] = 0;
	for (unsigned i = 0; i < 4; i++)
		at[1 + i] = (uint8_t)(n >> (24 - 8 * i));
	return b;
}

static bool
take_varint(const uint8_t **at, const uint8_t *end, uint64_t *value)
{
	*value = 0;
	for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
		uint8_t byte = *(*at)++;

		*value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return true;
	}
	return false;
}

/* HealthCheckResponse { ServingStatus status = 1; }: is it SERVING? Fields that are not known are passed
 * over. */
static bool
is_serving(const struct probe *p)
{
	const uint8_t *at = p->answer + GRPC_PREFIX, *end = p->answer + p->answer_len;
	uint64_t key, value, status = 0;
	uint32_t len = 0;

	if (p->answer_len < GRPC_PREFIX || p->answer_len > PROBE_ANSWER_MAX || p->answer[0] != 0)
		return false;
	for (unsigned i = 1; i < GRPC_PREFIX; i++)
		len = len << 8 | p->answer[i];
	if (len != p->answer_len - GRPC_PREFIX)
		return false;
	while (at < end) {
		if (!take_varint(&at, end, &key))
			return false;
		switch (key & 7) {
		case 0:
			if (!take_varint(&at, end, &value))
				return false;
			if (key == 1 << 3)
				status = value;
			break;
		case 2:
			if (!take_varint(&at, end, &value) || value > (uint64_t)(end - at))
				return false;
			at += value;
			break;
		default:
			return false;
		}
	}
	return status == SERVING;
}

/* ------------------------------------------------------------------ what h2 tells */

static void
grpc_head(struct probe *p, struct str block, bool last)
{
	struct msg *m = &p->w->msg;
	const struct fault *fault;
	int rc = p->head_seen ? block_parse_trailers(m, block, &fault)
			      : block_parse_response(m, block, last, METHOD_POST, &fault);

	if (rc == 0 && !p->head_seen && m->status < 200)
		return;
	if (rc != 0 || (!p->head_seen && m->status != 200))
		decide(p, REASON_FAILED);
	else if (last)
		decide(p, str_eq(msg_field(m, STR("grpc-status")), STR("0")) && is_serving(p)
			      ? REASON_NONE
			      : REASON_FAILED);
	p->head_seen = true;
}

static void *
on_head(void *ctx, int32_t id, void *stream, struct str block, bool last)
{
	struct probe *p = ctx;
	struct msg *m = &p->w->msg;
	const struct fault *fault;

	if (p->decided)
		return stream;
	if (is_grpc(p))
		grpc_head(p, block, last);
	else if (block_parse_response(m, block, last, METHOD_GET, &fault) != 0)
		decide(p, REASON_FAILED);
	else if (m->status >= 200)
		decide(p, probe_judge(p, m->status));
	return stream;
}

static void
on_data(void *ctx, void *stream, const char *bytes, size_t n, bool last)
{
	struct probe *p = ctx;
	size_t room = PROBE_ANSWER_MAX - MIN(p->answer_len, PROBE_ANSWER_MAX);

	if (n > 0 && room > 0)
		memcpy(p->answer + p->answer_len, bytes, MIN(n, room));
	/* A message that is longer is none of ours. */
	p->answer_len = (uint32_t)MIN(p->answer_len + n, PROBE_ANSWER_MAX + 1);
	if (last || p->answer_len > PROBE_ANSWER_MAX)
		decide(p, REASON_FAILED);
}

static void
on_closed(void *ctx, void *stream, uint32_t error, bool unseen)
{
	decide(ctx, REASON_FAILED);
}

static size_t
on_read(void *ctx, void *stream, char *out, size_t max, bool *last)
{
	struct probe *p = ctx;
	size_t n = MIN(max, p->message->len);

	memcpy(out, buf_data(p->message), n);
	p->message->off += (uint32_t)n;
	p->message->len -= (uint32_t)n;
	*last = p->message->len == 0;
	return n;
}

static void
on_head_sent(void *ctx, void *stream)
{
}

static const struct h2_events events = {
    .head = on_head, .data = on_data, .closed = on_closed, .head_sent = on_head_sent, .read = on_read};

/* ------------------------------------------------------------------ the connection's */

/* Sends what h2 has, if nothing is on its way. */
static void
flush(struct probe *p)
{
	size_t n;

	if (p->conn.sending)
		return;
	n = h2_pull(p->h2, buf_data(p->out), p->out->room);
	if (p->decided)
		probe_over(p, p->reason);
	else if (n > 0)
		conn_send(&p->conn, buf_data(p->out), n);
}

static size_t
print(struct probe *p, char *out)
{
	bool grpc = is_grpc(p);
	char host[ADDR_TEXT_MAX], *at = out;

	addr_print(&p->addr, host);
	at = block_put(at, STR(":method"), grpc ? STR("POST") : STR("GET"));
	at = block_put(at, STR(":scheme"), p->conn.tls != NULL ? STR("https") : STR("http"));
	at = block_put(at, STR(":authority"), str_of(host));
	at = block_put(
	    at, STR(":path"), grpc ? STR("/grpc.health.v1.Health/Check") : p->subject->question.path);
	at = block_put(at, STR("user-agent"), STR("latticefs-health"));
	if (grpc) {
		at = block_put(at, STR("te"), STR("trailers"));
		at = block_put(at, STR("content-type"), STR("application/grpc"));
	}
	return (size_t)(at - out);
}

bool
probe_h2_start(struct probe *p)
{
	static const struct h2_config config = {.stream_window = WINDOW, .window = WINDOW};
	struct worker *w = p->w;
	struct str block = {w->head, (uint32_t)print(p, w->head)};
	bool grpc = is_grpc(p);

	p->out = buf_get(&w->net.pools[BUF_SMALL]);
	p->h2 = h2_new(&config, &events, p);
	if (grpc)
		p->message = question(p);
	if (p->out == NULL || p->h2 == NULL || (grpc && p->message == NULL) ||
	    h2_request(p->h2, block, grpc, p) < 0)
		return false;
	conn_await(&p->conn, BUF_SMALL);
	flush(p);
	return true;
}

void
probe_h2_data(struct probe *p, struct buf *b)
{
	bool abuse = false;

	if (h2_feed(p->h2, buf_data(b), b->len, p->w->net.now_ms, &abuse) != 0)
		decide(p, REASON_FAILED);
	buf_put(p->w->net.pools, b);
	if (p->decided) {
		probe_over(p, p->reason);
		return;
	}
	conn_recv(&p->conn, BUF_SMALL);
	flush(p);
}

void
probe_h2_sent(struct probe *p)
{
	flush(p);
}
