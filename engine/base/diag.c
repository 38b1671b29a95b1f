/* diag.c - why a configuration is wrong: filled once, quoted from its text, printed with a caret. */
#include "diag.h"
#include <stdio.h>

/* Enough of a long line before the caret to recognise it, and room behind. */
#define QUOTE_BEFORE 160u

int
diag_set(struct diag *d, int err, const char *path, unsigned line, unsigned column, const char *fmt, ...)
{
	va_list ap;

	assert(err > 0);
	if (d == NULL || d->err != 0)
		return -err;
	d->err = err;
	d->line = line;
	d->column = column;
	snprintf(d->path, sizeof(d->path), "%s", path == NULL ? "" : path);
	va_start(ap, fmt);
	vsnprintf(d->message, sizeof(d->message), fmt, ap);
	va_end(ap);
	return -err;
}

static struct str
line_of(struct str text, unsigned line)
{
	const char *newline;

	for (; line > 1; line--) {
		newline = text.len > 0 ? memchr(text.p, '\n', text.len) : NULL;
		if (newline == NULL)
			return (struct str){text.p, 0};
		text.len -= (uint32_t)(newline + 1 - text.p);
		text.p = newline + 1;
	}
	newline = text.len > 0 ? memchr(text.p, '\n', text.len) : NULL;
	if (newline != NULL)
		text.len = (uint32_t)(newline - text.p);
	return text;
}

static bool
is_utf8_tail(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

void
diag_quote(struct diag *d, struct str text)
{
	struct str s;
	uint32_t skip = 0, n;

	if (d == NULL || d->err == 0 || d->line == 0 || d->source[0] != '\0')
		return;
	s = line_of(text, d->line);
	while (s.len > 0 && s.p[s.len - 1] == '\r')
		s.len--;
	if (d->column > QUOTE_BEFORE && s.len >= sizeof(d->source))
		skip = MIN(d->column - QUOTE_BEFORE, s.len);
	while (skip < s.len && is_utf8_tail(s.p[skip]))
		skip++;
	n = MIN(s.len - skip, (uint32_t)sizeof(d->source) - 1);
	while (n > 0 && skip + n < s.len && is_utf8_tail(s.p[skip + n]))
		n--;
	for (uint32_t i = 0; i < n; i++) {
		char c = s.p[skip + i];

		/* A quoted control byte must not reach a terminal. */
		d->source[i] = ((unsigned char)c < ' ' && c != '\t') || c == 0x7f ? '?' : c;
	}
	d->source[n] = '\0';
	/* One past the end is where something is missing. */
	if (d->column > skip && d->column - skip <= n + 1)
		d->caret = d->column - skip;
}

void
diag_print(const struct diag *d, struct text *out)
{
	if (d->path[0] != '\0')
		text_printf(out, "%s:", d->path);
	if (d->line > 0)
		text_printf(out, "%u:", d->line);
	if (d->line > 0 && d->column > 0)
		text_printf(out, "%u:", d->column - 1);
	text_printf(out, "%s%s\n", d->path[0] != '\0' || d->line > 0 ? " " : "", d->message);
	if (d->source[0] == '\0')
		return;
	text_printf(out, "  %s\n", d->source);
	if (d->caret == 0)
		return;
	text_printf(out, "  ");
	/* Tabs stay tabs and a character of several bytes is one column, so the caret stands below it. */
	for (unsigned i = 0; i + 1 < d->caret && d->source[i] != '\0'; i++)
		if (!is_utf8_tail(d->source[i]))
			text_char(out, d->source[i] == '\t' ? '\t' : ' ');
	text_printf(out, "^\n");
}

struct diag *
diags_add(struct diags *ds)
{
	struct diag *d;

	if (ds->n == ds->size) {
		ds->size = MAX(ds->size * 2, 4);
		ds->all = xrealloc(ds->all, ds->size * sizeof(*ds->all));
	}
	d = &ds->all[ds->n++];
	memset(d, 0, sizeof(*d));
	return d;
}

void
diags_fini(struct diags *ds)
{
	free(ds->all);
	*ds = (struct diags){0};
}
