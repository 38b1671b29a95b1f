/* pair.h - the link-local addresses of a service, the same in every VPC and for ever. */
#ifndef PAIR_H
#define PAIR_H

#include "addr.h"

#define PAIR_NET4 "169.254.171.0/24"
#define PAIR_NET6 "fd00:ec2:80::/64"

/*
 * The service's IPv4 address out of 169.254.171.0/24 and its IPv6 address out of fd00:ec2:80::/64, whose low
 * 32 bits are the first; no ports. They follow from the account and the name alone, so no other service moves
 * one.
 */
void pair_make(const char *account, struct str service, struct addr pair[static 2]);
/* Is this address, whatever its port, one that pair_make gives to some service? */
bool pair_has(const struct addr *a);

#endif
