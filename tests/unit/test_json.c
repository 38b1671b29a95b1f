/* test_json.c - the JSON and base64 that events and functions' answers are made of. */
#include "../../engine/http/base64.h"
#include "../../engine/http/json.h"
#include <criterion/criterion.h>

/* The text, read to its end and said again: kinds and what is in them. NULL: malformed. */
static void
say(struct json *j, struct text *out, enum json_kind kind, struct str text)
{
	struct str key;

	switch (kind) {
	case JSON_OBJECT:
		text_char(out, '{');
		while (json_member(j, &key)) {
			text_printf(out, STR_FMT ":", STR_ARG(key));
			kind = json_value(j, &text);
			say(j, out, kind, text);
		}
		text_char(out, '}');
		break;
	case JSON_ARRAY:
		text_char(out, '[');
		while (json_element(j)) {
			kind = json_value(j, &text);
			say(j, out, kind, text);
		}
		text_char(out, ']');
		break;
	default:
		text_printf(out, "%d(" STR_FMT ")", (int)kind, STR_ARG(text));
		break;
	}
}

static char *
read_all(const char *p, size_t n)
{
	char *copy = xcalloc(1, n + 1);
	struct json j = {.p = copy, .end = copy + n};
	struct text out = {0};
	struct str text;
	enum json_kind kind;
	bool good;

	memcpy(copy, p, n);
	kind = json_value(&j, &text);
	say(&j, &out, kind, text);
	good = json_is_over(&j);
	free(copy);
	if (good)
		return text_take(&out);
	text_fini(&out);
	return NULL;
}

Test(json, reads_what_is_sound)
{
	static const struct {
		const char *from, *to;
	} cases[] = {
	    {"null", "1(null)"},
	    {" [ ] ", "[]"},
	    {"{}", "{}"},
	    {"[1,-0.5e+10,0]", "[4(1)4(-0.5e+10)4(0)]"},
	    {"{\"a\":{\"b\":[true,false]},\"c\":\"\"}", "{a:{b:[3(true)2(false)]}c:5()}"},
	    {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "5(\"\\/\b\f\n\r\t)"},
	    {"\"a\\u00e9\\u20ACb\"", "5(a\xc3\xa9\xe2\x82\xac"
				     "b)"},
	    {"\"\\ud83d\\ude00\"", "5(\xf0\x9f\x98\x80)"},
	    {"\"\xf0\x9f\x98\x80\xc3\xa9\"", "5(\xf0\x9f\x98\x80\xc3\xa9)"},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		char *got = read_all(cases[i].from, strlen(cases[i].from));

		cr_expect(got != NULL && strcmp(got, cases[i].to) == 0, "%s: %s", cases[i].from,
		    got != NULL ? got : "refused");
		free(got);
	}
}

Test(json, refuses_what_is_not)
{
	static const char *const cases[] = {"", " ", "nul", "nulll", "{", "[", "[1", "[1,]", "[,1]", "[1 2]",
	    "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{\"a\":1 \"b\":2}", "[}", "{]", "01", "-", "1.",
	    ".5", "1e", "+1", "1 2", "\"", "\"\\\"", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\ud800\"",
	    "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"\n\"", "\"\x01\"", "\"\xff\"", "\"\xc0\x80\"",
	    "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xe2\x82\"", "'a'", "NaN", "[1]]", "{}{}",
	    "\xef\xbb\xbf{}"};

	for (size_t i = 0; i < COUNT(cases); i++) {
		char *got = read_all(cases[i], strlen(cases[i]));

		cr_expect(got == NULL, "%s: %s", cases[i], got);
		free(got);
	}
	cr_expect(read_all("\"\\\0\"", 4) == NULL);
}

Test(json, skips_to_a_depth)
{
	for (unsigned depth = 1; depth < 80; depth++) {
		struct text t = {0};
		struct json j;
		struct str text;

		for (unsigned i = 0; i < depth; i++)
			text_str(&t, i % 2 == 0 ? STR("[") : STR("{\"a\":"));
		text_char(&t, '1');
		for (unsigned i = depth; i > 0; i--)
			text_char(&t, i % 2 == 1 ? ']' : '}');
		j = (struct json){.p = t.p, .end = t.p + t.len};
		json_skip(&j, json_value(&j, &text));
		cr_expect(json_is_over(&j) == (depth <= JSON_DEPTH_MAX), "%u", depth);
		text_fini(&t);
	}
}

static void
expect_print(struct str s, const char *want)
{
	char room[64];
	size_t n = json_print(room, s);

	cr_expect(n == strlen(want) && memcmp(room, want, n) == 0, "%.*s is not %s", (int)n, room, want);
	cr_expect(json_print(NULL, s) == n);
}

Test(json, writes_strings)
{
	expect_print(STR(""), "");
	expect_print(STR("plain /text"), "plain /text");
	expect_print(STR("\"\\\b\f\n\r\t"), "\\\"\\\\\\b\\f\\n\\r\\t");
	expect_print(STR("\0\x01\x0b\x1f\x7f"), "\\u0000\\u0001\\u000b\\u001f\\u007f");
	expect_print(STR("\xc3\xa9\xf0\x9f\x98\x80"), "\xc3\xa9\xf0\x9f\x98\x80");
	/* Latin-1, all of it. */
	expect_print(STR("\xc3\xa9\xff"), "\xc3\x83\xc2\xa9\xc3\xbf");
}

Test(json, knows_utf8)
{
	cr_expect(json_is_utf8(STR("0123456789abcdef\xc3\xa9")));
	cr_expect(json_is_utf8(STR("\xef\xbf\xbf\xf4\x8f\xbf\xbf\xed\x9f\xbf")));
	cr_expect(!json_is_utf8(STR("0123456\xff"
				    "89abcdef")));
	cr_expect(!json_is_utf8(STR("0123456789abcdef\xc3")));
	cr_expect(!json_is_utf8(STR("\xe0\x9f\xbf")));
	cr_expect(!json_is_utf8(STR("\xf0\x8f\xbf\xbf")));
}

Test(base64, of_rfc_4648)
{
	static const struct {
		const char *plain, *coded;
	} cases[] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="},
	    {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}, {"\xff\xfe\xfb", "//77"},
	    {"\xfb\xef\xbe", "++++"}};

	for (size_t i = 0; i < COUNT(cases); i++) {
		char room[16];
		size_t n = base64_encode(room, str_of(cases[i].plain)), len;

		cr_expect(n == strlen(cases[i].coded) && memcmp(room, cases[i].coded, n) == 0);
		cr_expect(n == BASE64_SIZE(strlen(cases[i].plain)));
		cr_expect(base64_decode(room, n, &len) && len == strlen(cases[i].plain));
		cr_expect(memcmp(room, cases[i].plain, len) == 0);
	}
}

Test(base64, refuses)
{
	static const char *const cases[] = {
	    "A", "AAAAA", "AA=A", "A===", "====", "AA==AA==", "AA-_", "AA A", "AAA\n", "AB==", "AAB="};

	for (size_t i = 0; i < COUNT(cases); i++) {
		char room[16];
		size_t len;

		strcpy(room, cases[i]);
		cr_expect(!base64_decode(room, strlen(room), &len), "%s", cases[i]);
	}
	cr_expect(base64_decode(strcpy((char[8]){0}, "Zm8"), 3, &(size_t){0}), "the padding may be missing");
}
