/* pem.c - the blocks of a PEM text, decoded here since OpenSSL does not tell where one is broken. */
#include "pem.h"
#include <errno.h>
#include <stdio.h>

#define DASHES "-----"

/* Four characters are three bytes. */
struct base64 {
	uint8_t *out;
	size_t len;
	uint32_t bits;
	unsigned chars, padding;
};

void
pem_init(struct pem *p, const char *path, struct str text, bool secret)
{
	*p = (struct pem){.path = path, .text = text, .secret = secret};
	p->der = xcalloc(text.len / 4 + 1, 3);
}

void
pem_fini(struct pem *p)
{
	explicit_bzero(p->der, (size_t)(p->text.len / 4 + 1) * 3);
	free(p->der);
}

enum verdict
pem_bad(const struct pem *p, struct diag *d, unsigned line, unsigned column, const char *fmt, ...)
{
	char message[480];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	diag_set(d, EINVAL, p->path, line, column, "%s", message);
	if (!p->secret)
		diag_quote(d, p->text);
	return VERDICT_BAD;
}

/* ------------------------------------------------------------------ lines */

/* The next line, without blanks at its end. False: there is none that is whole. */
static bool
next_line(struct pem *p, bool final, struct str *line)
{
	const char *at = p->text.p + p->at, *newline;
	uint32_t left = p->text.len - p->at;

	newline = left > 0 ? memchr(at, '\n', left) : NULL;
	if (left == 0 || (newline == NULL && !final))
		return false;
	line->p = at;
	line->len = newline == NULL ? left : (uint32_t)(newline - at);
	p->at += line->len + (newline != NULL);
	p->line++;
	while (line->len > 0 && strchr(" \t\r", line->p[line->len - 1]) != NULL &&
	       line->p[line->len - 1] != '\0')
		line->len--;
	return true;
}

/* `-----BEGIN LABEL-----`. */
static bool
is_mark(struct str line, struct str word, struct str *label)
{
	uint32_t dashes = sizeof(DASHES) - 1, before = dashes + word.len;

	if (line.len < before + dashes || !str_starts(line, STR(DASHES)) ||
	    memcmp(line.p + dashes, word.p, word.len) != 0 ||
	    memcmp(line.p + line.len - dashes, DASHES, dashes) != 0)
		return false;
	*label = (struct str){line.p + before, line.len - before - dashes};
	return true;
}

/* ------------------------------------------------------------------ base64 */

static int
digit_of(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c == '\0' ? NULL : strchr(digits, c);

	return at == NULL ? -1 : (int)(at - digits);
}

/* The number of characters of line that are sound; all of them, or the next is not. */
static uint32_t
base64_add(struct base64 *b, struct str line)
{
	for (uint32_t i = 0; i < line.len; i++) {
		int digit = digit_of(line.p[i]);
		unsigned place;

		if (line.p[i] == '=' && b->chars % 4 >= 2 && b->padding < 2) {
			b->padding++;
			continue;
		}
		if (digit < 0 || b->padding > 0)
			return i;
		place = b->chars++ % 4;
		b->bits = b->bits << 6 | (uint32_t)digit;
		if (place > 0)
			b->out[b->len++] = (uint8_t)(b->bits >> (6 - 2 * place));
	}
	return line.len;
}

static bool
base64_is_whole(const struct base64 *b)
{
	return b->chars > 0 && (b->chars + b->padding) % 4 == 0;
}

/* ------------------------------------------------------------------ blocks */

/* Lines `Key: value` and an empty one may stand before the base64. */
static bool
is_header(struct str line, struct pem_block *b)
{
	if (line.len == 0 || memchr(line.p, ':', line.len) == NULL)
		return false;
	b->encrypted =
	    b->encrypted || (str_starts(line, STR("Proc-Type:")) && str_contains(line, STR("ENCRYPTED")));
	return true;
}

static enum verdict
block_read(struct pem *p, bool final, struct pem_block *b, struct diag *d)
{
	struct base64 digits = {.out = p->der};
	bool headers = true;
	struct str line, label;
	uint32_t n;

	while (next_line(p, final, &line)) {
		unsigned column = 1;

		if (headers && is_header(line, b))
			continue;
		headers = false;
		if (is_mark(line, STR("END "), &label)) {
			if (!str_eq(label, b->label))
				return pem_bad(p, d, p->line, 1,
				    "the block that begins in line %u ends with another label", b->line);
			if (!b->encrypted && !base64_is_whole(&digits))
				return pem_bad(p, d, p->line, 1, "the base64 before this line is not whole");
			b->der = p->der;
			b->len = digits.len;
			return VERDICT_GOOD;
		}
		if (is_mark(line, STR("BEGIN "), &label))
			return pem_bad(
			    p, d, p->line, 1, "the block that begins in line %u has no -----END", b->line);
		while (line.len > 0 && (*line.p == ' ' || *line.p == '\t')) {
			line = (struct str){line.p + 1, line.len - 1};
			column++;
		}
		n = b->encrypted ? line.len : base64_add(&digits, line);
		if (n < line.len)
			return pem_bad(p, d, p->line, column + n, "the base64 is broken here");
	}
	if (!final)
		return VERDICT_PARTIAL;
	return pem_bad(p, d, b->line, 1, "the block that begins here has no -----END");
}

enum verdict
pem_next(struct pem *p, bool final, struct pem_block *b, struct diag *d)
{
	struct str line;

	*b = (struct pem_block){0};
	while (next_line(p, final, &line)) {
		if (!str_starts(line, STR(DASHES "BEGIN")))
			continue;
		b->line = p->line;
		p->begun = true;
		if (!is_mark(line, STR("BEGIN "), &b->label))
			return pem_bad(
			    p, d, p->line, 1, "a block begins with -----BEGIN LABEL-----, five hyphens each");
		/* A key that was written to the wrong file is still one. */
		p->secret =
		    p->secret || !(str_eq(b->label, STR("CERTIFICATE")) || str_eq(b->label, STR("X509 CRL")));
		return block_read(p, final, b, d);
	}
	return VERDICT_PARTIAL;
}

/* `Certificate:`, `subject=CN = a`, ` 0 s:CN = a`, `# a comment`. */
static bool
is_prose(struct str line)
{
	static const char *const starts[] = {
	    "#", "---", "Bag Attributes", "CONNECTED(", "subject=", "issuer="};

	for (size_t i = 0; i < COUNT(starts); i++)
		if (str_starts(line, str_of(starts[i])))
			return true;
	/* At the end of a line it is base64's. */
	return memchr(line.p, ':', line.len) != NULL ||
	       (memchr(line.p, '=', line.len) != NULL && line.p[line.len - 1] != '=');
}

bool
pem_is_foreign(const struct pem *p)
{
	struct pem again = {.text = p->text};
	struct str line = {0};

	if (p->begun || p->text.len == 0 || p->text.p[p->text.len - 1] != '\n')
		return false;
	while (line.len == 0)
		if (!next_line(&again, false, &line))
			return false;
	return !is_prose(line);
}
