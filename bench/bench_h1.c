/* bench_h1.c - nanoseconds to parse a head and print it again, as the proxy does for every request. */
#include "../engine/http/h1.h"
#include "clock.h"
#include <stdio.h>

#define ROUNDS 5
#define TURNS 1000000u

static const struct msg_forward forward = {
    .client = {"203.0.113.195", 13},
    .proto = {"http", 4},
    .port = {"8080", 4},
    .request_id = {"7f0c6e2a-3c55-4d5f-9a77-0f4a6f3a9e21", 36},
};

static const struct {
	const char *name;
	bool response;
	const char *head;
} cases[] = {
    {"request, 4 fields", false,
	"GET /api/v1/carts/1234?x=1 HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: curl/7.88.1\r\n"
	"Accept: application/json\r\nAccept-Encoding: gzip, deflate\r\n\r\n"},
    {"request, keep-alive and a body", false,
	"POST /api/v1/carts HTTP/1.1\r\nHost: shop.example.com\r\nConnection: keep-alive\r\n"
	"Content-Type: application/json\r\nContent-Length: 512\r\n\r\n"},
    {"request of a browser", false,
	"GET /index.html HTTP/1.1\r\nHost: www.example.com:8080\r\nConnection: keep-alive\r\n"
	"Cache-Control: max-age=0\r\nUpgrade-Insecure-Requests: 1\r\n"
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
	"Chrome/119.0.0.0 Safari/537.36\r\n"
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8\r\n"
	"Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-GB,en;q=0.9,de;q=0.8\r\n"
	"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; _ga=GA1.2.3.4\r\n\r\n"},
    {"answer, 4 fields", true,
	"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Mon, 23 Nov 2026 01:02:03 GMT\r\n"
	"Content-Type: text/plain\r\nContent-Length: 100\r\n\r\n"},
};

static size_t
turn(const char *head, size_t n, bool response, char *out)
{
	static struct msg m;
	static const struct msg_reply reply;
	const struct fault *fault;
	size_t scanned = 0;

	if (response) {
		if (h1_parse_response(&m, head, n, &scanned, METHOD_GET, &fault) <= 0)
			abort();
		return h1_print_response(out, &m, &reply);
	}
	if (h1_parse_request(&m, head, n, &scanned, &fault) <= 0)
		abort();
	return h1_print_request(out, &m, &forward);
}

int
main(void)
{
	char out[4096];

	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t n = strlen(cases[i].head), printed = 0;
		double best = 1e9;

		for (int round = 0; round < ROUNDS; round++) {
			uint64_t start = clock_ns();

			for (unsigned k = 0; k < TURNS; k++)
				printed = turn(cases[i].head, n, cases[i].response, out);
			best = MIN(best, (double)(clock_ns() - start) / TURNS);
		}
		printf("%-32s %4zu bytes in %4zu out %7.1f ns\n", cases[i].name, n, printed, best);
	}
	return 0;
}
