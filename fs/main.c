/* main.c - arguments, daemon, signals; brings the store, the engine and the mount up and down. */
#include "clock.h"
#include "config.h"
#include "dir.h"
#include "follow.h"
#include "heal.h"
#include "log.h"
#include "ops.h"
#include "preload.h"
#include "rights.h"
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#define REQUESTS_A_TURN 64 /* then signals and timers are looked at */
#define LAST_TURNS 4
#define FILES_MAX 1048576u /* what the kernel allows by default (fs.nr_open) */
#define RECLAIM_MS 100	   /* while tables wait for their last reader */
#define GIT_CHECK_MS 1000  /* is the git that holds the tree alive? */
#define RETRY_MS 2000	   /* of sockets that could not be had at start */

struct options {
	bool foreground, debug, check, read_only, show;
	const char *conf, *store, *mountpoint;
	struct fuse_args fuse;
};

struct program {
	struct options options;
	struct config config;
	struct tree tree;
	struct fuse_session *session;
	int signals;
	uint64_t git_check_ms, retry_ms;
};

static const char usage[] =
    "usage: latticefs [-f] [-c CONF] [-o OPTS] STORE MOUNTPOINT\n"
    "       latticefs -t [-c CONF] STORE\n"
    "\n"
    "Mounts the application network kept in the directory STORE at MOUNTPOINT, and serves it.\n"
    "\n"
    "  -f             stay in the foreground\n"
    "  -c CONF        settings of the daemon, an INI file\n"
    "  -o OPTS        mount options: ro, allow_other, show (list virtual files), conf=CONF\n"
    "  -t             check STORE without mounting it: exit 0, or 1 with the problems on stderr\n"
    "  -d             log every request of the kernel; implies -f\n"
    "  -h, --help     this text\n"
    "  --version      the version\n"
    "\n"
    "Leave with `fusermount3 -u MOUNTPOINT` or SIGTERM.\n";

static int PRINTF(2, 3) fail(int status, const char *fmt, ...)
{
	va_list ap;

	fputs("latticefs: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	if (status == 2)
		fputs("latticefs: see latticefs --help\n", stderr);
	return status;
}

/* ------------------------------------------------------------------ arguments */

/* Words of fstab and mount(8) that mean nothing to us, or that we always do. */
static bool
is_generic(const char *word)
{
	static const char *const words[] = {"rw", "defaults", "auto", "noauto", "user", "nouser", "users",
	    "owner", "group", "nofail", "_netdev", "exec", "noexec", "suid", "nosuid", "dev", "nodev",
	    "atime", "noatime", "diratime", "nodiratime", "relatime", "norelatime", "strictatime",
	    "nostrictatime", "lazytime", "nolazytime", "sync", "async", "dirsync", "silent", "loud",
	    "default_permissions", "nonempty"};

	for (size_t i = 0; i < COUNT(words); i++) {
		if (strcmp(word, words[i]) == 0)
			return true;
	}
	return strncmp(word, "x-", 2) == 0 || strncmp(word, "X-", 2) == 0 ||
	       strncmp(word, "comment=", 8) == 0 || strncmp(word, "subtype=", 8) == 0 ||
	       strncmp(word, "fsname=", 7) == 0;
}

static int
parse_mount_option(struct options *o, const char *word)
{
	if (word[0] == '\0' || is_generic(word))
		return 0;
	if (strcmp(word, "ro") == 0)
		o->read_only = true;
	else if (strcmp(word, "show") == 0)
		o->show = true;
	else if (strcmp(word, "debug") == 0)
		o->debug = true;
	else if (strncmp(word, "conf=", 5) == 0)
		o->conf = word + 5;
	else if (strcmp(word, "allow_other") != 0 && strcmp(word, "allow_root") != 0 &&
		 strcmp(word, "auto_unmount") != 0 && strncmp(word, "context=", 8) != 0 &&
		 strncmp(word, "max_read=", 9) != 0)
		return fail(2, "no mount option '%s'", word);
	else if (fuse_opt_add_arg(&o->fuse, "-o") < 0 || fuse_opt_add_arg(&o->fuse, word) < 0)
		return fail(1, "out of memory");
	return 0;
}

static int
parse_mount_options(struct options *o, char *words)
{
	char *save = NULL;
	int status = 0;

	for (char *w = strtok_r(words, ",", &save); w != NULL && status == 0; w = strtok_r(NULL, ",", &save))
		status = parse_mount_option(o, w);
	return status;
}

/* Exit status, or -1: go on. */
static int
parse_options(struct options *o, int argc, char **argv)
{
	static const struct option names[] = {
	    {"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'V'}, {0}};
	int c, status;

	while ((c = getopt_long(argc, argv, "fdtc:o:hVnsv", names, NULL)) != -1) {
		switch (c) {
		case 'f':
			o->foreground = true;
			break;
		case 'd':
			o->debug = true;
			break;
		case 't':
			o->check = true;
			break;
		case 'c':
			o->conf = optarg;
			break;
		case 'o':
			if ((status = parse_mount_options(o, optarg)) != 0)
				return status;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'V':
			puts("latticefs " LATTICEFS_VERSION);
			return 0;
		case 'n':
		case 's':
		case 'v':
			break; /* of mount(8), which passes them on */
		default:
			return fail(2, "that is not how it is called");
		}
	}
	if (argc - optind != (o->check ? 1 : 2))
		return fail(2, o->check ? "-t takes a STORE" : "it takes a STORE and a MOUNTPOINT");
	o->store = argv[optind];
	o->mountpoint = o->check ? NULL : argv[optind + 1];
	o->foreground = o->foreground || o->debug;
	return -1;
}

static char *
absolute(const char *path)
{
	cleanup_free char *here = path[0] == '/' ? NULL : getcwd(NULL, 0);

	return here == NULL ? xstrdup(path) : xasprintf("%s/%s", here, path);
}

/* ------------------------------------------------------------------ checking a store */

static int
load_config(struct program *p)
{
	struct diag d = {0};
	struct text line = {0};

	config_default(&p->config);
	if (p->options.conf == NULL || config_load(&p->config, p->options.conf, &d) == 0)
		return 0;
	diag_print(&d, &line);
	fprintf(stderr, "latticefs: %s", line.p);
	text_fini(&line);
	return -EINVAL;
}

static struct model *
make_model(struct program *p, const char *mountpoint)
{
	struct model_config c = {
	    .suffix = p->config.suffix,
	    .account = p->config.account,
	    .region = p->config.region,
	    .mountpoint = mountpoint,
	    .netns = p->tree.spaces == NULL ? NULL : spaces_source(p->tree.spaces),
	    .authority = p->tree.authority,
	    .quotas = p->config.quotas,
	};

	return model_new(&c, &p->tree.slots);
}

static int
check_store(struct program *p)
{
	struct tree *t = &p->tree;
	struct table *next = NULL;
	struct diags ds = {0};
	struct text out = {0};
	struct diag d = {0};
	struct preload *ahead;
	struct edit *e;
	const char *why;
	int rc = store_open(&t->store, p->options.store, true, false, &why);

	if (rc < 0)
		return fail(1, "%s %s: %s", p->options.store, why, strerror(-rc));
	store_source_init(&t->source, &t->store);
	t->model = make_model(p, NULL);
	e = edit_new(t->model, EDIT_BROKEN);
	ahead = preload_new(&t->store, &t->source.source, 0);
	edit_sync(e, "", preload_source(ahead), "", &d);
	preload_free(ahead);
	edit_try(e, NULL, &next, &ds);
	for (size_t i = 0; i < ds.n; i++)
		diag_print(&ds.all[i], &out);
	if (out.len > 0)
		fputs(out.p, stderr);
	rc = ds.n > 0;
	edit_abort(e);
	if (next != NULL)
		table_free(next);
	diags_fini(&ds);
	text_fini(&out);
	model_free(t->model);
	slots_fini(&t->slots);
	store_close(&t->store);
	return rc;
}

/* ------------------------------------------------------------------ up */

static void
raise_files(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) != 0)
		return;
	/* More than is allowed takes CAP_SYS_RESOURCE; it is a wish. */
	if (r.rlim_max < FILES_MAX) {
		struct rlimit more = {FILES_MAX, FILES_MAX};

		if (setrlimit(RLIMIT_NOFILE, &more) == 0)
			return;
	}
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
}

/* A daemon that died leaves a mount on which nothing works, not even mounting. */
static void
clear_dead_mount(const char *mountpoint)
{
	int status = 0;
	struct statfs st;
	pid_t pid;

	/* Unlike stat, this is always asked. ECONNABORTED: it died meanwhile. */
	while (status == 0 && statfs(mountpoint, &st) < 0 && (errno == ENOTCONN || errno == ECONNABORTED)) {
		if (umount2(mountpoint, MNT_DETACH) == 0)
			continue;
		if ((pid = fork()) == 0) {
			execlp("fusermount3", "fusermount3", "-u", "-z", "-q", mountpoint, (char *)NULL);
			_exit(127);
		}
		if (pid < 0 || waitpid(pid, &status, 0) < 0)
			return;
	}
}

static int
start_tree(struct program *p)
{
	struct tree *t = &p->tree;
	const char *why = NULL;
	int rc = store_open(&t->store, p->options.store, p->options.read_only, true, &why);

	if (rc < 0)
		return fail(1, "%s %s%s%s", p->options.store, why, rc == -EWOULDBLOCK ? "" : ": ",
		    rc == -EWOULDBLOCK ? "" : strerror(-rc));
	store_source_init(&t->source, &t->store);
	list_init(&t->removals);
	list_init(&t->withheld);
	list_init(&t->dirs);
	inodes_init(&t->inodes);
	events_init(&t->events, &follow_owner);
	t->started_ms = clock_ms();
	t->changed_unix_ms = clock_unix_ms();
	t->show = p->options.show;
	if ((rc = hold_open(t, &why)) < 0)
		return fail(1, "%s %s: %s", p->options.store, why, strerror(-rc));
	if (rights_keep() < 0)
		log_warn("the capabilities that are not needed cannot be given up");
	t->authority = authority_new(&t->store, NULL);
	if ((why = authority_open(t->authority)) != NULL)
		log_warn("no local CA: %s", why);
	t->spaces = spaces_new();
	t->model = make_model(p, p->options.mountpoint);
	p->config.engine.suffix = p->config.suffix;
	if ((rc = engine_start(&t->engine, &p->config.engine, &t->slots, &why)) < 0)
		return fail(1, "%s: %s", why, strerror(-rc));
	txn_load(t);
	return 0;
}

static int
mount_it(struct program *p)
{
	struct options *o = &p->options;
	struct fuse_args *a = &o->fuse;
	cleanup_free char *fsname = NULL;
	char *words = NULL;
	int fd;

	fsname = xasprintf("fsname=%s", o->store);
	if (fuse_opt_add_opt_escaped(&words, fsname) < 0)
		return fail(1, "out of memory");
	if (fuse_opt_add_arg(a, "-o") < 0 || fuse_opt_add_arg(a, words) < 0 ||
	    fuse_opt_add_arg(a, "-o") < 0 ||
	    fuse_opt_add_arg(a, "subtype=latticefs,default_permissions,nosuid,nodev,noexec") < 0 ||
	    (o->read_only && (fuse_opt_add_arg(a, "-o") < 0 || fuse_opt_add_arg(a, "ro") < 0)) ||
	    (o->debug && fuse_opt_add_arg(a, "-d") < 0))
		return fail(1, "out of memory");
	free(words);
	p->session = fuse_session_new(a, &ops_table, sizeof(ops_table), &p->tree);
	if (p->session == NULL)
		return fail(1, "the mount cannot be prepared");
	if (fuse_session_mount(p->session, o->mountpoint) != 0)
		return fail(1, "%s cannot be mounted at %s", o->store, o->mountpoint);
	watch_start(&p->tree, p->session);
	fd = fuse_session_fd(p->session);
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
		return fail(1, "/dev/fuse: %s", strerror(errno));
	return 0;
}

/* The workers must not take our signals, so this comes before the engine. */
static void
block_signals(struct program *p)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	p->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	signal(SIGPIPE, SIG_IGN);
}

/* ------------------------------------------------------------------ the loop */

static int
next_timeout(struct program *p)
{
	struct tree *t = &p->tree;
	int ms = settle_timeout(t), heal = heal_timeout(t);
	struct engine_stats s;

	engine_stats(t->engine, &s);
	if (s.tables > 1)
		ms = ms < 0 ? RECLAIM_MS : MIN(ms, RECLAIM_MS);
	if (heal >= 0)
		ms = ms < 0 ? heal : MIN(ms, heal);
	if (t->hold.git)
		ms = ms < 0 ? GIT_CHECK_MS : MIN(ms, GIT_CHECK_MS);
	if (!list_empty(&t->withheld) || engine_resolvers_wait(t->engine))
		ms = ms < 0 ? RETRY_MS : MIN(ms, RETRY_MS);
	return ms;
}

static void
run_timers(struct program *p)
{
	struct tree *t = &p->tree;
	uint64_t now = clock_ms();

	settle_run(t, false);
	engine_reclaim(t->engine);
	heal_run(t);
	if (t->hold.git && now - p->git_check_ms >= GIT_CHECK_MS) {
		p->git_check_ms = now;
		hold_git_check(t);
	}
	if (now - p->retry_ms < RETRY_MS)
		return;
	p->retry_ms = now;
	if (!list_empty(&t->withheld)) {
		t->uid = 0;
		txn_retry(t);
	}
	if (engine_resolvers_wait(t->engine))
		engine_retry_resolvers(t->engine);
}

/* Requests of the kernel, as many as there are. */
static void
serve_requests(struct program *p, struct fuse_buf *buf)
{
	for (unsigned i = 0; i < REQUESTS_A_TURN && !fuse_session_exited(p->session); i++) {
		int rc = fuse_session_receive_buf(p->session, buf);

		if (rc == -EAGAIN)
			return;
		if (rc == -EINTR)
			continue;
		if (rc <= 0) {
			fuse_session_exit(p->session);
			return;
		}
		fuse_session_process_buf(p->session, buf);
		settle_run(&p->tree, false);
	}
}

static void
serve(struct program *p)
{
	struct pollfd fds[] = {{.fd = fuse_session_fd(p->session), .events = POLLIN},
	    {.fd = p->signals, .events = POLLIN}, {.events = POLLIN}, {.events = POLLPRI},
	    {.fd = engine_events_fd(p->tree.engine), .events = POLLIN}};
	int watched[2];
	struct fuse_buf buf = {0};
	struct signalfd_siginfo info;

	spaces_watch(p->tree.spaces, watched);
	fds[2].fd = watched[0];
	fds[3].fd = watched[1];
	while (!fuse_session_exited(p->session)) {
		if (poll(fds, COUNT(fds), next_timeout(p)) < 0 && errno != EINTR) {
			log_error("poll: %s", strerror(errno));
			break;
		}
		if (fds[1].revents != 0 && read(p->signals, &info, sizeof(info)) == sizeof(info) &&
		    info.ssi_signo != SIGHUP)
			break;
		if (fds[0].revents != 0)
			serve_requests(p, &buf);
		if (fds[2].revents != 0 || fds[3].revents != 0)
			heal_look(&p->tree, false);
		if (fds[4].revents != 0)
			engine_events(p->tree.engine, events_tell, &p->tree.events);
		run_timers(p);
	}
	/* What was closed before the end, and what is on its way to us: a bounded number of turns. */
	for (unsigned i = 0; i < LAST_TURNS; i++)
		serve_requests(p, &buf);
	free(buf.mem);
}

/* ------------------------------------------------------------------ down */

static void
stop_tree(struct program *p)
{
	struct tree *t = &p->tree;

	if (t->engine != NULL && t->model != NULL)
		settle_run(t, true);
	t->store.moved = NULL;
	events_end(&t->events);
	if (p->session != NULL) {
		fuse_session_unmount(p->session);
		fuse_session_destroy(p->session);
	}
	if (t->engine != NULL)
		engine_stop(t->engine);
	handle_close_all(t);
	dir_close_all(t);
	hold_close(t);
	settle_fini(t);
	txn_fini(t);
	errors_fini(&t->errors);
	inodes_fini(&t->inodes);
	model_free(t->model);
	authority_free(t->authority);
	spaces_free(t->spaces);
	slots_fini(&t->slots);
	store_close(&t->store);
}

/* In the background: the caller waits until the mount stands and the store serves. ready: tells it. */
static int
detach(int *ready)
{
	int ends[2], status = 0;
	char ok = 1;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		return fail(1, "cannot go into the background: %s", strerror(errno));
	if (pid == 0) {
		close(ends[0]);
		*ready = ends[1];
		setsid();
		return -1;
	}
	close(ends[1]);
	if (read(ends[0], &ok, 1) == 1)
		return 0;
	waitpid(pid, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : 1;
}

static void
let_go(int ready)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	log_init(LOG_LEVEL_INFO, true);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		close(null);
	}
	if (write(ready, "", 1) < 0)
		log_warn("nobody waits for the mount: %s", strerror(errno));
	close(ready);
}

static int
run(struct program *p)
{
	struct options *o = &p->options;
	int ready = -1, status;

	if (!o->foreground && (status = detach(&ready)) >= 0)
		return status;
	/* Nothing that is ours may keep the directory of the caller busy. */
	if (chdir("/") < 0)
		return fail(1, "/: %s", strerror(errno));
	block_signals(p);
	raise_files();
	log_init(o->debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, false);
	status = start_tree(p);
	if (status == 0)
		status = mount_it(p);
	if (status != 0)
		return status;
	if (ready >= 0)
		let_go(ready);
	serve(p);
	stop_tree(p);
	return 0;
}

int
main(int argc, char **argv)
{
	static struct program p;
	struct options *o = &p.options;
	cleanup_free char *store = NULL, *mountpoint = NULL, *at = NULL;
	int status;

	o->fuse = (struct fuse_args)FUSE_ARGS_INIT(0, NULL);
	if (fuse_opt_add_arg(&o->fuse, "latticefs") < 0)
		return fail(1, "out of memory");
	if ((status = parse_options(o, argc, argv)) < 0)
		status = load_config(&p) < 0 ? 1 : -1;
	if (status < 0) {
		store = absolute(o->store);
		o->store = store;
	}
	if (status < 0 && o->check) {
		status = check_store(&p);
	} else if (status < 0) {
		at = absolute(o->mountpoint);
		clear_dead_mount(at);
		mountpoint = realpath(at, NULL);
		if (mountpoint == NULL)
			status = fail(1, "%s: %s", o->mountpoint, strerror(errno));
		o->mountpoint = mountpoint;
		status = status < 0 ? run(&p) : status;
	}
	config_fini(&p.config);
	fuse_opt_free_args(&o->fuse);
	return status;
}
