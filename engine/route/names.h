/* names.h - what a resolver knows: which service a name means in a zone, and its addresses there. */
#ifndef NAMES_H
#define NAMES_H

#include "table.h"

enum name_kind {
	NAME_FOREIGN, /* nothing of ours: refused, or for another server */
	NAME_NONE,    /* below the suffix, but no service's */
	NAME_SUFFIX,  /* the suffix itself */
	NAME_SERVICE,
};

struct name_found {
	enum name_kind kind;
	bool below; /* the suffix is its end (or all of it) */
	const struct service *service;
	uint32_t scope;
};

/* name: lower case, without a last dot. The bare name of a service and SERVICE.localhost are for Host alone.
 */
struct name_found names_find(const struct table *t, const struct zone *z, struct str suffix, struct str name);
/* Addresses of the family at which the service is offered in that namespace to that network, each once,
 * without ports; at most max. */
uint32_t names_addresses(const struct table *t, const struct service *s, uint32_t vpc, uint32_t scope,
    int family, struct addr *out, uint32_t max);

#endif
