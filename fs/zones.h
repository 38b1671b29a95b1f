/* zones.h - which networks' names are answered in which namespace. */
#ifndef ZONES_H
#define ZONES_H

#include "check.h"

/* A zone for every namespace but our own in which a network reaches; NULL: none. */
struct zones *zones_build(const struct check *c);
bool zones_equal(const struct zones *a, const struct zones *b);

#endif
