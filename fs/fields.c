/* fields.c - lines `key = value`, as inih reads them, in one section or two. */
#include "parser.h"

static enum verdict
fields_unknown(struct parser *p, const char *const *keys, struct str key)
{
	const char *meant = parse_suggest(keys, key);

	if (meant != NULL)
		return parse_bad(
		    p, key.p, "unknown key '%s' (did you mean '%s'?)", parse_show(p, key), meant);
	return parse_bad(p, key.p, "unknown key '%s'", parse_show(p, key));
}

/* A line that has no separator yet: the beginning of a key, or of nothing that could be one. */
static enum verdict
fields_key(struct parser *p, const char *const *keys, struct str s, bool open)
{
	if (p->whole)
		return parse_bad(p, s.p + s.len, "'=' is missing: a line is written KEY = VALUE");
	for (uint32_t i = 0; keys[i] != NULL; i++)
		if (str_eq(s, str_of(keys[i])) || (open && str_starts(str_of(keys[i]), s)))
			return VERDICT_PARTIAL;
	return fields_unknown(p, keys, s);
}

/* As inih: a blank and `;` begin a comment behind a value. */
static struct str
strip_comment(struct str s)
{
	for (uint32_t i = 1; i < s.len; i++)
		if (s.p[i] == ';' && (s.p[i - 1] == ' ' || s.p[i - 1] == '\t'))
			s.len = i;
	return s;
}

/* `[name]`: from here on the other keys count. */
static enum verdict
fields_section(struct parser *p, struct str line, bool open)
{
	const char *name = p->fields->section;
	struct str got = line;
	size_t len = name == NULL ? 0 : strlen(name);

	if (name == NULL)
		return parse_bad(p, line.p, "sections have no meaning here");
	if (open && (got.len <= len + 1 && memcmp(got.p + 1, name, got.len - 1) == 0))
		return VERDICT_PARTIAL;
	if (got.len != len + 2 || got.p[len + 1] != ']' || memcmp(got.p + 1, name, len) != 0)
		return parse_bad(
		    p, line.p, "no section '%s': the only one is [%s]", parse_show(p, line), name);
	if (p->section != 0)
		return parse_bad(p, line.p, "[%s] stands here twice", name);
	p->section = 1;
	return parse_more(p);
}

static enum verdict
fields_pair(struct parser *p, struct str key, struct str value, bool open)
{
	const char *const *keys = p->fields->keys[p->section];
	uint32_t i = 0, bit;

	while (keys[i] != NULL && !str_eq(key, str_of(keys[i])))
		i++;
	if (keys[i] == NULL)
		return fields_unknown(p, keys, key);
	bit = 1u << (i + p->section * SECTION_KEYS);
	if ((p->keys & bit) != 0 && (p->fields->repeatable & bit) == 0)
		return parse_bad(p, key.p, "%s stands here twice", keys[i]);
	p->keys |= bit;
	p->key = key.p;
	if (value.len == 0 && !p->whole)
		return VERDICT_PARTIAL;
	return p->fields->line(p, i + p->section * SECTION_KEYS, value, open);
}

enum verdict
fields_line(struct parser *p, struct str line, bool open)
{
	struct str key, value;
	uint32_t at = 0;

	if (line.p[0] == '[')
		return fields_section(p, line, open);
	while (at < line.len && line.p[at] != '=' && line.p[at] != ':')
		at++;
	if (at == line.len)
		return fields_key(p, p->fields->keys[p->section], line, open);
	key = str_trim((struct str){line.p, at});
	value = strip_comment((struct str){line.p + at, line.len - at});
	open = open && value.len == line.len - at;
	value = str_trim((struct str){value.p + 1, value.len - 1});
	return fields_pair(p, key, value, open);
}
