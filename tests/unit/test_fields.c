/* test_fields.c - texts of target groups, and of what an action says beside forward. */
#include "judge.h"

Test(fields, reads_attributes_of_groups)
{
	static const struct row rows[] = {
	    {GROUP "type", "alb\n", 0, 0, NULL},
	    {GROUP "type", "EC2\n", 1, 1, "type must be IP, INSTANCE, LAMBDA or ALB, not 'EC2'"},
	    {GROUP "algorithm", "Least-Requests\n", 0, 0, NULL},
	    {GROUP "algorithm", "least-request\n", 1, 1,
		"algorithm must be round-robin, least-requests or consistent-hash, not 'least-request' (did "
		"you mean 'least-requests'?)"},
	    {GROUP "hash-key", "header X-User\n", 0, 0, NULL},
	    {GROUP "hash-key", "cookie  id\n", 0, 0, NULL},
	    {GROUP "hash-key", "source\n", 0, 0, NULL},
	    {GROUP "hash-key", "PATH\n", 0, 0, NULL},
	    {GROUP "hash-key", "header\n", 1, 7, "the name is missing: it is written header NAME"},
	    {GROUP "hash-key", "header a b\n", 1, 8, "'a b' is more than one name"},
	    {GROUP "hash-key", "cookie a;b\n", 1, 8, "'a;b' is no cookie name"},
	    {GROUP "hash-key", "source ip\n", 1, 8, "nothing stands behind source"},
	    {GROUP "hash-key", "host\n", 1, 1, "hash-key must be header, cookie, source or path, not 'host'"},
	    {GROUP "drain", "0\n", 0, 0, NULL},
	    {GROUP "drain", "3601\n", 1, 1, "drain must be a number from 0 to 3600, not '3601'"},
	    {GROUP "slow-start", "3600\n", 0, 0, NULL},
	    {GROUP "lambda-event-structure-version", "v2\n", 0, 0, NULL},
	};

	judge_rows(rows, COUNT(rows));
}

Test(fields, reads_what_an_action_says_beside_forward)
{
	static const struct row rows[] = {
	    {RULE "action",
		"sticky = cookie id\nforward = a:5 b\non-empty = FAIL\ntimeout = 500ms\nretries = 10\n"
		"retry-on = connect timeout 5XX gateway-error\nmax-requests = 100\n",
		0, 0, NULL},
	    {RULE "action", "forward = a\ntimeout = 86400\nretries = 0\n", 0, 0, NULL},
	    {RULE "action", "forward = a\nsticky = path\n", 2, 10,
		"sticky must be header, cookie or source, not 'path'"},
	    {RULE "action", "forward = a\nstiky = source\n", 2, 1,
		"unknown key 'stiky' (did you mean 'sticky'?)"},
	    {RULE "action", "forward = a\non-empty = drop\n", 2, 12,
		"on-empty must be share or fail, not 'drop'"},
	    {RULE "action", "forward = a\ntimeout = 0\n", 2, 11,
		"timeout must be 1 to 86400 seconds, or milliseconds as in 500ms, not '0'"},
	    {RULE "action", "forward = a\ntimeout = 5m\n", 2, 11,
		"timeout must be 1 to 86400 seconds, or milliseconds as in 500ms, not '5m'"},
	    {RULE "action", "forward = a\nretries = 11\n", 2, 11,
		"retries must be a number from 0 to 10, not '11'"},
	    {RULE "action", "forward = a\nretries = 1\nretry-on = 5xx 404\n", 3, 16,
		"retry-on must be connect, timeout, 5xx or gateway-error, not '404'"},
	    {RULE "action", "forward = a\nretry-on = 5xx\n", 0, 0, "retry-on has no meaning without retries"},
	    {RULE "action", "forward = a\nmax-requests = 0\n", 2, 16,
		"max-requests must be a number from 1 to 1000000, not '0'"},
	    {RULE "action", "fixed-response = 404\ntimeout = 1\n", 2, 1,
		"timeout has no meaning with fixed-response"},
	    {RULE "action", "on-empty = fail\nfixed-response = 404\n", 2, 1,
		"fixed-response does not go with on-empty"},
	};

	judge_rows(rows, COUNT(rows));
}

Test(fields, reads_targets)
{
	static const struct row rows[] = {
	    {GROUP "targets/10.0.0.5", "weight = 999\nadmin = DRAIN\n", 0, 0, NULL},
	    {GROUP "targets/i-01234567:80", "admin = down\n", 0, 0, NULL},
	    {GROUP "targets/10.0.0.5", "weight = 0\n", 1, 10,
		"weight must be a number from 1 to 999, not '0'"},
	    {GROUP "targets/10.0.0.5", "admin = off\n", 1, 9, "admin must be up, drain or down, not 'off'"},
	    {GROUP "targets/10.0.0.5", "host = x\n", 1, 1, "unknown key 'host'"},
	    {GROUP "targets/edge.alb", "", 0, 0, NULL},
	    {GROUP "targets/edge.alb", "host = Edge.Example\nport = 443\n", 0, 0, NULL},
	    {GROUP "targets/edge.alb", "host = 10.0.0.5\n", 0, 0, NULL},
	    {GROUP "targets/edge.alb", "port = 443\n", 0, 0, "an ALB target needs a host"},
	    {GROUP "targets/edge.alb", "host = 10.0.0.5:80\n", 1, 8,
		"'10.0.0.5:80' is no host: its port is a line of its own"},
	    {GROUP "targets/edge.alb", "host = *.example\n", 1, 8,
		"'*.example' is no host: a wildcard names nobody"},
	    {GROUP "targets/edge.alb", "weight = 5\n", 1, 1, "unknown key 'weight'"},
	    {GROUP "targets/f.lambda", "url = http://127.0.0.1:9001/2015-03-31/functions/f/invocations\n", 0,
		0, NULL},
	    {GROUP "targets/f.lambda",
		"url = http://[::1]:9001/2015-03-31/functions/arn:aws:lambda:x:1:f/invocations\n", 0, 0,
		NULL},
	    {GROUP "targets/f.lambda", "url = http://host/2015-03-31/functions/f/invocations\n", 0, 0, NULL},
	    {GROUP "targets/f.lambda", "url = https://h/2015-03-31/functions/f/invocations\n", 1, 7,
		"a url begins with http://, not 'https://h/2015-03-31/functions/f/invocations'"},
	    {GROUP "targets/f.lambda", "url = http://h:0/2015-03-31/functions/f/invocations\n", 1, 14,
		"'h:0' is no host: a port is 1 to 65535"},
	    {GROUP "targets/f.lambda", "url = http://10.0.0.5:0/2015-03-31/functions/f/invocations\n", 1, 14,
		"'10.0.0.5:0' is no host: a port is 1 to 65535"},
	    {GROUP "targets/f.lambda", "url = http://h/2015-03-31/functions//invocations\n", 1, 15,
		"the path of a url is /2015-03-31/functions/NAME/invocations"},
	    {GROUP "targets/f.lambda", "url = http://h\n", 1, 15,
		"the path of a url is /2015-03-31/functions/NAME/invocations"},
	};

	judge_rows(rows, COUNT(rows));
}

Test(fields, reads_health_checks)
{
#define HEALTH GROUP "health-check"
	static const struct row rows[] = {
	    {HEALTH, "", 0, 0, NULL},
	    {HEALTH,
		"enabled = true\nprotocol = https\nprotocol-version = HTTP2\nport = 8080\npath = /h?x=1\n"
		"interval = 5\ntimeout = 120\nhealthy-threshold = 2\nunhealthy-threshold = 10\n"
		"matcher = 200,202,300-399\n[passive]\nenabled = true\nfailures = 0\nerrors = 3\n"
		"ejection = 500ms\nejection-max = 60\nejected-percent = 50\n",
		0, 0, NULL},
	    {HEALTH, "protocol = GRPC\ngrpc-service = shop.Cart\ninterval = 100ms\n", 0, 0, NULL},
	    {HEALTH, "[passive]\n", 0, 0, NULL},
	    {HEALTH, "[passiv]\n", 1, 1, "no section '[passiv]': the only one is [passive]"},
	    {HEALTH, "[passive]\n[passive]\n", 2, 1, "[passive] stands here twice"},
	    {HEALTH, "[passive]\npath = /\n", 2, 1, "unknown key 'path'"},
	    {HEALTH, "errors = 1\n", 1, 1, "unknown key 'errors'"},
	    {HEALTH, "intervall = 5\n", 1, 1, "unknown key 'intervall' (did you mean 'interval'?)"},
	    {HEALTH, "interval = 4\n", 1, 12,
		"interval must be 5 to 300 seconds, or milliseconds as in 500ms, not '4'"},
	    {HEALTH, "interval = 99ms\n", 1, 12,
		"interval must be 5 to 300 seconds, or milliseconds as in 500ms, not '99ms'"},
	    {HEALTH, "timeout = 121\n", 1, 11,
		"timeout must be 1 to 120 seconds, or milliseconds as in 500ms, not '121'"},
	    {HEALTH, "healthy-threshold = 1\n", 1, 21,
		"healthy-threshold must be a number from 2 to 10, not '1'"},
	    {HEALTH, "unhealthy-threshold = 11\n", 1, 23,
		"unhealthy-threshold must be a number from 2 to 10, not '11'"},
	    {HEALTH, "matcher = 200-199\n", 1, 11,
		"'200-199' is no status, or range of them, from 200 to 499"},
	    {HEALTH, "matcher = 200,500\n", 1, 15, "'500' is no status, or range of them, from 200 to 499"},
	    {HEALTH, "matcher = 200,\n", 1, 15, "'' is no status, or range of them, from 200 to 499"},
	    {HEALTH, "matcher = ok\n", 1, 11, "matcher is written like 200, 200,202 or 200-299, not 'ok'"},
	    {HEALTH, "path = h\n", 1, 8, "a path begins with '/', not 'h'"},
	    {HEALTH, "protocol = TCP\npath = /\n", 0, 0, "a check with protocol TCP has no path"},
	    {HEALTH, "protocol = HTTP\ngrpc-service = a\n", 0, 0,
		"a check with protocol HTTP has no grpc-service"},
	    {HEALTH, "grpc-service = a\npath = /\n", 0, 0, "a check with protocol GRPC has no path"},
	    {HEALTH, "[passive]\nejection = 60\nejection-max = 30\n", 0, 0,
		"ejection-max is less than ejection"},
	};

	judge_rows(rows, COUNT(rows));
}

Test(fields, judges_what_is_written_so_far)
{
	static const struct {
		const char *path, *text;
		enum verdict want;
	} rows[] = {
	    {GROUP "hash-key", "header", VERDICT_PARTIAL},
	    {GROUP "hash-key", "header X", VERDICT_PARTIAL},
	    {GROUP "hash-key", "heather", VERDICT_BAD},
	    {GROUP "hash-key", "source\n", VERDICT_GOOD},
	    {GROUP "health-check", "[pass", VERDICT_PARTIAL},
	    {GROUP "health-check", "[pasx", VERDICT_BAD},
	    {GROUP "health-check", "matcher = 200-", VERDICT_PARTIAL},
	    {GROUP "targets/f.lambda", "url = htt", VERDICT_PARTIAL},
	    {GROUP "targets/f.lambda", "url = https://h", VERDICT_BAD},
	    {RULE "action", "forward = a\ntimeout = 50m", VERDICT_PARTIAL},
	    {RULE "action", "forward = a\ntimeout = 5x", VERDICT_BAD},
	    {RULE "action", "forward = a\nfixed-response", VERDICT_PARTIAL},
	    {RULE "action", "forward = a\nfixed-response = 4", VERDICT_BAD},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct diag d = {0};
		enum verdict got = model_judge(rows[i].path, str_of(rows[i].text), false, &d);

		cr_expect(got == rows[i].want, "row %zu '%s': %d %s", i, rows[i].text, got, d.message);
	}
}
