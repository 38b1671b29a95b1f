/* fuzz_hello.c - hello.h: never trips a sanitizer; what is told of a beginning holds for the whole. */
#include "../../engine/http/hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In a block of its own so that no byte behind is read. */
static int
parse(const uint8_t *data, size_t n, char *sni, uint32_t *len)
{
	char *p = xcalloc(1, n > 0 ? n : 1);
	int rc;

	memcpy(p, data, n);
	rc = hello_parse(p, n, sni, len);
	free(p);
	return rc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char early[HOST_MAX + 1], sni[HOST_MAX + 1];
	uint32_t early_len, len;
	size_t n;
	int before, rc;

	if (size < 2)
		return 0;
	n = ((size_t)data[0] << 8 | data[1]) % (size - 1);
	data += 2;
	size -= 2;
	before = parse(data, n, early, &early_len);
	rc = parse(data, size, sni, &len);
	assert(rc >= HELLO_BAD && rc <= HELLO_WHOLE);
	assert(before == HELLO_MORE || rc == before);
	if (rc != HELLO_WHOLE)
		return 0;
	assert(len <= HOST_MAX && (len == 0 || sni[len] == '\0'));
	for (uint32_t i = 0; i < len; i++)
		assert(sni[i] > ' ' && ascii_lower(sni[i]) == sni[i]);
	assert(before == HELLO_MORE || (early_len == len && memcmp(early, sni, len) == 0));
	return 0;
}
