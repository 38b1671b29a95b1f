/* hello.h - the name in a TLS ClientHello (RFC 8446 4.1.2, RFC 6066 3). No I/O, no allocation. */
#ifndef HELLO_H
#define HELLO_H

#include "limits.h"
#include "str.h"

enum { HELLO_BAD = -1, HELLO_MORE = 0, HELLO_WHOLE = 1 };

/*
 * Looks at the bytes that a TLS client has sent so far. WHOLE: sni has the host_name of server_name, in lower
 * case, *len its length, 0 when there is none. MORE: it cannot be told yet. BAD: this is no ClientHello, or a
 * malformed one, or one that is not whole within HELLO_BYTES_MAX. The handshake message may come in several
 * records.
 */
int hello_parse(const char *p, size_t n, char sni[static HOST_MAX + 1], uint32_t *len);

#endif
