/* test_diag.c - diag.h */
#include "diag.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

static void
expect_print(const struct diag *d, const char *want)
{
	struct text t = {0};

	diag_print(d, &t);
	cr_expect(strcmp(t.p, want) == 0, "got:\n%s\nwant:\n%s", t.p, want);
	text_fini(&t);
}

Test(diag, prints_place_message_line_and_caret)
{
	struct diag d = {0};

	cr_expect(diag_set(&d, EINVAL, "services/shop/listeners/web/default-action", 1, 19,
		      "no target group '%s' (did you mean 'green'?)", "gren") == -EINVAL);
	diag_quote(&d, STR("forward = blue:90 gren:10\n"));
	expect_print(&d, "services/shop/listeners/web/default-action:1:18: no target group 'gren' (did you "
			 "mean 'green'?)\n"
			 "  forward = blue:90 gren:10\n"
			 "                    ^\n");
}

Test(diag, keeps_the_first_problem_and_takes_no_diag)
{
	struct diag d = {0};

	cr_expect(diag_set(&d, EINVAL, "a", 0, 0, "first") == -EINVAL);
	cr_expect(diag_set(&d, EEXIST, "b", 1, 1, "second") == -EEXIST);
	expect_print(&d, "a: first\n");
	cr_expect(diag_set(NULL, EBUSY, "a", 0, 0, "nobody asks") == -EBUSY);
	diag_quote(NULL, STR("x"));
}

Test(diag, quotes_the_line_that_is_meant)
{
	static const struct {
		const char *text;
		unsigned line, column;
		const char *source;
		unsigned caret;
	} rows[] = {
	    {"a = 1\nb = 2\nc = 3", 2, 5, "b = 2", 5},
	    {"a = 1\r\nb = 2\r\n", 1, 6, "a = 1", 6},
	    {"a = 1\n", 3, 1, "", 1},
	    {"", 1, 1, "", 1},
	    {"x\033[31my", 1, 2, "x?[31my", 2},
	    {"abc", 1, 9, "abc", 0},
	    {"abc", 1, 0, "abc", 0},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct diag d = {0};

		diag_set(&d, EINVAL, "f", rows[i].line, rows[i].column, "m");
		diag_quote(&d, str_of(rows[i].text));
		cr_expect(strcmp(d.source, rows[i].source) == 0, "row %zu: '%s'", i, d.source);
		cr_expect(d.caret == rows[i].caret, "row %zu: %u", i, d.caret);
	}
}

Test(diag, cuts_a_long_line_around_the_caret)
{
	struct diag d = {0};
	char line[3000];

	memset(line, 'a', sizeof(line));
	line[2000] = 'X';
	diag_set(&d, EINVAL, "f", 1, 2001, "m");
	diag_quote(&d, (struct str){line, sizeof(line)});
	cr_expect(strlen(d.source) == sizeof(d.source) - 1);
	cr_assert(d.caret > 0);
	cr_expect(d.source[d.caret - 1] == 'X');
}

Test(diag, puts_the_caret_below_tabs_and_wide_characters)
{
	struct diag d = {0};

	diag_set(&d, EINVAL, "f", 1, 8, "m");
	diag_quote(&d, STR("\tk = \303\244x"));
	expect_print(&d, "f:1:7: m\n  \tk = \303\244x\n  \t     ^\n");
}

Test(diag, collects_several)
{
	struct diags ds = {0};
	char path[16];

	for (int i = 0; i < 50; i++) {
		struct diag *d = diags_add(&ds);

		cr_assert(d->err == 0);
		snprintf(path, sizeof(path), "f%d", i);
		diag_set(d, EINVAL, path, 0, 0, "m");
	}
	cr_expect(ds.n == 50 && strcmp(ds.all[49].path, "f49") == 0);
	diags_fini(&ds);
}
