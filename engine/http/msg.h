/* msg.h - a request or an answer, whatever wire it came by. Views into the bytes it was parsed from. */
#ifndef MSG_H
#define MSG_H

#include "limits.h"
#include "str.h"

/* Header names that the proxy acts on. Everything else is FIELD_OTHER. */
enum field_id {
	FIELD_OTHER,
	FIELD_HOST,
	FIELD_CONNECTION,
	FIELD_CONTENT_LENGTH,
	FIELD_TRANSFER_ENCODING,
	FIELD_UPGRADE,
	FIELD_EXPECT,
	FIELD_KEEP_ALIVE,
	FIELD_PROXY_CONNECTION,
	FIELD_PROXY_AUTHENTICATE,
	FIELD_PROXY_AUTHORIZATION,
	FIELD_TE,
	FIELD_TRAILER,
	FIELD_HTTP2_SETTINGS,
	FIELD_X_FORWARDED_FOR,
	FIELD_X_FORWARDED_PROTO,
	FIELD_X_FORWARDED_PORT,
	FIELD_REQUEST_ID, /* x-amzn-requestid */
	FIELD_LATTICE,	  /* x-amzn-lattice-*: ours to set, stripped from clients (reference 4.3) */
};

struct field {
	struct str name;  /* as sent */
	struct str value; /* without blanks around */
	uint8_t id;
	bool drop; /* hop by hop, or named in Connection: not forwarded */
};

enum body { BODY_NONE, BODY_LENGTH, BODY_CHUNKED, BODY_EOF };

enum method {
	METHOD_OTHER,
	METHOD_GET,
	METHOD_HEAD,
	METHOD_POST,
	METHOD_PUT,
	METHOD_DELETE,
	METHOD_OPTIONS,
	METHOD_PATCH,
	METHOD_TRACE,
	METHOD_CONNECT
};

struct msg {
	/* request */
	struct str method, target; /* target in origin form, or `*` */
	struct str path;	   /* of the target, without the query */
	struct str host;	   /* name or address without the port; from Host or an absolute target */
	struct str authority;	   /* Host as it will be forwarded, with its port */
	enum method method_id;
	bool expect_continue;
	bool tunnel; /* upgrade, asked for by HTTP/2's means (RFC 8441) */
	/* answer */
	uint16_t status;
	struct str reason;
	/* both */
	uint8_t minor;	 /* HTTP/1.minor */
	bool keep_alive; /* what the peer allows after this message */
	bool upgrade;	 /* Connection: upgrade with an Upgrade that we tunnel (not h2c) */
	enum body body;
	uint64_t length; /* BODY_LENGTH */
	uint32_t nfields;
	struct field fields[FIELDS_MAX];
};

/* What the proxy adds to a request on its way (reference 4.3). */
struct msg_forward {
	struct str client;     /* address for x-forwarded-for, appended to what is there */
	struct str proto;      /* http or https */
	struct str port;       /* listener's, decimal */
	struct str request_id; /* used when the client sent none */
	struct str identity;   /* of the client's certificate: x-amzn-lattice-identity; len 0: none */
	bool chunked;	       /* HTTP/1: the body goes out chunked */
	struct str key;	       /* HTTP/1: sec-websocket-key for a tunnel, 24 bytes; HTTP/2 has none */
};
/* Room that printing can need beyond the parsed head's own length, identity apart. */
#define MSG_GROWTH_MAX 384u

/* And to an answer. */
struct msg_reply {
	struct str request_id; /* added unless the answer has one; len 0 = not */
	bool close;	       /* HTTP/1: Connection: close */
	bool keep_alive;       /* HTTP/1: `Connection: keep-alive` (to an HTTP/1.0 client that asked) */
	bool chunked;	       /* HTTP/1: the body goes out chunked */
};

/* A peer's mistake: the status to answer, its name for counters and logs. Always followed by close. */
struct fault {
	uint16_t status;
	const char *name;
};

/* RFC 9110 9.2.2: a request that may be sent again. */
static inline bool
method_is_idempotent(enum method m)
{
	return m != METHOD_OTHER && m != METHOD_POST && m != METHOD_PATCH && m != METHOD_CONNECT;
}

/* Requests that mean something by their content, though it may be empty. */
static inline bool
method_has_content(enum method m)
{
	return m == METHOD_POST || m == METHOD_PUT || m == METHOD_PATCH;
}

/* May an answer with this status to such a request have content (RFC 9110 6.4.1)? */
static inline bool
status_has_content(unsigned status, enum method m)
{
	return m != METHOD_HEAD && status >= 200 && status != 204 && status != 304;
}

const char *status_reason(unsigned status); /* "Not Found"; "" when unknown */
/* Is name a header of m? First one's value; NULL p when absent. */
struct str msg_field(const struct msg *m, struct str name);

#endif
