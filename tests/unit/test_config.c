/* test_config.c - CONF: what it sets, and how its mistakes are told. */
#include "../../fs/config.h"
#include <criterion/criterion.h>
#include <stdio.h>

/* Loads `text` as CONF. */
static int
load(const char *text, struct config *c, struct diag *d)
{
	char path[] = "/tmp/latticefs-conf-XXXXXX";
	int fd = mkstemp(path), rc;

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	*d = (struct diag){0};
	config_default(c);
	rc = config_load(c, path, d);
	cr_expect(rc == 0 || strcmp(d->path, path) == 0, "the file is named");
	unlink(path);
	return rc;
}

Test(config, has_a_default_for_everything)
{
	struct engine_config want;
	struct config c;
	struct diag d;

	engine_config_default(&want);
	cr_expect_eq(load("", &c, &d), 0);
	cr_expect_eq(memcmp(&c.engine, &want, sizeof(want)), 0);
	cr_expect_str_eq(c.suffix, "lattice.internal");
	config_fini(&c);
}

Test(config, sets_what_is_written)
{
	struct config c;
	struct diag d;

	cr_assert_eq(
	    load("; the daemon's own\n[engine]\nworkers = 3\npool=0\ndrain-timeout-ms = 250 \npin = No\n"
		 "[names]\nsuffix = mesh.example\n[identity]\naccount = 012345678901\nregion = eu-west-1\n",
		&c, &d),
	    0, "%s", d.message);
	cr_expect_eq(c.engine.workers, 3);
	cr_expect_eq(c.engine.pool_max, 0);
	cr_expect_eq(c.engine.drain_timeout_ms, 250);
	cr_expect_not(c.engine.pin);
	cr_expect_str_eq(c.suffix, "mesh.example");
	cr_expect_str_eq(c.account, "012345678901");
	cr_expect_str_eq(c.region, "eu-west-1");
	config_fini(&c);
}

Test(config, tells_the_line_and_the_likely_word)
{
	static const struct {
		const char *text;
		unsigned line;
		const char *part;
	} rows[] = {
	    {"[engine]\nworkers = many\n", 2, "from 1 to 256"},
	    {"[engine]\nworkers = 0\n", 2, "from 1 to 256"},
	    {"[engine]\nworkers = 257\n", 2, "from 1 to 256"},
	    {"[engine]\nworkers = -1\n", 2, "from 1 to 256"},
	    {"[engine]\n\nwrokers = 1\n", 3, "no key 'wrokers' (did you mean 'workers'?)"},
	    {"[engine]\nsomething = 1\n", 2, "no key 'something'"},
	    {"[engin]\nworkers = 1\n", 2, "no section 'engin' (did you mean 'engine'?)"},
	    {"[names]\nworkers = 1\n", 2, "no key 'workers'"},
	    {"workers = 1\n", 1, "no section ''"},
	    {"[engine\n", 1, "[section]"},
	    {"[engine]\nworkers\n", 2, "key = value"},
	    {"[engine]\npin = 2\n", 2, "true or false"},
	    {"[names]\nsuffix = Mesh\n", 2, "lower case"},
	    {"[names]\nsuffix = .mesh\n", 2, "lower case"},
	    {"[names]\nsuffix = a..b\n", 2, "lower case"},
	    {"[names]\nsuffix =\n", 2, "lower case"},
	    {"[identity]\naccount = 12345\n", 2, "twelve digits"},
	    {"[engine]\nworkers = x\npool = y\n", 2, "workers"},
	};
	struct config c;
	struct diag d;

	for (size_t i = 0; i < COUNT(rows); i++) {
		cr_expect_lt(load(rows[i].text, &c, &d), 0, "row %zu", i);
		cr_expect_eq(d.line, rows[i].line, "row %zu: line %u", i, d.line);
		cr_expect_not_null(strstr(d.message, rows[i].part), "row %zu: %s", i, d.message);
		config_fini(&c);
	}
}

Test(config, names_a_file_that_cannot_be_read)
{
	struct config c;
	struct diag d = {0};

	config_default(&c);
	cr_expect_lt(config_load(&c, "/nonexistent/conf", &d), 0);
	cr_expect_str_eq(d.path, "/nonexistent/conf");
	config_fini(&c);
}
