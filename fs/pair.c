/* pair.c - the link-local addresses of a service, out of a hash of what it is called. */
#include "pair.h"
#include <arpa/inet.h>

#define HOSTS 254u		/* 169.254.171.1 to .254 */
#define NET4 0xa9feab00u	/* 169.254.171.0 */
#define SEED 0x6c61747469636566 /* `latticef`: another seed would move every address */

static const uint8_t net6[12] = {0xfd, 0x00, 0x0e, 0xc2, 0x00, 0x80};

void
pair_make(const char *account, struct str service, struct addr pair[static 2])
{
	struct text who = {0};
	uint32_t host, ip;

	text_printf(&who, "%s services/" STR_FMT, account, STR_ARG(service));
	host = 1 + (uint32_t)(str_hash((struct str){who.p, (uint32_t)who.len}, SEED) % HOSTS);
	text_fini(&who);
	ip = htonl(NET4 | host);
	memset(pair, 0, 2 * sizeof(*pair));
	pair[0].in.sin_family = AF_INET;
	pair[0].in.sin_addr.s_addr = ip;
	pair[1].in6.sin6_family = AF_INET6;
	memcpy(&pair[1].in6.sin6_addr.s6_addr[0], net6, sizeof(net6));
	memcpy(&pair[1].in6.sin6_addr.s6_addr[12], &ip, sizeof(ip));
}

bool
pair_has(const struct addr *a)
{
	uint32_t ip;

	if (a->sa.sa_family == AF_INET) {
		ip = ntohl(a->in.sin_addr.s_addr);
	} else {
		if (memcmp(&a->in6.sin6_addr.s6_addr[0], net6, sizeof(net6)) != 0)
			return false;
		memcpy(&ip, &a->in6.sin6_addr.s6_addr[12], sizeof(ip));
		ip = ntohl(ip);
	}
	return ip > NET4 && ip <= NET4 + HOSTS;
}
