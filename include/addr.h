/* addr.h - an IP address with a port. */
#ifndef ADDR_H
#define ADDR_H

#include "str.h"
#include <netinet/in.h>

struct addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	};
};

#define ADDR_TEXT_MAX 56 /* "[v6]:port" and a NUL */

/* `10.0.0.5`, `10.0.0.5:80`, `fd00::5`, `[fd00::5]`, `[fd00::5]:80`. port 0 when none is written.
 * -EINVAL when it is anything else (names, leading zeros, zones, port 0 or past 65535). */
int addr_parse(struct str s, struct addr *a);
/* With the port unless it is 0; IPv6 in RFC 5952 form, in brackets when a port follows. */
void addr_print(const struct addr *a, char out[static ADDR_TEXT_MAX]);
void addr_print_host(const struct addr *a, char out[static ADDR_TEXT_MAX]);
bool addr_eq(const struct addr *a, const struct addr *b); /* family, address and port */
uint16_t addr_port(const struct addr *a);
void addr_set_port(struct addr *a, uint16_t port);
socklen_t addr_len(const struct addr *a);

#endif
