/* protocols.h - which protocols go together: what a listener speaks, and the groups that it forwards to. */
#ifndef PROTOCOLS_H
#define PROTOCOLS_H

#include "check.h"

/* Each: false when the node is wrong, with the problem in e, its entry. Groups that are not there, and texts
 * that do not parse, are somebody else's matter. */
bool protocols_check_listener(struct entry *e, const struct node *listener);
bool protocols_check_rule(struct entry *e, const struct node *rule);
bool protocols_check_group(struct entry *e, const struct node *group);

/* What the listener speaks. */
enum protocol listener_protocol(const struct node *listener);
const char *protocol_name(enum protocol p);

#endif
