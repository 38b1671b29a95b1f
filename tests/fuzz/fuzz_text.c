/* fuzz_text.c - the texts of attribute and target files; the first byte picks the file. */
#include "../../fs/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One of each type, and those whose rules differ. */
static const char *const paths[] = {
    "vpcs/v/netns",
    "vpcs/v/listen",
    "networks/n/auth-type",
    "services/s/domain",
    "services/s/idle-timeout",
    "services/s/certificate",
    "services/s/auth-policy",
    "services/s/listeners/l/protocol",
    "services/s/listeners/l/port",
    "services/s/listeners/l/default-action",
    "services/s/listeners/l/rules/r/priority",
    "services/s/listeners/l/rules/r/match",
    "services/s/listeners/l/rules/r/action",
    "target-groups/g/type",
    "target-groups/g/ip-address-type",
    "target-groups/g/vpc",
    "target-groups/g/health-check",
    "target-groups/g/targets/10.0.0.5",
    "services/s/private-key",
    "services/s/client-ca",
};

/* In a block of just this size, so that reading past its end shows. */
static enum verdict
judge(const char *path, const uint8_t *data, size_t size, bool final)
{
	char *copy = xcalloc(1, size > 0 ? size : 1);
	struct diag d = {0};
	struct text out = {0};
	enum verdict verdict;

	memcpy(copy, data, size);
	verdict = model_judge(path, (struct str){copy, (uint32_t)size}, final, &d);
	assert((verdict == VERDICT_BAD) == (d.err != 0));
	assert(!final || verdict != VERDICT_PARTIAL);
	if (verdict == VERDICT_BAD)
		diag_print(&d, &out);
	text_fini(&out);
	free(copy);
	return verdict;
}

/* Words before the first block of a PEM file are taken in one write with it, and refused alone. */
static bool
is_words(const char *path, const uint8_t *data, size_t size)
{
	struct str text = {(const char *)data, (uint32_t)size};
	struct spot spot;

	schema_spot(path, false, &spot);
	return spot.attribute->type == TYPE_PEM && !str_starts(text, STR("-----BEGIN")) &&
	       !str_contains(text, STR("\n-----BEGIN"));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *path;
	enum verdict whole;
	size_t step;

	if (size == 0)
		return 0;
	path = paths[data[0] % COUNT(paths)];
	data++;
	size--;
	whole = judge(path, data, size, true);
	/* What can become good must not be called bad on the way; what is good as it stands is so in the end.
	 */
	step = size / 64 + 1;
	for (size_t n = 0; n <= size; n += step) {
		enum verdict part = judge(path, data, n, false);

		assert(part != VERDICT_BAD || whole == VERDICT_BAD || is_words(path, data, n));
		assert(part != VERDICT_GOOD || judge(path, data, n, true) == VERDICT_GOOD);
	}
	return 0;
}
