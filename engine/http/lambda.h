/* lambda.h - a request as the event that a Lambda function gets from Lattice, and the function's answer as
 * the response that it means (reference 3.8). No I/O.
 *
 * What the reference leaves open: names and values of the query are decoded as those of a form; what belongs
 * to the connection alone (Expect, TE, Upgrade...) is left out; a body that is no UTF-8 goes in base64
 * whatever its type says, since JSON could not hold it.
 */
#ifndef LAMBDA_H
#define LAMBDA_H

#include "msg.h"

/* What an event tells beside the request; what is empty is left out. */
struct lambda_context {
	bool v2;
	struct str network_arn, service_arn, group_arn, vpc_arn, region;
	uint64_t now_us; /* wall clock */
};

/* Who is asked: the Invoke API's. */
struct lambda_function {
	struct str host, path;
	struct str request_id;
};

/* An event but for its body. {0} is none. */
struct lambda_event {
	char *p;
	size_t len;
	bool v2;
	bool encode; /* by its type, the body goes in base64 */
};

/* 0 or -ENOMEM. m and f are not needed any more then; lambda_event_fini frees. */
int lambda_event_init(
    struct lambda_event *e, const struct msg *m, const struct msg_forward *f, const struct lambda_context *c);
void lambda_event_fini(struct lambda_event *e);
/* The whole HTTP/1.1 request that invokes the function. out NULL: only its length. */
size_t lambda_print_request(
    char *out, const struct lambda_event *e, const struct lambda_function *fn, struct str body);

/* Does this answer of the Invoke API hold a function's answer? Else the function, or the API, failed. */
bool lambda_is_answer(const struct msg *m);
/*
 * The response that the JSON at p means to a request of this method. p is changed: *body and what m points to
 * are views into it. m->length is the body's, *body is empty where none may be sent. -EBADMSG: it is none.
 */
int lambda_parse_response(struct msg *m, char *p, size_t n, enum method request_method, struct str *body);

#endif
