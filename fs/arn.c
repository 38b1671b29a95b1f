/* arn.c - identifiers and ARNs. */
#include "arn.h"
#include <stdio.h>

void
arn_id(const struct model *m, const struct node *n, char out[static ARN_ID_MAX])
{
	static const char *const prefixes[] = {[KIND_VPC] = "vpc",
	    [KIND_NETWORK] = "sn",
	    [KIND_SERVICE] = "svc",
	    [KIND_LISTENER] = "listener",
	    [KIND_RULE] = "rule",
	    [KIND_GROUP] = "tg"};
	static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	char path[1024], whole[1280];
	unsigned __int128 number;
	struct str s;
	size_t len;

	assert(n->what > KIND_ROOT && n->what < KINDS);
	node_path(n, NULL, path, sizeof(path));
	snprintf(whole, sizeof(whole), "%s %s", m->account, path);
	s = str_of(whole);
	number = (unsigned __int128)str_hash(s, 1) << 64 | str_hash(s, 2);
	len = (size_t)snprintf(out, ARN_ID_MAX, "%s-", prefixes[n->what]);
	for (unsigned i = 0; i < ARN_ID_DIGITS; i++, number /= 36)
		out[len++] = digits[number % 36];
	out[len] = '\0';
}

static void
arn_path(const struct model *m, const struct node *n, struct text *out)
{
	static const char *const kinds[] = {[KIND_VPC] = "vpc",
	    [KIND_NETWORK] = "servicenetwork",
	    [KIND_SERVICE] = "service",
	    [KIND_LISTENER] = "/listener",
	    [KIND_RULE] = "/rule",
	    [KIND_GROUP] = "targetgroup"};
	char id[ARN_ID_MAX];

	if (n->parent != NULL)
		arn_path(m, n->parent, out);
	arn_id(m, n, id);
	text_printf(out, "%s/%s", kinds[n->what], id);
}

void
arn_print(const struct model *m, const struct node *n, struct text *out)
{
	text_printf(
	    out, "arn:aws:%s:%s:%s:", n->what == KIND_VPC ? "ec2" : "vpc-lattice", m->region, m->account);
	arn_path(m, n, out);
}

struct str
arn_build(const struct model *m, const struct node *n, struct arena *arena)
{
	struct text t = {0};
	struct str arn;

	arn_print(m, n, &t);
	arn = arena_str(arena, (struct str){t.p, (uint32_t)t.len});
	text_fini(&t);
	return arn;
}

char *
arn_text(const struct model *m, const struct node *n)
{
	struct text t = {0};

	arn_print(m, n, &t);
	return text_take(&t);
}
