/* counters.h - the engine's metrics: one row each, for the enum, /.metrics and the man page. */
#ifndef COUNTERS_H
#define COUNTERS_H

/* X(enum, Prometheus name, help) */
#define COUNTERS(X)                                                                                          \
	X(ACCEPTED, "connections_accepted_total", "Client connections accepted")                             \
	X(ACCEPT_FAILED, "accept_errors_total", "Accepts that failed, mostly for want of descriptors")       \
	X(CONNECTIONS_FULL, "connections_full_total", "Times a worker stopped accepting at its limit")       \
	X(REQUESTS, "requests_total", "Requests with a complete head")                                       \
	X(BAD_REQUEST, "bad_requests_total", "Requests refused as malformed, ambiguous or too large")        \
	X(NO_SERVICE, "no_service_total", "Requests whose Host is no service at that address (404)")         \
	X(NO_TARGET, "no_target_total", "Requests whose action has no target (503)")                         \
	X(FIXED, "fixed_responses_total", "Requests answered by a fixed-response")                           \
	X(CONNECTS, "target_connects_total", "Connections opened to targets")                                \
	X(REUSED, "target_reuses_total", "Requests sent on a pooled connection")                             \
	X(CONNECT_FAILED, "target_connect_errors_total", "Connections to targets that failed (503)")         \
	X(CHECKS, "health_checks_total", "Health checks with a result; groups that ask the same ask once")   \
	X(CHECK_FAILURES, "health_check_failures_total", "Of those, that failed")                            \
	X(EJECTIONS, "target_ejections_total", "Targets left out for a time by passive checks")              \
	X(RETRIES, "retries_total", "Requests sent once more")                                               \
	X(RETRIES_REFUSED, "retries_over_budget_total", "Requests not sent once more: too many were")        \
	X(TARGETS_FULL, "target_full_total", "Requests refused as all targets had max-requests (503)")       \
	X(DRAIN_CUT, "drain_cut_total", "Requests and connections cut off when a drain time was over")       \
	X(BAD_ANSWER, "target_bad_answers_total", "Answers that were malformed, ambiguous or cut off (502)") \
	X(ANSWER_TIMEOUT, "target_timeouts_total", "Targets that did not answer in time (504)")              \
	X(CLIENT_GONE, "client_aborts_total", "Clients that went away before their answer was complete")     \
	X(CLIENT_TIMEOUT, "client_timeouts_total", "Clients too slow with a head or body (408)")             \
	X(TUNNELS, "upgrades_total", "Connections switched to another protocol")                             \
	X(PASSED, "passthrough_connections_total", "TLS connections passed through to a target")             \
	X(PASS_NO_NAME, "passthrough_no_name_total", "TLS connections closed because they named no service") \
	X(PASS_UNKNOWN, "passthrough_unknown_total",                                                         \
	    "TLS connections whose SNI is no service at that address")                                       \
	X(PASS_BAD, "passthrough_bad_hellos_total",                                                          \
	    "Connections that did not begin with a sound ClientHello")                                       \
	X(PASS_LATE, "passthrough_timeouts_total", "Clients too slow with a ClientHello")                    \
	X(PASS_IN, "passthrough_bytes_received_total", "Bytes passed from clients to targets")               \
	X(PASS_OUT, "passthrough_bytes_sent_total", "Bytes passed from targets to clients")                  \
	X(TLS_HANDSHAKES, "tls_handshakes_total", "TLS handshakes with clients completed")                   \
	X(TLS_RESUMED, "tls_resumed_total", "Of those, resumed by a ticket")                                 \
	X(TLS_FAILED, "tls_failures_total", "TLS handshakes with clients that failed, for whatever reason")  \
	X(TLS_UNKNOWN, "tls_unknown_name_total", "Of those, the name is no service's at that address")       \
	X(TLS_REFUSED, "tls_client_refused_total", "Of those, no valid client certificate")                  \
	X(TLS_PLAIN, "tls_plain_http_total", "HTTP in the clear sent to an HTTPS port (400)")                \
	X(TLS_TARGET_FAILED, "tls_target_failures_total", "TLS handshakes with targets that failed (503)")   \
	X(MISDIRECTED, "misdirected_total", "Requests for another service than the SNI's (421)")             \
	X(H2_CONNECTIONS, "h2_connections_total", "Client connections that speak HTTP/2")                    \
	X(H2_STREAMS, "h2_streams_total", "Requests begun on them")                                          \
	X(H2_ABUSE, "h2_abuse_total", "HTTP/2 peers told ENHANCE_YOUR_CALM")                                 \
	X(ANSWERS_2XX, "answers_2xx_total", "Answers passed on with 2xx")                                    \
	X(ANSWERS_3XX, "answers_3xx_total", "Answers passed on with 3xx")                                    \
	X(ANSWERS_4XX, "answers_4xx_total", "Answers passed on with 4xx")                                    \
	X(ANSWERS_5XX, "answers_5xx_total", "Answers passed on with 5xx")                                    \
	X(BYTES_IN, "bytes_received_total", "Body bytes taken from clients")                                 \
	X(BYTES_OUT, "bytes_sent_total", "Body bytes taken from targets")

enum counter {
#define X(id, name, help) COUNTER_##id,
	COUNTERS(X)
#undef X
	    COUNTER_COUNT
};

/* Of the resolvers. */
#define NAME_COUNTERS(X)                                                                                   \
	X(QUERIES, "name_queries_total", "Questions that the resolvers of the VPCs got")                   \
	X(NXDOMAIN, "name_nxdomain_total", "Questions for a name below the suffix that no service has")    \
	X(REFUSED, "name_refused_total", "Questions for what is not ours, with no upstream to ask")        \
	X(MALFORMED, "name_malformed_total", "Questions dropped or answered FORMERR")                      \
	X(CUT, "name_truncated_total", "Answers that did not fit a datagram (TC)")                         \
	X(FORWARDED, "name_forwards_total", "Questions passed to the upstream")                            \
	X(FORWARD_FAILED, "name_forward_errors_total", "Questions the upstream did not answer (SERVFAIL)") \
	X(DIALOGS, "name_connections_total", "TCP connections to the resolvers")

enum name_counter {
#define X(id, name, help) NAME_COUNTER_##id,
	NAME_COUNTERS(X)
#undef X
	    NAME_COUNTER_COUNT
};

#endif
