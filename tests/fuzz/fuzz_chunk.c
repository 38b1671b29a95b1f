/* fuzz_chunk.c - the chunked coding: any cut of the input gives the same data, and encoding gives it back.
 *
 * The first byte is the size of the pieces; the rest are the bytes of the wire.
 */
#include "../../engine/http/h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
	int rc;
	size_t used, ndata;
	char *data;
};

static struct result
decode(const uint8_t *in, size_t n, size_t step)
{
	struct result r = {.rc = CHUNK_MORE, .data = xcalloc(1, n)};
	struct chunk c = {0};

	while (r.rc == CHUNK_MORE && r.used < n) {
		size_t take = MIN(step, n - r.used), got, took;
		char *piece = xcalloc(1, take);

		memcpy(piece, in + r.used, take);
		r.rc = chunk_decode(&c, piece, take, &got, &took);
		if (r.rc != CHUNK_BAD) {
			assert(took <= take && got <= took && (r.rc == CHUNK_LAST || took == take));
			memcpy(r.data + r.ndata, piece, got);
			r.ndata += got;
			r.used += took;
		}
		free(piece);
	}
	return r;
}

static void
check_encoded(const struct result *r)
{
	char *room = xcalloc(1, CHUNK_BEFORE + r->ndata + CHUNK_BEHIND), *p;
	struct chunk c = {0};
	size_t len, got, took;

	memcpy(room + CHUNK_BEFORE, r->data, r->ndata);
	p = chunk_encode(room + CHUNK_BEFORE, r->ndata, &len);
	assert(p >= room);
	assert(chunk_decode(&c, p, len, &got, &took) == CHUNK_MORE);
	assert(got == r->ndata && took == len && memcmp(p, r->data, got) == 0);
	free(room);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct result whole, pieces;

	if (size < 2)
		return 0;
	whole = decode(data + 1, size - 1, size - 1);
	pieces = decode(data + 1, size - 1, data[0] % 32 + 1u);
	assert(whole.rc == pieces.rc);
	if (whole.rc != CHUNK_BAD) {
		assert(whole.used == pieces.used && whole.ndata == pieces.ndata);
		assert(memcmp(whole.data, pieces.data, whole.ndata) == 0);
		if (whole.ndata > 0)
			check_encoded(&whole);
	}
	free(whole.data);
	free(pieces.data);
	return 0;
}
