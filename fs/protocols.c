/* protocols.c - which protocols go together: what a listener speaks, and the groups that it forwards to.
 *
 * A listener with TLS_PASSTHROUGH sees no requests: it has no rules and can only forward, to groups that take
 * bytes. All others see requests, and forward to groups that take those.
 */
#include "protocols.h"
#include <errno.h>

enum protocol
listener_protocol(const struct node *listener)
{
	return (enum protocol)node_number(listener, LISTENER_PROTOCOL, PROTOCOL_HTTP);
}

const char *
protocol_name(enum protocol p)
{
	size_t n;

	return schema_attributes(KIND_LISTENER, &n)[LISTENER_PROTOCOL].words[p];
}

static enum group_protocol
group_protocol(const struct node *group)
{
	return (enum group_protocol)node_number(group, GROUP_PROTOCOL, GROUP_HTTP);
}

/* When a text came; one that is not there never did. */
static uint64_t
stamp_of(const struct node *n, uint32_t index)
{
	return n->values[index] == NULL ? 0 : n->values[index]->stamp;
}

static const struct node *
listener_of(const struct node *user)
{
	return user->what == KIND_RULE ? user->parent : user;
}

static uint32_t
action_index(const struct node *user)
{
	return user->what == KIND_RULE ? RULE_ACTION : LISTENER_DEFAULT_ACTION;
}

/* ------------------------------------------------------------------ listeners and groups */

/* A text that does not parse is told as that alone. */
static bool
is_known(const struct node *n, uint32_t index)
{
	return n->values[index] == NULL || n->values[index]->bad == NULL;
}

static bool
is_at_odds(const struct node *user, const struct node *group)
{
	const struct node *l = listener_of(user);
	bool bytes = listener_protocol(l) == PROTOCOL_TLS_PASSTHROUGH;

	if (!is_known(l, LISTENER_PROTOCOL) || !is_known(group, GROUP_PROTOCOL))
		return false;
	return bytes != (group_protocol(group) == GROUP_TCP);
}

/* Of a listener or rule and a group that are at odds: is the group wrong? A clean one is not, since nobody
 * looks at it; else who came later. With the protocol of a group all its users are dirty. */
static bool
is_groups_fault(const struct node *user, const struct node *group)
{
	const struct node *l = listener_of(user);
	uint64_t mine = MAX(stamp_of(user, action_index(user)), stamp_of(l, LISTENER_PROTOCOL));

	return group->entry->dirty != 0 && stamp_of(group, GROUP_PROTOCOL) > mine;
}

/* The place of what is wrong about a forward: the name of the group, or the protocol if that came later. */
static struct where
where_forward(const struct node *user, const struct reference *r)
{
	const struct value *action = user->values[action_index(user)];

	if (user->what == KIND_LISTENER && stamp_of(user, LISTENER_PROTOCOL) > action->stamp)
		return where_value(user, LISTENER_PROTOCOL);
	return (struct where){user, action, r->line, r->column};
}

/* What the targets of a group are spoken to in. */
static const char *
group_word(const struct node *group)
{
	return node_number(group, GROUP_TYPE, GROUP_IP) == GROUP_LAMBDA ? "LAMBDA"
									: node_word(group, GROUP_PROTOCOL);
}

/* What an action says of requests, where only bytes are seen. */
static bool
check_blind(struct entry *e, const struct node *user)
{
	uint32_t index = action_index(user);
	const struct value *v = user->values[index];
	const struct resilience *r = v == NULL ? NULL : &v->action.resilience;

	if (r == NULL || listener_protocol(listener_of(user)) != PROTOCOL_TLS_PASSTHROUGH)
		return true;
	if (v->action.sticky.kind <= CALLER_NONE || v->action.sticky.kind == CALLER_SOURCE) {
		if (r->timeout_ms == 0 && r->retries == 0 && r->max_requests == 0)
			return true;
	}
	problem(e,
	    where_value(user, user->what == KIND_LISTENER && stamp_of(user, LISTENER_PROTOCOL) > v->stamp
				  ? LISTENER_PROTOCOL
				  : index),
	    EINVAL,
	    "a TLS_PASSTHROUGH listener sees no requests: beside forward there can be sticky = source and "
	    "on-empty");
	return false;
}

static bool
check_forwards(struct entry *e, const struct node *user)
{
	const struct value *action = user->values[action_index(user)];
	enum protocol p = listener_protocol(listener_of(user));

	if (!check_blind(e, user))
		return false;
	for (uint32_t i = 0; action != NULL && i < action->nrefs; i++) {
		const struct reference *r = &action->refs[i];
		const struct node *group = r->entry->node;

		if (group == NULL || !is_at_odds(user, group) || is_groups_fault(user, group))
			continue;
		problem(e, where_forward(user, r), EINVAL,
		    "%s %s listener cannot forward to target group '%s', which is %s",
		    p == PROTOCOL_TLS_PASSTHROUGH ? "a" : "an", protocol_name(p), group->name,
		    group_word(group));
		return false;
	}
	return true;
}

/* A rule of a listener that takes none is wrong when it came last; else the listener's protocol is. */
static bool
is_late_rule(const struct node *rule)
{
	return rule->stamp >= stamp_of(rule->parent, LISTENER_PROTOCOL);
}

bool
protocols_check_rule(struct entry *e, const struct node *rule)
{
	if (listener_protocol(rule->parent) != PROTOCOL_TLS_PASSTHROUGH)
		return check_forwards(e, rule);
	if (!is_late_rule(rule))
		return true;
	problem(e, (struct where){rule, NULL, 0, 0}, EINVAL, "a TLS_PASSTHROUGH listener has no rules");
	return false;
}

bool
protocols_check_listener(struct entry *e, const struct node *listener)
{
	const struct value *action = listener->values[LISTENER_DEFAULT_ACTION];
	bool fixed = node_has(listener, LISTENER_DEFAULT_ACTION) && action->action.kind == ACTION_FIXED;

	if (listener_protocol(listener) != PROTOCOL_TLS_PASSTHROUGH)
		return check_forwards(e, listener);
	for (uint32_t i = 0; i < listener->kids[0].n; i++) {
		const struct node *rule = listener->kids[0].at[i];

		if (is_late_rule(rule))
			continue;
		problem(e, where_value(listener, LISTENER_PROTOCOL), EINVAL,
		    "a TLS_PASSTHROUGH listener has no rules, and rule '%s' is there", rule->name);
		return false;
	}
	if (!fixed)
		return check_forwards(e, listener);
	problem(e,
	    where_value(listener, stamp_of(listener, LISTENER_PROTOCOL) > action->stamp
				      ? LISTENER_PROTOCOL
				      : LISTENER_DEFAULT_ACTION),
	    EINVAL, "a TLS_PASSTHROUGH listener can only forward: it sees no requests to answer");
	return false;
}

/* ------------------------------------------------------------------ groups */

static bool
check_version(struct entry *e, const struct node *g)
{
	bool late = stamp_of(g, GROUP_PROTOCOL) > stamp_of(g, GROUP_PROTOCOL_VERSION);

	if (group_protocol(g) != GROUP_TCP ||
	    node_number(g, GROUP_PROTOCOL_VERSION, GROUP_HTTP1) == GROUP_HTTP1)
		return true;
	problem(e, where_value(g, late ? GROUP_PROTOCOL : GROUP_PROTOCOL_VERSION), EINVAL,
	    "protocol TCP has no protocol-version %s", node_word(g, GROUP_PROTOCOL_VERSION));
	return false;
}

bool
protocols_check_group(struct entry *e, const struct node *group)
{
	if (!check_version(e, group))
		return false;
	list_each(it, &e->uses)
	{
		const struct node *user = container_of(it, struct reference, link)->by;
		char path[1024];

		if ((user->what != KIND_RULE && user->what != KIND_LISTENER) || !is_at_odds(user, group) ||
		    !is_groups_fault(user, group))
			continue;
		node_path(listener_of(user), NULL, path, sizeof(path));
		problem(e, where_value(group, GROUP_PROTOCOL), EINVAL,
		    "it cannot be %s: %.300s forwards to it, and is %s", node_word(group, GROUP_PROTOCOL),
		    path, node_word(listener_of(user), LISTENER_PROTOCOL));
		return false;
	}
	return true;
}
