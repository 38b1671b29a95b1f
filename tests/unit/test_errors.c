/* test_errors.c - the refusals that .errors shows: which, to whom, how many. */
#include "../../fs/errors.h"
#include "limits.h"
#include <criterion/criterion.h>
#include <stdio.h>

static struct errors errors;

static void
refuse(uid_t uid, const char *path, const char *message)
{
	struct diag d = {0};

	diag_set(&d, 22, path, 1, 1, "%s", message);
	errors_add(&errors, uid, &d);
}

static size_t
lines_of(const char *dir, uid_t uid, const char *part)
{
	struct text t = {0};
	size_t n = 0;

	errors_print(&errors, dir, uid, &t);
	for (const char *at = t.len > 0 ? t.p : ""; (at = strstr(at, part)) != NULL; at++)
		n++;
	text_fini(&t);
	return n;
}

Test(errors, shows_a_directory_its_subtree_alone)
{
	static const struct {
		const char *dir;
		size_t want;
	} rows[] = {{"", 3}, {"services", 2}, {"services/a", 1}, {"services/a/port", 1}, {"services/aa", 1},
	    {"services/b", 0}, {"serv", 0}};

	refuse(0, "services/a/port", "wrong");
	refuse(0, "services/aa/port", "wrong");
	refuse(0, "vpcs/x/netns", "wrong");
	for (size_t i = 0; i < COUNT(rows); i++)
		cr_expect_eq(lines_of(rows[i].dir, 0, "wrong"), rows[i].want, "row %zu", i);
	errors_fini(&errors);
}

Test(errors, shows_each_caller_its_own_and_root_all)
{
	refuse(7, "a", "mine");
	refuse(8, "a", "theirs");
	cr_expect_eq(lines_of("", 7, "mine"), 1);
	cr_expect_eq(lines_of("", 7, "theirs"), 0);
	cr_expect_eq(lines_of("", 0, "mine") + lines_of("", 0, "theirs"), 2);
	cr_expect_not_null(strstr(errors_last(&errors, "a", 7), "mine"));
	cr_expect_not_null(strstr(errors_last(&errors, "a", 0), "theirs"));
	cr_expect_null(errors_last(&errors, "a", 9));
	cr_expect_null(errors_last(&errors, "b", 0));
	errors_fini(&errors);
}

Test(errors, keeps_the_last_in_order_however_many_came)
{
	char message[32], want[64];
	struct text t = {0};

	cr_expect_eq(errors_time(&errors), 0);
	for (unsigned i = 0; i < 3 * ERRORS_RING + 5; i++) {
		snprintf(message, sizeof(message), "number %u.", i);
		refuse(0, i % 2 ? "x/odd" : "x/even", message);
	}
	errors_print(&errors, "x/odd", 0, &t);
	cr_expect_eq(lines_of("x/odd", 0, "number"), ERRORS_KEPT);
	snprintf(want, sizeof(want), "number %u.", 3 * ERRORS_RING + 3);
	cr_assert_not_null(strstr(t.p, want), "the newest is there");
	snprintf(want, sizeof(want), "number %u.", 3 * ERRORS_RING + 3 - 2 * (ERRORS_KEPT - 1));
	cr_expect_not_null(strstr(t.p, want));
	cr_expect_lt(strstr(t.p, want), strstr(t.p, "\n20") == NULL ? t.p + t.len : strstr(t.p, "\n20"),
	    "the oldest comes first");
	cr_expect_neq(errors_time(&errors), 0);
	text_fini(&t);
	errors_fini(&errors);
}

Test(errors, writes_the_time_the_place_and_the_sentence)
{
	struct text t = {0};

	refuse(0, "services/s/port", "no such port");
	errors_print(&errors, "", 0, &t);
	cr_assert_gt(t.len, 25);
	cr_expect_eq(t.p[10], 'T');
	cr_expect_eq(t.p[23], 'Z');
	cr_expect_eq(strncmp(t.p + 24, " services/s/port:1:", 19), 0, "%s", t.p);
	cr_expect_not_null(strstr(t.p, ": no such port\n"), "%s", t.p);
	text_fini(&t);
	errors_fini(&errors);
}
