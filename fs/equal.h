/* equal.h - parts of two tables that say the same: the new one is then not needed. */
#ifndef EQUAL_H
#define EQUAL_H

#include "table.h"

bool action_equal(const struct action *a, const struct action *b); /* but for the edition */
bool service_equal(const struct service *a, const struct service *b);
bool group_equal(const struct group *a, const struct group *b);
/* The same place to send requests to: whatever its weight, it keeps its counters. */
bool target_is_same(const struct target *a, const struct target *b);

#endif
