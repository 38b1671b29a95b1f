/* limits.h - every bound of the program, each with its reason. (System's: <limits.h>.) */
#ifndef LATTICE_LIMITS_H
#define LATTICE_LIMITS_H

/* Lattice: "whole request header > 60K; more than 100 headers" (reference 2.5); ours answers 431. */
#define HEAD_BYTES_MAX (60u * 1024)
#define FIELDS_MAX 100u
/* A trailer section is small by nature; the same bound as nginx's large header buffer. */
#define TRAILER_BYTES_MAX (8u * 1024)
/* A TLS ClientHello with its records. With post-quantum key shares and padding it has 2 KiB; a full record is
 * the most that a client without tricks sends. */
#define HELLO_BYTES_MAX (16u * 1024)
/* A path match may hold 2,048 characters (contract 3); a host name 255 (RFC 1035). */
#define PATH_MATCH_MAX 2048u
#define HOST_MAX 255u
/* Lattice: header name 1..100, value 1..200; ours allows what a line can carry. */
#define HEADER_NAME_MAX 100u
#define HEADER_VALUE_MAX 2048u
/* Digits of a Content-Length or chunk size that fit 2^63 - 1 with room for sums. */
#define BODY_BYTES_MAX ((uint64_t)1 << 62)

/* TLS (engine/net/tls.h). A chain of ten RSA-4096 certificates is 20 KiB; OpenSSL's own bound is 100. */
#define TLS_HANDSHAKE_MAX (128u * 1024) /* bytes of a peer before the handshake is over */
#define TLS_CERTIFICATES_MAX (64u * 1024)
#define TLS_UNSENT_MAX 8192u   /* of our own answers (alerts, key updates) to a peer that does not read */
#define TLS_IDENTITY_MAX 2048u /* text of a client certificate: a field of a head with 60 KiB */

/* TLS handshakes of clients at the same time in a worker: each takes some 50 KiB until it is done, while an
 * idle connection takes none. The one that takes longest makes room. */
#define HANDSHAKES_MAX 4096u

/* HTTP/2: streams of a client at the same time, as nginx has it; what of a stream and of a connection may
 * wait here to be passed on; streams that wait for one connection to a target before another is opened. */
#define H2_STREAMS_MAX 128u
#define H2_STREAM_WINDOW (256u * 1024)
#define H2_WINDOW (1024u * 1024)
#define H2_WAITING_MAX 100u

/* Of a request's body, kept to be sent again (action: retries): as an attribute file, and a usual bound of
 * buffering proxies. A longer one is not sent again once its first byte has gone. */
#define RETRY_BODY_MAX (64u * 1024)
/* The same of one to an HTTP/2 target, without retries: it may refuse a stream that it never looked at. So
 * much is one frame, and a message of most gRPC calls. */
#define REFUSED_BODY_MAX (16u * 1024)
/* Retries in flight in a worker: a fifth of its requests, so that a dead backend does not get a multiple of
 * its load; and always so many, for where there is little traffic. */
#define RETRY_SHARE 5u
#define RETRIES_MIN 3u

/* Lattice: bodies to and from Lambda functions have at most 6 MB. A function's answer is the JSON. A worker
 * holds so much of requests' bodies for functions; more are answered with 503. */
#define LAMBDA_BYTES_MAX (6u * 1024 * 1024)
#define LAMBDA_HELD_MAX (256u * 1024 * 1024)

/* Contract 3. */
#define FORWARD_GROUPS_MAX 10u
#define WEIGHT_MAX 999u
#define WEIGHT_DEFAULT 100u
/* Consistent hashing: a prime (Maglev). 655 targets differ by 1 % of their shares; 128 KiB a group. */
#define RING_CELLS 65537u
/* Slow start: a new target's first share, of 256, and how often the turn goes past such ones at most. */
#define SLOW_START_LEAST 26u
#define SLOW_START_TRIES 16u
#define PRIORITY_MAX 2000u
#define IDLE_TIMEOUT_MAX 86400u
#define IDLE_TIMEOUT_DEFAULT 60u
#define TARGET_WEIGHT_MAX 999u
/* Lattice's 1 minute; an hour is the longest that AWS's load balancers take. */
#define DRAIN_DEFAULT 60u
#define DRAIN_MAX 3600u
#define SLOW_START_MAX 3600u
#define RETRIES_MAX 10u
#define TIMEOUT_MAX 86400u /* seconds */
#define MAX_REQUESTS_MAX 1000000u

/* Contract 2.8: attribute files; policies as in Lattice. */
#define ATTRIBUTE_BYTES_MAX (64u * 1024)
#define POLICY_BYTES_MAX (10u * 1024)
#define ERRORS_KEPT 32u /* refusals a directory remembers */
#define SETTLE_MS 50u	/* contract 2.4: a removal waits this long for its file to be back */
/* Of /.events and a reader: lines it has not read, and what of them it may read again (a shell reads ahead
 * and seeks back). */
#define EVENTS_UNREAD_MAX (64u * 1024)
#define EVENTS_AGAIN_MAX 8192u
#define NETNS_PATH_MAX 1024u /* a path of a namespace, with room for /run/netns/ before it */
#define NAME_BYTES_MAX 255u  /* the kernel does not check it for FUSE */

/* Names (engine/proxy/resolver.h). */
#define NAME_ADDRESSES_MAX 64u /* of one family in an answer: all of it stays far below 4 KiB */
#define NAME_QUERY_MAX 4096u   /* a name is 255 bytes at most; the rest is room for options */
#define NAME_ANSWER_MAX 4096u
#define NAME_DIALOGS_MAX 64u	 /* TCP connections in one VPC; the longest idle one makes room */
#define NAME_DIALOGS_TOTAL 1024u /* and in all of them; then a new one is closed */
#define NAME_IDLE_MS 10000u	 /* a TCP connection without a query */
#define NAME_ASKS_MAX 128u	 /* questions of one VPC that wait for the upstream */
#define NAME_ASK_MS 4000u	 /* before the 5 s after which resolv.conf(5) asks again */
#define NAME_NEGATIVE_TTL 5u	 /* seconds, and never more than the names' own: a new service is soon seen */

/* Names of targets (engine/proxy/finder.h). A load balancer's records last 60 s; below a second nobody means
 * what he says, and past an hour he has forgotten that he said it. */
#define FINDER_TTL_MIN_S 1u
#define FINDER_TTL_MAX_S 3600u
#define FINDER_RETRY_MAX_S 30u /* after failures: 1 s, 2 s, 4 s... */
#define FINDER_LOOKUPS_MAX 64u /* at the same time: each has two sockets or more */

/*
 * HTTP/2 (engine/http/h2.c); past each a peer is told ENHANCE_YOUR_CALM. Frames that carry nothing (SETTINGS,
 * PING, PRIORITY, WINDOW_UPDATE, RST_STREAM, HEADERS, empty DATA...): a bucket, as large as nghttp2's bound
 * on unsent acks, filled by time and, as Envoy does it, by each stream that begins and each DATA frame we
 * send. 100 a second are more than any keep-alive or window needs that nothing is sent to.
 */
#define H2_FRAMES_BURST 1000u
#define H2_FRAMES_RATE 100u
#define H2_FRAMES_EARNED 10u
/* Streams that a client resets unanswered or makes us reset (CVE-2023-44487, CVE-2025-8671): nghttp2's
 * figures. A burst of deadlines that pass together is a client's right. */
#define H2_RESETS_BURST 1000u
#define H2_RESETS_RATE 33u
/* A header block unpacked, entries at 32 bytes more (RFC 7541 4.1): above HEAD_BYTES_MAX and below this it is
 * answered with 431. It comes in 16 frames of 16 KiB (CVE-2024-27316); smaller ones nobody needs to send.
 * nghttp2 1.52 counts a frame again for every part that its head of 9 bytes comes in, as it may. */
#define H2_BLOCK_BYTES_MAX (4 * HEAD_BYTES_MAX)
#define H2_CONTINUATIONS_MAX (16u * 9)
#define H2_SETTINGS_MAX 32u /* in one frame, as nghttp2 */

#define WORKERS_MAX 256u
/* A counter slot per rule, target, ... in every worker: chunks keep their address when more come. */
#define SLOT_CHUNK 4096u
#define SLOT_CHUNKS_MAX 4096u

#endif
