/* grpc.c - what a proxy has to know of gRPC: its requests, its deadlines, its errors. */
#include "block.h"

/* Statuses of gRPC, those of block.h apart. */
enum {
	GRPC_UNKNOWN = 2,
	GRPC_PERMISSION_DENIED = 7,
	GRPC_INTERNAL = 13,
	GRPC_UNAVAILABLE = 14,
	GRPC_UNAUTHENTICATED = 16,
};

/* As gRPC's http-grpc-status-mapping.md says, and Envoy does. */
static unsigned
grpc_status(unsigned status)
{
	switch (status) {
	case 400:
		return GRPC_INTERNAL;
	case 401:
		return GRPC_UNAUTHENTICATED;
	case 403:
		return GRPC_PERMISSION_DENIED;
	case 404:
		return GRPC_UNIMPLEMENTED;
	case 429:
	case 502:
	case 503:
	case 504:
		return GRPC_UNAVAILABLE;
	default:
		return GRPC_UNKNOWN;
	}
}

size_t
block_print_grpc(char *out, unsigned status, unsigned grpc, struct str request_id)
{
	unsigned n = grpc > 0 ? grpc : grpc_status(status);
	const char digits[] = {(char)('0' + n / 10), (char)('0' + n % 10)};
	/* Our reasons have nothing that would have to be percent-encoded. */
	struct str reason = str_of(status_reason(status));
	char *p = out;

	assert(n < 100);
	p = block_put(p, STR(":status"), STR("200"));
	p = block_put(p, STR("content-type"), STR("application/grpc"));
	p = block_put(p, STR("grpc-status"), (struct str){digits + (n < 10), n < 10 ? 1 : 2});
	if (reason.len > 0)
		p = block_put(p, STR("grpc-message"), reason);
	if (request_id.len > 0)
		p = block_put(p, STR("x-amzn-requestid"), request_id);
	return (size_t)(p - out);
}

/* From OK to UNAUTHENTICATED. */
static const uint16_t http_statuses[] = {
    200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401};

unsigned
msg_grpc_error(const struct msg *m)
{
	struct str s = m->status == 200 && m->body == BODY_NONE ? msg_field(m, STR("grpc-status")) : STR("");
	uint64_t n;

	if (s.len == 0 || str_number(s, UINT32_MAX, &n) != 0)
		return m->status;
	return n < COUNT(http_statuses) ? http_statuses[n] : 500;
}

bool
msg_is_grpc(const struct msg *m)
{
	const struct str want = STR("application/grpc");
	struct str type = msg_field(m, STR("content-type"));

	if (type.p == NULL || !str_casestarts(type, want))
		return false;
	return type.len == want.len || type.p[want.len] == '+' || type.p[want.len] == ';' ||
	       type.p[want.len] == ' ';
}

#define DAY_MS 86400000u

uint32_t
msg_grpc_timeout_ms(const struct msg *m)
{
	/* TimeoutValue is at most eight digits. */
	struct str s = msg_field(m, STR("grpc-timeout"));
	uint64_t n, ns;

	if (s.p == NULL || s.len < 2 || s.len > 9 ||
	    str_number((struct str){s.p, s.len - 1}, 99999999, &n) != 0)
		return 0;
	switch (s.p[s.len - 1]) {
	case 'H':
		ns = 3600000000000;
		break;
	case 'M':
		ns = 60000000000;
		break;
	case 'S':
		ns = 1000000000;
		break;
	case 'm':
		ns = 1000000;
		break;
	case 'u':
		ns = 1000;
		break;
	case 'n':
		ns = 1;
		break;
	default:
		return 0;
	}
	/* 99,999,999 hours are 3.6e20 ns: more than 64 bits hold. */
	if (n > (uint64_t)DAY_MS * 1000000 / ns)
		return DAY_MS;
	return (uint32_t)MAX((n * ns + 999999) / 1000000, 1);
}
