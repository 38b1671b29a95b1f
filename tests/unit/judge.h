/* judge.h - for tests: texts of attribute files, and what is said of them. */
#ifndef JUDGE_H
#define JUDGE_H

#include "../../fs/parse.h"
#include <criterion/criterion.h>
#include <errno.h>

#define LISTENER "services/shop/listeners/web/"
#define RULE LISTENER "rules/cart/"
#define GROUP "target-groups/blue/"

struct row {
	const char *path, *text;
	unsigned line, column;
	const char *says; /* NULL: good */
};

static inline void
judge_rows(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct row *r = &rows[i];
		struct diag d = {0};
		enum verdict got = model_judge(r->path, str_of(r->text), true, &d);

		cr_expect(got == (r->says == NULL ? VERDICT_GOOD : VERDICT_BAD), "row %zu '%s': %d %s", i,
		    r->text, got, d.message);
		if (r->says == NULL)
			continue;
		cr_expect(strcmp(d.message, r->says) == 0, "row %zu '%s': %s", i, r->text, d.message);
		cr_expect(d.line == r->line && d.column == r->column, "row %zu '%s': %u:%u", i, r->text,
		    d.line, d.column);
		cr_expect(d.err == EINVAL && strcmp(d.path, r->path) == 0, "row %zu", i);
	}
}

#endif
