/* test_hello.c - the name in a ClientHello, from hellos that OpenSSL makes and from what is done to them. */
#include "../../engine/http/hello.h"
#include "hellos.h"
#include <stdio.h>

#define RECORD_HEADER 5u

/* In a block of its own, so that a sanitizer sees what is read behind it. */
static int
parse(const uint8_t *p, size_t n, char *sni, uint32_t *len)
{
	char *own = xcalloc(1, MAX(n, 1));
	int rc;

	memcpy(own, p, n);
	rc = hello_parse(own, n, sni, len);
	free(own);
	return rc;
}

static int
verdict(const struct hello *h)
{
	char sni[HOST_MAX + 1];
	uint32_t len;

	return parse(h->p, h->n, sni, &len);
}

/* The message of a hello in one record, in records of `step` bytes instead. */
static void
hello_split(const struct hello *h, size_t step, struct hello *out)
{
	out->n = 0;
	for (size_t at = RECORD_HEADER; at < h->n; at += step) {
		size_t n = MIN(step, h->n - at);
		uint8_t header[RECORD_HEADER] = {22, 3, 1, (uint8_t)(n >> 8), (uint8_t)n};

		cr_assert(out->n + RECORD_HEADER + n <= WIRE_MAX);
		memcpy(out->p + out->n, header, sizeof(header));
		memcpy(out->p + out->n + sizeof(header), h->p + at, n);
		out->n += sizeof(header) + n;
	}
}

/* Every beginning is not enough, the whole tells the name, and what comes behind changes nothing. */
static void
expect_name(const struct hello *h, const char *name)
{
	char sni[HOST_MAX + 1];
	uint8_t more[WIRE_MAX];
	uint32_t len;

	for (size_t n = 0; n < h->n; n++)
		cr_assert(parse(h->p, n, sni, &len) == HELLO_MORE, "%zu of %zu bytes", n, h->n);
	cr_expect(parse(h->p, h->n, sni, &len) == HELLO_WHOLE);
	cr_expect(len == strlen(name) && memcmp(sni, name, len) == 0, "%.*s", (int)len, sni);
	memcpy(more, h->p, h->n);
	memset(more + h->n, 0x17, 64);
	cr_expect(parse(more, h->n + 64, sni, &len) == HELLO_WHOLE && len == strlen(name));
}

Test(hello, tells_the_name_and_not_before_the_last_byte)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
	static struct hello h;

	for (size_t i = 0; i < COUNT(versions); i++) {
		hello_make(&h, versions[i], "Shop.Example-1.COM", 0);
		expect_name(&h, "shop.example-1.com");
		hello_make(&h, versions[i], NULL, 0);
		expect_name(&h, "");
		hello_make(&h, versions[i], "a", 7000);
		cr_expect(h.n > 7000);
		expect_name(&h, "a");
	}
}

Test(hello, comes_in_records_of_any_size)
{
	static struct hello h, split;

	hello_make(&h, TLS1_3_VERSION, "shop.test", 0);
	for (size_t step = 1; step < h.n; step++) {
		hello_split(&h, step, &split);
		expect_name(&split, "shop.test");
	}
}

Test(hello, has_a_bound)
{
	static struct hello h;
	char sni[HOST_MAX + 1];
	uint32_t len;

	/* As much as fits, to the byte. */
	hello_make(&h, TLS1_3_VERSION, "a", 12000);
	hello_make(&h, TLS1_3_VERSION, "a", 12000 + (HELLO_BYTES_MAX - h.n));
	cr_assert(h.n == HELLO_BYTES_MAX);
	cr_expect(verdict(&h) == HELLO_WHOLE);
	/* One byte more is told by the length in the message. */
	hello_make(&h, TLS1_3_VERSION, "b", 12000 + 1);
	hello_make(&h, TLS1_3_VERSION, "b", 12000 + 1 + (HELLO_BYTES_MAX + 1 - h.n));
	cr_assert(h.n == HELLO_BYTES_MAX + 1);
	cr_expect(parse(h.p, 64, sni, &len) == HELLO_BAD);
	/* So many little records are no hello either, though the message
	 * would fit. */
	for (size_t i = 0; i < HELLO_BYTES_MAX; i += 6)
		memcpy(h.p + i, "\x16\x03\x01\x00\x01\x01", 6);
	h.p[6 + 5] = 0x00;
	h.p[12 + 5] = 0x3f;
	cr_expect(parse(h.p, HELLO_BYTES_MAX - 1, sni, &len) == HELLO_MORE);
	cr_expect(parse(h.p, HELLO_BYTES_MAX, sni, &len) == HELLO_BAD);
}

Test(hello, is_refused_at_the_first_wrong_byte)
{
	static const struct {
		const char *p;
		size_t n;
	} rows[] = {
	    {"GET / HTTP/1.1\r\n", 1},			     /* in the clear */
	    {"\x80\x2e\x01\x03\x01", 1},		     /* SSL 2 */
	    {"\x17\x03\x03", 1},			     /* data */
	    {"\x16\x02\x00", 2},			     /* no such version */
	    {"\x16\x03\x01\x00\x00", 5},		     /* an empty record */
	    {"\x16\x03\x01\x40\x01", 5},		     /* 2^14 + 1 */
	    {"\x16\x03\x01\x02\x00\x02", 6},		     /* a ServerHello */
	    {"\x16\x03\x01\x02\x00\x01\x01\x00\x00", 9},     /* 64 KiB */
	    {"\x16\x03\x01\x02\x00\x01\x00\x01\xfb", 9},     /* the record goes on behind it */
	    {"\x16\x03\x01\x00\x01\x01\x17\x03\x01", 7},     /* another type between */
	    {"\x16\x03\x01\x00\x04\x01\x00\x00\x00", 9},     /* empty */
	    {"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03", 10} /* cut short */
	};
	char sni[HOST_MAX + 1];
	uint32_t len;

	for (size_t i = 0; i < COUNT(rows); i++) {
		const uint8_t *p = (const uint8_t *)rows[i].p;

		cr_expect(parse(p, rows[i].n - 1, sni, &len) == HELLO_MORE, "row %zu", i);
		cr_expect(parse(p, rows[i].n, sni, &len) == HELLO_BAD, "row %zu", i);
	}
}

/* ------------------------------------------------------------------ by hand */

static void
put(struct hello *h, const void *p, size_t n)
{
	memcpy(h->p + h->n, p, n);
	h->n += n;
}

/* Sets the lengths of record and message. */
static void
seal(struct hello *h)
{
	size_t n = h->n - RECORD_HEADER;

	h->p[3] = (uint8_t)(n >> 8);
	h->p[4] = (uint8_t)n;
	n -= 4;
	h->p[7] = (uint8_t)(n >> 8);
	h->p[8] = (uint8_t)n;
}

/* Up to the extensions: version, random, session, a cipher, no compression. */
static void
hello_begin(struct hello *h)
{
	static const uint8_t zeros[32];

	h->n = 0;
	put(h, "\x16\x03\x01\0\0\x01\0\0\0\x03\x03", 11);
	put(h, zeros, sizeof(zeros));
	put(h, "\0\0\x02\x13\x01\x01\0", 7);
}

static int
with_extensions(const void *extensions, size_t n, char *sni, uint32_t *len)
{
	static struct hello h;
	uint8_t length[2] = {(uint8_t)(n >> 8), (uint8_t)n};

	hello_begin(&h);
	put(&h, length, sizeof(length));
	put(&h, extensions, n);
	seal(&h);
	return parse(h.p, h.n, sni, len);
}

Test(hello, needs_no_extensions)
{
	static struct hello h;
	char sni[HOST_MAX + 1];
	uint32_t len = 7;

	hello_begin(&h);
	seal(&h);
	cr_expect(parse(h.p, h.n, sni, &len) == HELLO_WHOLE && len == 0);
	cr_expect(with_extensions("", 0, sni, &len) == HELLO_WHOLE && len == 0);
}

Test(hello, has_one_name_or_none)
{
#define ROW(rc, name, bytes)                       \
	{                                          \
		rc, name, bytes, sizeof(bytes) - 1 \
	}
	static const struct {
		int rc;
		const char *name, *p;
		size_t n;
	} rows[] = {
	    ROW(HELLO_WHOLE, "a.b", "\0\0\0\x08\0\x06\0\0\3a.b"),
	    ROW(HELLO_WHOLE, "a_b", "\0\x0a\0\1x\0\0\0\x08\0\x06\0\0\3A_B"),
	    ROW(HELLO_WHOLE, "", "\0\x0a\0\1x"),
	    ROW(HELLO_BAD, "", "\0\0\0\x08\0\x06\0\0\3a.b\0\0\0\x08\0\x06\0\0\3a.b"), /* twice */
	    ROW(HELLO_BAD, "", "\0\0\0\x0e\0\x0c\0\0\3a.b\0\0\3c.d"),		      /* two in a list */
	    ROW(HELLO_BAD, "", "\0\0\0\x08\0\x06\1\0\3a.b"),			      /* of another type */
	    ROW(HELLO_BAD, "", "\0\0\0\0"),					      /* a server's */
	    ROW(HELLO_BAD, "", "\0\0\0\2\0\0"),					      /* an empty list */
	    ROW(HELLO_BAD, "", "\0\0\0\5\0\3\0\0\0"),				      /* an empty name */
	    ROW(HELLO_BAD, "", "\0\0\0\x08\0\x05\0\0\3a.b"),			      /* lengths differ */
	    ROW(HELLO_BAD, "", "\0\0\0\x08\0\x06\0\0\4a.b"), ROW(HELLO_BAD, "", "\0\0\0\x09\0\x06\0\0\3a.b"),
	    ROW(HELLO_BAD, "", "\0\0\0\x08\0\x06\0\0\3a\0b"), /* no names */
	    ROW(HELLO_BAD, "", "\0\0\0\x08\0\x06\0\0\3*.b"), ROW(HELLO_BAD, "", "\0\0\0\x08\0\x06\0\0\3a b"),
	    ROW(HELLO_BAD, "", "\0\x0a\0\1x\0"), /* half an extension */
	};
#undef ROW
	char sni[HOST_MAX + 1];
	uint32_t len;

	for (size_t i = 0; i < COUNT(rows); i++) {
		cr_expect(with_extensions(rows[i].p, rows[i].n, sni, &len) == rows[i].rc, "row %zu", i);
		cr_expect(rows[i].rc != HELLO_WHOLE || str_eq((struct str){sni, len}, str_of(rows[i].name)),
		    "row %zu", i);
	}
}

Test(hello, has_a_name_of_at_most_255_bytes)
{
	char ext[300], sni[HOST_MAX + 1];
	uint32_t len;

	for (size_t n = 254; n < 258; n++) {
		const uint8_t head[9] = {0, 0, (uint8_t)((n + 5) >> 8), (uint8_t)(n + 5),
		    (uint8_t)((n + 3) >> 8), (uint8_t)(n + 3), 0, (uint8_t)(n >> 8), (uint8_t)n};

		memset(ext, 'a', sizeof(ext));
		memcpy(ext, head, sizeof(head));
		cr_expect(with_extensions(ext, sizeof(head) + n, sni, &len) ==
			      (n <= HOST_MAX ? HELLO_WHOLE : HELLO_BAD),
		    "%zu", n);
		cr_expect(n > HOST_MAX || len == n);
	}
}

/* A changed byte gives a hello, no hello, or one that is not whole, and nothing is read behind it. */
Test(hello, survives_every_changed_byte)
{
	static const uint8_t values[] = {0, 1, 3, 0x16, 0x40, 0x7f, 0x80, 0xff};
	static struct hello h;
	unsigned whole = 0, bad = 0;

	hello_make(&h, TLS1_3_VERSION, "shop.test", 0);
	for (size_t at = 0; at < h.n; at++) {
		uint8_t old = h.p[at];

		for (size_t i = 0; i < COUNT(values); i++) {
			int rc;

			h.p[at] = values[i];
			rc = verdict(&h);
			whole += rc == HELLO_WHOLE;
			bad += rc == HELLO_BAD;
		}
		h.p[at] = old;
	}
	cr_expect(whole > 0 && bad > 0);
	cr_expect(verdict(&h) == HELLO_WHOLE);
}
