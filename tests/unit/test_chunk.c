/* test_chunk.c - the chunked coding of h1.h */
#include "../../engine/http/h1.h"
#include <criterion/criterion.h>

/* Decodes the whole input in pieces of `step` bytes; the data goes to out. */
static int
decode(struct str in, size_t step, char *out, size_t *nout, size_t *used)
{
	struct chunk c = {0};
	char piece[256];
	int rc = CHUNK_MORE;

	*nout = *used = 0;
	while (rc == CHUNK_MORE && *used < in.len) {
		size_t n = MIN(step, in.len - *used), data, took;

		memcpy(piece, in.p + *used, n);
		rc = chunk_decode(&c, piece, n, &data, &took);
		if (rc == CHUNK_BAD)
			return rc;
		cr_assert(rc == CHUNK_LAST || took == n);
		memcpy(out + *nout, piece, data);
		*nout += data;
		*used += took;
	}
	return rc;
}

Test(chunk, decodes_at_every_split)
{
	static const struct {
		const char *in, *data;
		size_t used; /* 0 = all: not at its end */
	} rows[] = {
	    {"0\r\n\r\n", "", 3},
	    {"5\r\nhello\r\n0\r\n\r\n", "hello", 13},
	    {"5\r\nhello\r\n6\r\n world\r\n0\r\nA: b\r\n\r\n", "hello world", 24},
	    {"a\r\n0123456789\r\nA\r\n0123456789\r\n000\r\n\r\n", "01234567890123456789", 35},
	    {"0005\r\nhello\r\n0\r\n\r\n", "hello", 16},
	    {"5;name=value\r\nhello\r\n0;x\r\n\r\n", "hello", 26},
	    {"5 ; a=\"q;\" ; b\r\nhello\r\n0\r\n\r\n", "hello", 26},
	    {"5\t;a\r\nhello\r\n0\r\n\r\n", "hello", 16},
	    {"2\r\n\r\n\r\n0\r\n\r\n", "\r\n", 10},
	    {"5\r\nhel", "hel", 0},
	    {"5\r", "", 0},
	};

	for (size_t i = 0; i < COUNT(rows); i++)
		for (size_t step = 1; step < 60; step++) {
			struct str in = str_of(rows[i].in);
			char out[256];
			size_t n, used;
			int rc = decode(in, step, out, &n, &used);

			cr_expect(rc == (rows[i].used ? CHUNK_LAST : CHUNK_MORE), "row %zu step %zu: %d", i,
			    step, rc);
			cr_expect(used == (rows[i].used ? rows[i].used : in.len), "row %zu step %zu: %zu", i,
			    step, used);
			cr_expect(str_eq((struct str){out, (uint32_t)n}, str_of(rows[i].data)),
			    "row %zu step %zu", i, step);
		}
}

Test(chunk, refuses_what_could_be_read_differently)
{
	static const char *const rows[] = {"\r\n", "x\r\n", ";\r\n", " 5\r\nhello\r\n", "5 \r\nhello\r\n",
	    "5\nhello\r\n", "5\rxhello", "-5\r\n", "+5\r\n", "0x5\r\nhello\r\n", "5g\r\n", "5\r\nhelloX",
	    "5\r\nhello\n", "5\r\nhello\r\r", "5;a\nb\r\nhello\r\n", "5;a\rb\r\n", "5;a\001\r\n", "5 x\r\n",
	    "5,5\r\n", "ffffffffffffffff\r\n", "8000000000000000\r\n", "00000000000000001\r\n",
	    "5\r\n\r\nhello", "5;\177\r\n"};

	for (size_t i = 0; i < COUNT(rows); i++)
		for (size_t step = 1; step < 30; step++) {
			char out[256];
			size_t n, used;

			cr_expect(decode(str_of(rows[i]), step, out, &n, &used) == CHUNK_BAD,
			    "row %zu step %zu", i, step);
		}
}

Test(chunk, bounds_the_size_line)
{
	char in[4096] = "5;";
	struct chunk c = {0};
	size_t data, used;

	memset(in + 2, 'a', sizeof(in) - 2);
	cr_expect(chunk_decode(&c, in, sizeof(in), &data, &used) == CHUNK_BAD);
}

Test(chunk, takes_sizes_up_to_the_bound)
{
	char in[] = "4000000000000000\r\nx";
	struct chunk c = {0};
	size_t data, used;

	cr_expect(chunk_decode(&c, in, sizeof(in) - 1, &data, &used) == CHUNK_MORE);
	cr_expect(data == 1 && c.left == BODY_BYTES_MAX - 1);
}

Test(chunk, encodes_what_it_decodes)
{
	static char buf[CHUNK_BEFORE + 70000 + CHUNK_BEHIND];
	static const size_t sizes[] = {1, 9, 15, 16, 255, 256, 4095, 65535, 65536, 70000};

	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct chunk c = {0};
		char *p = buf + CHUNK_BEFORE;
		size_t len, data, used;

		memset(p, 'x', sizes[i]);
		p = chunk_encode(p, sizes[i], &len);
		cr_assert(p >= buf);
		cr_expect(chunk_decode(&c, p, len, &data, &used) == CHUNK_MORE);
		cr_expect(data == sizes[i] && used == len, "size %zu", sizes[i]);
		for (size_t k = 0; k < data; k++)
			cr_assert(p[k] == 'x');
	}
}
