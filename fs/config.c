/* config.c - CONF: a table of sections, keys and ranges; everything has a default. */
#include "config.h"
#include "limits.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>

#define DNS_PORT 53

enum setting { SET_UNSIGNED, SET_BOOL, SET_SUFFIX, SET_ACCOUNT, SET_REGION, SET_ADDRESS };

static const struct key {
	const char *section, *name;
	enum setting type;
	size_t at; /* in struct config */
	unsigned min, max;
} keys[] = {
#define NUMBER(name, field, min, max)                                                         \
	{                                                                                     \
		"engine", name, SET_UNSIGNED, offsetof(struct config, engine.field), min, max \
	}
    NUMBER("workers", workers, 1, WORKERS_MAX),
    NUMBER("connections", connections_max, 1, 1u << 20),
    NUMBER("pool", pool_max, 0, 1u << 16),
    NUMBER("head-timeout-ms", head_timeout_ms, 1, 86400000),
    NUMBER("idle-timeout-ms", idle_timeout_ms, 1, 86400000),
    NUMBER("connect-timeout-ms", connect_timeout_ms, 1, 86400000),
    NUMBER("response-timeout-ms", response_timeout_ms, 1, 86400000),
    NUMBER("pool-timeout-ms", pool_timeout_ms, 1, 86400000),
    NUMBER("drain-timeout-ms", drain_timeout_ms, 0, 86400000),
#undef NUMBER
#define LIMIT(name, field)                                                                       \
	{                                                                                        \
		"limits", name, SET_UNSIGNED, offsetof(struct config, quotas.field), 0, 1u << 30 \
	}
    LIMIT("services", services),
    LIMIT("listeners-per-service", listeners_per_service),
    LIMIT("rules-per-listener", rules_per_listener),
    LIMIT("target-groups", target_groups),
    LIMIT("targets-per-group", targets_per_group),
    LIMIT("networks", networks),
    LIMIT("vpcs", vpcs),
#undef LIMIT
    {"engine", "pin", SET_BOOL, offsetof(struct config, engine.pin), 0, 0},
    {"names", "suffix", SET_SUFFIX, offsetof(struct config, suffix), 0, 0},
    {"names", "ttl", SET_UNSIGNED, offsetof(struct config, engine.name_ttl_s), 0, 86400},
    {"names", "upstream", SET_ADDRESS, offsetof(struct config, engine.upstream), 0, 0},
    {"names", "resolver", SET_ADDRESS, offsetof(struct config, engine.name_server), 0, 0},
    {"identity", "account", SET_ACCOUNT, offsetof(struct config, account), 0, 0},
    {"identity", "region", SET_REGION, offsetof(struct config, region), 0, 0},
};

struct reading {
	struct config *config;
	struct diag *d;
};

void
config_default(struct config *c)
{
	*c = (struct config){0};
	engine_config_default(&c->engine);
	c->suffix = xstrdup("lattice.internal");
	c->account = xstrdup("000000000000");
	c->region = xstrdup("local");
}

void
config_fini(struct config *c)
{
	free(c->suffix);
	free(c->account);
	free(c->region);
}

/* The spelling in the table that is nearest to `word`: a section, or a key of one. NULL: nothing is near. */
static const char *
nearest(const char *section, const char *word)
{
	const char *best = NULL;
	unsigned distance = 3;

	for (size_t i = 0; i < COUNT(keys); i++) {
		const char *name = section == NULL ? keys[i].section : keys[i].name;
		unsigned n = str_distance(str_of(name), str_of(word), 3);

		if ((section == NULL || strcmp(keys[i].section, section) == 0) && n < distance) {
			best = name;
			distance = n;
		}
	}
	return best;
}

static void
unknown(struct diag *d, const char *what, const char *word, const char *near)
{
	if (near != NULL)
		diag_set(d, EINVAL, "", 0, 0, "no %s '%.100s' (did you mean '%s'?)", what, word, near);
	else
		diag_set(d, EINVAL, "", 0, 0, "no %s '%.100s'", what, word);
}

static int
set_bool(bool *at, struct str value)
{
	bool yes = str_caseeq(value, STR("true")) || str_caseeq(value, STR("yes"));

	if (!yes && !str_caseeq(value, STR("false")) && !str_caseeq(value, STR("no")))
		return -EINVAL;
	*at = yes;
	return 0;
}

/* Letters, digits and hyphens, in `least` parts at least, between dots. */
static bool
is_name(struct str s, unsigned least)
{
	unsigned parts = 1;

	for (uint32_t i = 0; i < s.len; i++) {
		char c = s.p[i];
		bool edge = i == 0 || i + 1 == s.len || s.p[i - 1] == '.' || s.p[i + 1] == '.';

		if (c == '.' && !edge)
			parts++;
		else if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c == '-' && !edge)))
			return false;
	}
	return s.len > 0 && s.len <= HOST_MAX / 2 && parts >= least;
}

static int
set_text(char **at, const struct key *k, struct str value)
{
	uint64_t number;

	if (k->type == SET_ACCOUNT && (value.len != 12 || str_number(value, UINT64_MAX, &number) < 0))
		return -EINVAL;
	if (k->type != SET_ACCOUNT && !is_name(value, 1))
		return -EINVAL;
	free(*at);
	*at = xstrndup(value.p, value.len);
	return 0;
}

/* Of a DNS server: on port 53 unless it says otherwise. */
static int
set_address(struct addr *at, struct str value)
{
	struct addr a;

	if (addr_parse(value, &a) < 0)
		return -EINVAL;
	if (addr_port(&a) == 0)
		addr_set_port(&a, DNS_PORT);
	*at = a;
	return 0;
}

static int
set(struct config *c, const struct key *k, struct str value, struct diag *d)
{
	char *at = (char *)c + k->at;
	uint64_t number;

	switch (k->type) {
	case SET_UNSIGNED:
		if (str_number(value, k->max, &number) < 0 || number < k->min)
			return diag_set(d, EINVAL, "", 0, 0, "%s must be a number from %u to %u", k->name,
			    k->min, k->max);
		*(unsigned *)at = (unsigned)number;
		return 0;
	case SET_BOOL:
		if (set_bool((bool *)at, value) < 0)
			return diag_set(d, EINVAL, "", 0, 0, "%s must be true or false", k->name);
		return 0;
	case SET_ACCOUNT:
		if (set_text((char **)at, k, value) < 0)
			return diag_set(d, EINVAL, "", 0, 0, "account must be twelve digits");
		return 0;
	case SET_ADDRESS:
		if (set_address((struct addr *)at, value) < 0)
			return diag_set(d, EINVAL, "", 0, 0,
			    "%s must be the address of a DNS server: 10.0.0.2, 10.0.0.2:5353, [fd00::2]:53",
			    k->name);
		return 0;
	default:
		if (set_text((char **)at, k, value) < 0)
			return diag_set(d, EINVAL, "", 0, 0,
			    "%s must be a name of lower case letters, digits, inner hyphens "
			    "and dots",
			    k->name);
		return 0;
	}
}

/* Called by inih for each line `name = value`: 0 refuses it. */
static int
read_line(void *user, const char *section, const char *name, const char *value)
{
	struct reading *r = user;
	bool known = false;

	if (r->d->err != 0)
		return 0;
	for (size_t i = 0; i < COUNT(keys); i++) {
		if (strcmp(keys[i].section, section) != 0)
			continue;
		known = true;
		if (strcmp(keys[i].name, name) == 0)
			return set(r->config, &keys[i], str_trim(str_of(value)), r->d) == 0;
	}
	if (known)
		unknown(r->d, "key", name, nearest(section, name));
	else
		unknown(r->d, "section", section, nearest(NULL, section));
	return 0;
}

int
config_load(struct config *c, const char *path, struct diag *d)
{
	struct reading r = {.config = c, .d = d};
	FILE *f = fopen(path, "re");
	int line, err = errno;

	if (f == NULL)
		return diag_set(d, err, path, 0, 0, "cannot be opened: %s", strerror(err));
	line = ini_parse_file(f, read_line, &r);
	fclose(f);
	if (line < 0)
		return diag_set(d, EIO, path, 0, 0, "cannot be read");
	if (line == 0)
		return 0;
	diag_set(d, EINVAL, path, 0, 0, "neither a [section] nor a line `key = value`");
	snprintf(d->path, sizeof(d->path), "%s", path);
	d->line = (unsigned)line;
	return -d->err;
}
