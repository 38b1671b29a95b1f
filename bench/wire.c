/* wire.c - as much of HTTP/1.1 as two ends that trust each other need. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "wire.h"

/* The value of a field of a head; name in lower case with its colon. NULL: there is none. */
static const char *
field_find(struct span head, const char *name)
{
	const char *at = head.at, *end = head.at + head.len;
	size_t len = strlen(name);

	while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
		at++;
		if ((size_t)(end - at) <= len)
			return NULL;
		if ((at[0] | 32) == name[0] && strncasecmp(at, name, len) == 0)
			return at + len;
	}
	return NULL;
}

uint64_t
field_number(struct span head, const char *name)
{
	const char *value = field_find(head, name);

	return value != NULL ? strtoull(value, NULL, 10) : 0;
}

void
body_skip(uint64_t *left, struct span *data)
{
	size_t len = data->len < *left ? data->len : (size_t)*left;

	*left -= len;
	data->at += len;
	data->len -= len;
}

bool
head_says_close(struct span head)
{
	const char *value = field_find(head, "connection:");

	return value != NULL && strncasecmp(value + strspn(value, " "), "close", 5) == 0;
}

bool
head_take(struct gather *g, struct span *data, struct span *head)
{
	size_t had = g->len, room = WIRE_HEAD_MAX - had, from = had > 3 ? had - 3 : 0;
	size_t len = data->len < room ? data->len : room;
	const char *end;

	if (had == 0 && (end = memmem(data->at, data->len, "\r\n\r\n", 4)) != NULL) {
		*head = (struct span){data->at, (size_t)(end + 4 - data->at)};
		data->at += head->len;
		data->len -= head->len;
		return true;
	}
	if (g->bytes == NULL && (g->bytes = malloc(WIRE_HEAD_MAX)) == NULL)
		abort();
	memcpy(g->bytes + had, data->at, len);
	g->len += len;
	end = memmem(g->bytes + from, g->len - from, "\r\n\r\n", 4);
	if (end == NULL)
		return false;
	*head = (struct span){g->bytes, (size_t)(end + 4 - g->bytes)};
	data->at += head->len - had;
	data->len -= head->len - had;
	g->len = 0;
	return true;
}

uint64_t
path_size_wanted(const char *path, size_t len)
{
	const char *end = memrchr(path, '/', len);

	return end != NULL ? strtoull(end + 1, NULL, 10) : 0;
}

uint64_t
head_size_wanted(struct span head)
{
	const char *path = memchr(head.at, ' ', head.len), *end;

	if (path == NULL)
		return 0;
	end = memchr(path + 1, ' ', head.len - (size_t)(path + 1 - head.at));
	return end != NULL ? path_size_wanted(path, (size_t)(end - path)) : 0;
}
