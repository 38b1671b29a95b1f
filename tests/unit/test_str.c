/* test_str.c - str.h */
#include "str.h"
#include <criterion/criterion.h>
#include <errno.h>

Test(str, compares_in_any_case_and_by_parts)
{
	static const struct {
		const char *s, *part;
		bool eq, caseeq, starts, casestarts, contains, casecontains;
	} rows[] = {
	    {"", "", 1, 1, 1, 1, 1, 1},
	    {"abc", "", 0, 0, 1, 1, 1, 1},
	    {"", "a", 0, 0, 0, 0, 0, 0},
	    {"abc", "abc", 1, 1, 1, 1, 1, 1},
	    {"ABC", "abc", 0, 1, 0, 1, 0, 1},
	    {"abcd", "ABC", 0, 0, 0, 1, 0, 1},
	    {"xabc", "abc", 0, 0, 0, 0, 1, 1},
	    {"xaBc", "AbC", 0, 0, 0, 0, 0, 1},
	    {"ab", "abc", 0, 0, 0, 0, 0, 0},
	    /* '[' and '{' differ by the bit that parts the cases of letters. */
	    {"[", "{", 0, 0, 0, 0, 0, 0},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct str s = str_of(rows[i].s), part = str_of(rows[i].part);

		cr_expect(str_eq(s, part) == rows[i].eq, "eq %zu", i);
		cr_expect(str_caseeq(s, part) == rows[i].caseeq, "caseeq %zu", i);
		cr_expect(str_starts(s, part) == rows[i].starts, "starts %zu", i);
		cr_expect(str_casestarts(s, part) == rows[i].casestarts, "casestarts %zu", i);
		cr_expect(str_contains(s, part) == rows[i].contains, "contains %zu", i);
		cr_expect(str_casecontains(s, part) == rows[i].casecontains, "casecontains %zu", i);
	}
}

Test(str, takes_no_bytes_for_no_pointer)
{
	struct str none = {0};

	cr_expect(str_eq(none, STR("")) && str_caseeq(none, STR("")));
	cr_expect(str_starts(none, none) && str_contains(none, none) && str_casecontains(none, none));
	cr_expect(str_trim(none).len == 0);
	cr_expect(str_hash(none, 7) == str_hash(STR(""), 7));
}

Test(str, trims_blanks_at_both_ends)
{
	static const struct {
		const char *s, *want;
	} rows[] = {{" a b\t\r", "a b"}, {"a", "a"}, {" \t\r ", ""}, {"", ""}, {"a\n ", "a\n"}};

	for (size_t i = 0; i < COUNT(rows); i++)
		cr_expect(str_eq(str_trim(str_of(rows[i].s)), str_of(rows[i].want)), "row %zu", i);
}

Test(str, reads_decimal_numbers_and_nothing_else)
{
	static const struct {
		const char *s;
		uint64_t max;
		int rc;
		uint64_t value;
	} rows[] = {
	    {"0", 10, 0, 0},
	    {"10", 10, 0, 10},
	    {"11", 10, -ERANGE, 0},
	    {"007", 10, 0, 7},
	    {"", 10, -EINVAL, 0},
	    {"+1", 10, -EINVAL, 0},
	    {"-1", 10, -EINVAL, 0},
	    {" 1", 10, -EINVAL, 0},
	    {"1 ", 10, -EINVAL, 0},
	    {"0x1", 10, -EINVAL, 0},
	    {"1,1", 100, -EINVAL, 0},
	    {"99999999999999999999x", 10, -EINVAL, 0},
	    {"5", 4, -ERANGE, 0},
	    {"1", 0, -ERANGE, 0},
	    {"18446744073709551615", UINT64_MAX, 0, UINT64_MAX},
	    {"18446744073709551616", UINT64_MAX, -ERANGE, 0},
	    {"99999999999999999999", UINT64_MAX, -ERANGE, 0},
	    {"000000000000000000000000000001", 9, 0, 1},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		uint64_t value = 4711;
		int rc = str_number(str_of(rows[i].s), rows[i].max, &value);

		cr_expect(rc == rows[i].rc, "row %zu: %d", i, rc);
		cr_expect(value == (rc == 0 ? rows[i].value : 4711), "row %zu", i);
	}
}

Test(str, hashes_every_length_and_byte_apart)
{
	char a[65], b[65];

	for (uint32_t n = 1; n < 65; n++) {
		memset(a, 'a', sizeof(a));
		for (uint32_t i = 0; i < n; i++) {
			memcpy(b, a, sizeof(b));
			b[i] = 'b';
			cr_expect(str_hash((struct str){a, n}, 1) != str_hash((struct str){b, n}, 1), "%u %u",
			    n, i);
		}
		cr_expect(str_hash((struct str){a, n}, 1) != str_hash((struct str){a, n - 1}, 1), "%u", n);
		cr_expect(str_hash((struct str){a, n}, 1) != str_hash((struct str){a, n}, 2), "%u", n);
	}
}

Test(str, casehash_is_the_hash_of_lower_case)
{
	char any[256], lower[256];

	for (unsigned i = 0; i < 256; i++) {
		any[i] = (char)(i * 37 + 11);
		lower[i] = ascii_lower(any[i]);
	}
	for (uint32_t from = 0; from < 256; from += 3)
		for (uint32_t n = 0; n <= 256 - from && n < 40; n++)
			cr_assert(str_casehash((struct str){any + from, n}, 5) ==
				      str_hash((struct str){lower + from, n}, 5),
			    "%u %u", from, n);
}

Test(str, distance_counts_edits_up_to_a_bound)
{
	static const struct {
		const char *a, *b;
		unsigned max, want;
	} rows[] = {
	    {"", "", 2, 0},
	    {"port", "port", 2, 0},
	    {"prot", "port", 2, 1},
	    {"por", "port", 2, 1},
	    {"porrt", "port", 2, 1},
	    {"pxrt", "port", 2, 1},
	    {"gren", "green", 2, 1},
	    {"green", "blue", 2, 3},
	    {"ca", "abc", 5, 3},
	    {"domian", "domain", 2, 1},
	    {"kitten", "sitting", 3, 3},
	    {"abcdefgh", "a", 2, 3},
	    {"abcd", "badc", 2, 2},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		unsigned there = str_distance(str_of(rows[i].a), str_of(rows[i].b), rows[i].max);
		unsigned back = str_distance(str_of(rows[i].b), str_of(rows[i].a), rows[i].max);

		cr_expect(there == rows[i].want, "row %zu: %u", i, there);
		cr_expect(back == there, "row %zu", i);
	}
}

Test(str, text_grows_and_stays_terminated)
{
	struct text t = {0};
	char *taken;

	for (int i = 0; i < 1000; i++) {
		text_printf(&t, "%d,", i);
		cr_assert(strlen(t.p) == t.len);
	}
	cr_expect(t.len == 10 * 2 + 90 * 3 + 900 * 4);
	text_clear(&t);
	cr_expect(t.len == 0 && t.p[0] == '\0');
	text_str(&t, STR("a"));
	text_char(&t, 'b');
	text_add(&t, "cd", 2);
	text_printf(&t, "%0500d", 7);
	cr_expect(t.len == 504 && t.p[503] == '7');
	taken = text_take(&t);
	cr_expect(strncmp(taken, "abcd000", 7) == 0 && t.p == NULL);
	free(taken);
	taken = text_take(&t);
	cr_expect(taken[0] == '\0');
	free(taken);
	text_fini(&t);
}
