/* preload.c - the load's file reads, done ahead and in parallel: tens of thousands of calls, each of its own.
 */
#include "preload.h"
#include "limits.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#define THREADS_MAX 4u		/* more only wait for each other in the kernel */
#define CHILDREN_MIN 64u	/* fewer are read sooner than a thread starts */
#define AHEAD_BYTES (64u << 20) /* read and not yet asked for */
#define DENTS_ROOM 32768u

/* Collections that grow with the network; in the order of their names, as everything here. */
static const char *const collections[] = {"services", "target-groups"};

enum what {
	WHAT_LIST, /* a type and a name that ends in NUL, for each entry */
	WHAT_TEXT,
	WHAT_LINK,
	WHAT_ASK, /* cannot be had simply: the store is asked, and says why */
};

/* Followed by the path below the task's, its NUL, and the data. */
struct record {
	uint32_t size; /* to the next record */
	uint32_t len;  /* of the data */
	uint32_t path_len;
	enum what what;
};

enum state { STATE_FREE, STATE_TAKEN, STATE_DONE };

/* One object with all below. The block belongs to who took the task until it is done, then to the load. */
struct task {
	char *path;
	size_t path_len;
	int dir; /* of its collection */
	enum state state;
	char *block; /* records, in the order in which they will be asked for */
	size_t size;
	size_t at; /* the record that was found last */
};

struct reader {
	struct preload *preload;
	pthread_t thread;
	struct text out;
	size_t below; /* length of the task's path */
	char *dents;
	size_t dents_len, dents_size;
	struct dirent64 **sorted;
	uint32_t nsorted, sorted_size;
	char path[PATH_MAX];
	char buf[ATTRIBUTE_BYTES_MAX];
};

struct preload {
	struct source source;
	struct source *from;
	bool sweep;
	int dirs[COUNT(collections)];
	struct task *tasks;
	uint32_t ntasks, tasks_size;
	uint32_t at; /* the load is there; tasks before it are freed */
	struct reader own;
	struct reader *readers[THREADS_MAX];
	unsigned nreaders;

	pthread_mutex_t lock; /* over what follows, and the state of every task */
	pthread_cond_t done, room;
	uint32_t next; /* no task before it is free */
	size_t bytes;  /* of the blocks */
	bool stop;
};

/* ------------------------------------------------------------------ reading a task */

static void
record_begin(struct reader *r, size_t len, enum what what)
{
	size_t below = len > r->below ? r->below + 1 : len;
	struct record head = {.path_len = (uint32_t)(len - below), .what = what};

	text_add(&r->out, &head, sizeof(head));
	text_add(&r->out, r->path + below, len - below);
	text_add(&r->out, "", 1);
}

/* at: where the record begins. */
static void
record_end(struct reader *r, size_t at)
{
	struct record *head = (struct record *)(r->out.p + at);

	head->len = (uint32_t)(r->out.len - at - sizeof(*head) - head->path_len - 1);
	while (r->out.len % _Alignof(struct record) != 0)
		text_add(&r->out, "", 1);
	head = (struct record *)(r->out.p + at);
	head->size = (uint32_t)(r->out.len - at);
}

static void
record_add(struct reader *r, size_t len, enum what what, const void *data, size_t n)
{
	size_t at = r->out.len;

	record_begin(r, len, what);
	text_add(&r->out, data, n);
	record_end(r, at);
}

static int
dent_compare(const void *a, const void *b)
{
	const struct dirent64 *const *x = a, *const *y = b;

	return strcmp((*x)->d_name, (*y)->d_name);
}

/* The entries of fd into r->sorted; what a crash left aside goes, as in every listing of the store. */
static int
dents_read(struct reader *r, int fd)
{
	ssize_t n;

	r->dents_len = 0;
	r->nsorted = 0;
	do {
		if (r->dents_size - r->dents_len < DENTS_ROOM) {
			r->dents_size += r->dents_size + DENTS_ROOM;
			r->dents = xrealloc(r->dents, r->dents_size);
		}
		n = getdents64(fd, r->dents + r->dents_len, r->dents_size - r->dents_len);
		if (n < 0)
			return -errno;
		r->dents_len += (size_t)n;
	} while (n > 0);
	for (size_t at = 0; at < r->dents_len;) {
		struct dirent64 *e = (struct dirent64 *)(r->dents + at);
		struct stat st;

		at += e->d_reclen;
		if (store_is_aside(e->d_name)) {
			if (r->preload->sweep)
				unlinkat(fd, e->d_name, 0);
			continue;
		}
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (e->d_type == DT_UNKNOWN && fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			e->d_type = IFTODT(st.st_mode);
		if (r->nsorted == r->sorted_size) {
			r->sorted_size = MAX(r->sorted_size * 2, 64);
			r->sorted = xrealloc(r->sorted, r->sorted_size * sizeof(*r->sorted));
		}
		r->sorted[r->nsorted++] = e;
	}
	if (r->nsorted > 1)
		qsort(r->sorted, r->nsorted, sizeof(*r->sorted), dent_compare);
	return 0;
}

static void
read_file(struct reader *r, int dir, const char *name, size_t len)
{
	cleanup_fd int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, r->buf, sizeof(r->buf));

	if (n < 0 || (size_t)n == sizeof(r->buf))
		record_add(r, len, WHAT_ASK, "", 0);
	else
		record_add(r, len, WHAT_TEXT, r->buf, (size_t)n);
}

static void
read_link(struct reader *r, int dir, const char *name, size_t len)
{
	ssize_t n = readlinkat(dir, name, r->buf, sizeof(r->buf));

	if (n < 0 || (size_t)n == sizeof(r->buf))
		record_add(r, len, WHAT_ASK, "", 0);
	else
		record_add(r, len, WHAT_LINK, r->buf, (size_t)n);
}

static void read_dir(struct reader *r, int dir, const char *name, size_t len);

/* What a load does not ask for is not read. */
static void
read_entry(struct reader *r, int dir, const char *name, size_t len, unsigned type)
{
	struct spot spot;

	schema_spot(r->path, type == DT_DIR, &spot);
	if (type == DT_DIR && (spot.sort == SORT_COLLECTION || spot.sort == SORT_OBJECT))
		read_dir(r, dir, name, len);
	else if (type == DT_REG && (spot.sort == SORT_ATTRIBUTE || spot.sort == SORT_MEMBER))
		read_file(r, dir, name, len);
	else if (type == DT_LNK && spot.sort == SORT_ASSOCIATION)
		read_link(r, dir, name, len);
}

/* The directory r->path, of length len; name is what it is called in dir. */
static void
read_dir(struct reader *r, int dir, const char *name, size_t len)
{
	cleanup_fd int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	size_t begin = r->out.len, at, end;

	if (fd < 0 || dents_read(r, fd) < 0) {
		record_add(r, len, WHAT_ASK, "", 0);
		return;
	}
	record_begin(r, len, WHAT_LIST);
	at = r->out.len;
	for (uint32_t i = 0; i < r->nsorted; i++) {
		text_add(&r->out, &r->sorted[i]->d_type, 1);
		text_add(&r->out, r->sorted[i]->d_name, strlen(r->sorted[i]->d_name) + 1);
	}
	end = r->out.len;
	record_end(r, begin);
	while (at < end) {
		unsigned type = (unsigned char)r->out.p[at];
		size_t n = strlen(r->out.p + at + 1);

		if (len + 1 + n < sizeof(r->path)) {
			r->path[len] = '/';
			memcpy(r->path + len + 1, r->out.p + at + 1, n + 1);
			read_entry(r, fd, r->path + len + 1, len + 1 + n, type);
			r->path[len] = '\0';
		}
		at += n + 2;
	}
}

static void
task_read(struct reader *r, struct task *t)
{
	text_clear(&r->out);
	r->below = t->path_len;
	memcpy(r->path, t->path, t->path_len + 1);
	read_dir(r, t->dir, strchr(t->path, '/') + 1, t->path_len);
	t->size = r->out.len;
	t->block = xcalloc(1, t->size);
	memcpy(t->block, r->out.p, t->size);
}

/* ------------------------------------------------------------------ who reads what */

/* The first task that nobody has taken, or NULL. The lock is held. */
static struct task *
task_next(struct preload *p)
{
	while (p->next < p->ntasks && p->tasks[p->next].state != STATE_FREE)
		p->next++;
	return p->next < p->ntasks ? &p->tasks[p->next] : NULL;
}

/* The lock is held, and let go of while the task is read. */
static void
task_do(struct reader *r, struct task *t)
{
	struct preload *p = r->preload;

	t->state = STATE_TAKEN;
	pthread_mutex_unlock(&p->lock);
	task_read(r, t);
	pthread_mutex_lock(&p->lock);
	t->state = STATE_DONE;
	p->bytes += t->size;
}

static void *
read_ahead(void *arg)
{
	struct reader *r = arg;
	struct preload *p = r->preload;
	struct task *t;

	pthread_mutex_lock(&p->lock);
	while (!p->stop && (t = task_next(p)) != NULL) {
		if (p->bytes >= AHEAD_BYTES) {
			pthread_cond_wait(&p->room, &p->lock);
			continue;
		}
		task_do(r, t);
		pthread_cond_signal(&p->done);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* Until t is done: the load reads it itself, or another one while somebody reads it. */
static void
task_await(struct preload *p, struct task *t)
{
	pthread_mutex_lock(&p->lock);
	while (t->state != STATE_DONE) {
		struct task *mine = t;

		if (t->state != STATE_FREE)
			mine = p->bytes < AHEAD_BYTES ? task_next(p) : NULL;
		if (mine != NULL)
			task_do(&p->own, mine);
		else
			pthread_cond_wait(&p->done, &p->lock);
	}
	pthread_mutex_unlock(&p->lock);
}

/* The load asks for task i now, and no more for those before it. */
static void
pass_tasks(struct preload *p, uint32_t i)
{
	pthread_mutex_lock(&p->lock);
	for (; p->at < i; p->at++) {
		struct task *t = &p->tasks[p->at];

		/* One that is being read stays until the end. */
		if (t->state == STATE_TAKEN)
			continue;
		t->state = STATE_DONE;
		p->bytes -= t->size;
		free(t->block);
		t->block = NULL;
		t->size = 0;
	}
	pthread_cond_broadcast(&p->room);
	pthread_mutex_unlock(&p->lock);
}

/* ------------------------------------------------------------------ answering */

static int
task_compare(const void *a, const void *b)
{
	const struct task *x = a, *y = b;

	return strcmp(x->path, y->path);
}

static int
task_is_at(const void *key, const void *task)
{
	const struct str *path = key;
	const struct task *t = task;
	int diff = strncmp(path->p, t->path, path->len);

	return diff != 0 ? diff : t->path[path->len] == '\0' ? 0 : -1;
}

/* The task that path is in; NULL: none. The next one is likely. */
static struct task *
task_of(struct preload *p, const char *path)
{
	const char *slash = strchr(path, '/');
	struct str object;

	if (slash == NULL)
		return NULL;
	object = (struct str){path, (uint32_t)(strchrnul(slash + 1, '/') - path)};
	for (uint32_t i = p->at; i < p->ntasks && i < p->at + 2; i++)
		if (task_is_at(&object, &p->tasks[i]) == 0)
			return &p->tasks[i];
	return p->ntasks == 0 ? NULL : bsearch(&object, p->tasks, p->ntasks, sizeof(*p->tasks), task_is_at);
}

static const struct record *
record_at(const struct task *t, size_t at, const char *path, size_t len)
{
	const struct record *head = (const struct record *)(t->block + at);

	return head->path_len == len && memcmp(head + 1, path, len) == 0 ? head : NULL;
}

/* What was read at path, and its data; NULL: the store has to be asked. */
static const struct record *
record_find(struct preload *p, const char *path, enum what what, const char **data)
{
	struct task *t = task_of(p, path);
	const struct record *found = NULL;
	size_t len, passed = 0;

	if (t == NULL)
		return NULL;
	if (t - p->tasks > p->at)
		pass_tasks(p, (uint32_t)(t - p->tasks));
	task_await(p, t);
	path += path[t->path_len] == '/' ? t->path_len + 1 : t->path_len;
	len = strlen(path);
	/* A load asks in the order of the records, so the first look or the second finds it. */
	while (passed < t->size && (found = record_at(t, t->at, path, len)) == NULL) {
		size_t step = ((const struct record *)(t->block + t->at))->size;

		passed += step;
		t->at = t->at + step < t->size ? t->at + step : 0;
	}
	if (found == NULL || found->what != what)
		return NULL;
	*data = (const char *)(found + 1) + found->path_len + 1;
	return found;
}

static int
preload_list(
    struct source *x, const char *path, void (*each)(void *ctx, const char *name, unsigned type), void *ctx)
{
	struct preload *p = container_of(x, struct preload, source);
	const char *data;
	const struct record *r = record_find(p, path, WHAT_LIST, &data);

	if (r == NULL)
		return p->from->list(p->from, path, each, ctx);
	for (const char *at = data; at < data + r->len; at += strlen(at + 1) + 2)
		each(ctx, at + 1, (unsigned char)*at);
	return 0;
}

static ssize_t
preload_read(struct source *x, const char *path, char *buf, size_t size)
{
	struct preload *p = container_of(x, struct preload, source);
	const char *data;
	const struct record *r = record_find(p, path, WHAT_TEXT, &data);

	if (r == NULL || r->len > size)
		return p->from->read(p->from, path, buf, size);
	memcpy(buf, data, r->len);
	return r->len;
}

static ssize_t
preload_readlink(struct source *x, const char *path, char *buf, size_t size)
{
	struct preload *p = container_of(x, struct preload, source);
	const char *data;
	const struct record *r = record_find(p, path, WHAT_LINK, &data);

	if (r == NULL || r->len >= size)
		return p->from->readlink(p->from, path, buf, size);
	memcpy(buf, data, r->len);
	buf[r->len] = '\0';
	return r->len;
}

/* ------------------------------------------------------------------ up and down */

struct gather {
	struct preload *preload;
	const char *collection;
	int dir;
};

static void
add_task(void *ctx, const char *name, unsigned type)
{
	struct gather *g = ctx;
	struct preload *p = g->preload;
	struct task t = {.dir = g->dir};
	struct spot spot;

	if (type != DT_DIR)
		return;
	t.path = xasprintf("%s/%s", g->collection, name);
	t.path_len = strlen(t.path);
	schema_spot(t.path, true, &spot);
	if (spot.sort != SORT_OBJECT) {
		free(t.path);
		return;
	}
	if (p->ntasks == p->tasks_size) {
		p->tasks_size = MAX(p->tasks_size * 2, CHILDREN_MIN);
		p->tasks = xrealloc(p->tasks, p->tasks_size * sizeof(*p->tasks));
	}
	p->tasks[p->ntasks++] = t;
}

static void
add_collection(struct preload *p, struct store *s, unsigned i)
{
	struct gather g = {.preload = p, .collection = collections[i]};
	uint32_t had = p->ntasks;

	g.dir = p->dirs[i] = store_file(s, collections[i], O_RDONLY | O_DIRECTORY);
	if (g.dir < 0 || store_list(s, collections[i], add_task, &g) < 0 || p->ntasks - had < CHILDREN_MIN)
		while (p->ntasks > had)
			free(p->tasks[--p->ntasks].path);
}

static unsigned
count_threads(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) < 0 ? 1 : MIN((unsigned)CPU_COUNT(&set), THREADS_MAX);
}

/* Without a thread more the load still reads everything itself. */
static void
start_readers(struct preload *p, unsigned n)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	while (p->nreaders < n) {
		struct reader *r = xcalloc(1, sizeof(*r));

		r->preload = p;
		if (pthread_create(&r->thread, NULL, read_ahead, r) != 0) {
			free(r);
			break;
		}
		p->readers[p->nreaders++] = r;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

struct preload *
preload_new(struct store *s, struct source *from, unsigned threads)
{
	struct preload *p = xcalloc(1, sizeof(*p));

	p->source = (struct source){.list = preload_list, .read = preload_read, .readlink = preload_readlink};
	p->from = from;
	p->sweep = s->sweep;
	p->own.preload = p;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->done, NULL);
	pthread_cond_init(&p->room, NULL);
	if (threads == 0)
		threads = count_threads();
	for (unsigned i = 0; i < COUNT(collections); i++) {
		p->dirs[i] = -1;
		if (threads > 1)
			add_collection(p, s, i);
	}
	if (p->ntasks > 0) {
		qsort(p->tasks, p->ntasks, sizeof(*p->tasks), task_compare);
		start_readers(p, MIN(threads, THREADS_MAX) - 1);
	}
	return p;
}

struct source *
preload_source(struct preload *p)
{
	return p->ntasks > 0 ? &p->source : p->from;
}

uint32_t
preload_objects(const struct preload *p)
{
	return p->ntasks;
}

static void
reader_fini(struct reader *r)
{
	text_fini(&r->out);
	free(r->dents);
	free(r->sorted);
}

void
preload_free(struct preload *p)
{
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->room);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->nreaders; i++) {
		pthread_join(p->readers[i]->thread, NULL);
		reader_fini(p->readers[i]);
		free(p->readers[i]);
	}
	reader_fini(&p->own);
	for (uint32_t i = 0; i < p->ntasks; i++) {
		free(p->tasks[i].path);
		free(p->tasks[i].block);
	}
	free(p->tasks);
	for (unsigned i = 0; i < COUNT(collections); i++)
		if (p->dirs[i] >= 0)
			close(p->dirs[i]);
	pthread_cond_destroy(&p->room);
	pthread_cond_destroy(&p->done);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
