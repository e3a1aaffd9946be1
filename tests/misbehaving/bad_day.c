/* Preloaded into ownerd, so that the N-th thing that it does goes wrong. For tests only (tests/rigs/bad_days.py).
 *
 * Counted are calls that change what others see, in the order in which they are made:
 *   w  bytes written to, or cut off, a file below $BAD_DAY_BELOW     s  fsync and fdatasync there
 *   n  a file opened for writing, a directory made, a name changed    u  a name removed
 *   b  a message sent on a socket                                     p  bytes written to a pipe
 *   o  a file below $BAD_DAY_READ opened
 * $BAD_DAY names a file of `struct page`, which both sides map: what goes wrong is chosen while the daemon runs.
 * The children of the daemon have a good day: what was preloaded is taken out of the environment.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { NOTHING = 0, KILL = -1, SHORT = -2, HALF = -3 };

struct page {
	int32_t what;     /* NOTHING, KILL, HALF (is written), SHORT (half, and then no space is left), or an errno */
	int32_t at;       /* which counted call, from 1 */
	int32_t lasting;  /* and all that follow */
	int32_t seen, hit;
	char kinds[12];   /* which calls are noted; ends with NUL */
	char only[64];    /* which of these are counted, by their line in the log; all where it is empty */
	int64_t shift;    /* seconds that the wall clock is ahead */
	uint32_t length;
	char log[1 << 16]; /* one line for each counted call */
};

static struct page *page;
static char below[512], reading[512];

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("BAD_DAY"), *data = getenv("BAD_DAY_BELOW"), *config = getenv("BAD_DAY_READ");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

	if (fd < 0)
		return;
	snprintf(below, sizeof below, "%s", data ? data : "?");
	snprintf(reading, sizeof reading, "%s", config ? config : "?");
	void *mapped = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	page = mapped == MAP_FAILED ? NULL : mapped;
	unsetenv("LD_PRELOAD");
	unsetenv("BAD_DAY");
}

static int is_below(const char *path, const char *directory)
{
	size_t length = strlen(directory);

	return !strncmp(path, directory, length) && (path[length] == '/' || !path[length]);
}

static void note(char kind, const char *name)
{
	char line[128];
	int length = snprintf(line, sizeof line, "%c %s\n", kind, name);

	if (length >= (int)sizeof line)
		length = sizeof line - 1;
	uint32_t at = __atomic_fetch_add(&page->length, length, __ATOMIC_SEQ_CST);
	if (at + length < sizeof page->log)
		memcpy(page->log + at, line, length);
}

/* Whether this call goes wrong; with KILL nobody is told. */
static int goes_wrong(char kind, const char *name)
{
	if (!page || !page->at || !strchr(page->kinds, kind))
		return NOTHING;
	note(kind, name);
	if (page->only[0] && (page->only[0] != kind || strcmp(page->only + 2, name)))
		return NOTHING;
	int32_t seen = __atomic_add_fetch(&page->seen, 1, __ATOMIC_SEQ_CST);
	if (seen != page->at && !(page->lasting && seen > page->at))
		return NOTHING;
	page->hit++;
	if (page->what == KILL)
		raise(SIGKILL);
	return page->what;
}

static const char *base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* A message, and which, as far as a name in it tells. A token's are written, and have none. */

static const char *const MEMBERS[] = { "GetConnectionCredentials", "Progress", "Response" };

static void sending(int fd, const void *data, size_t size)
{
	struct sockaddr_un peer;
	socklen_t length = sizeof peer;
	char name[128];

	if (!page || !page->at || size < 2)
		return; /* one byte: a loop that wakes itself */
	memset(&peer, 0, sizeof peer);
	if (getpeername(fd, (struct sockaddr *)&peer, &length) || peer.sun_family != AF_UNIX || !peer.sun_path[0])
		return;
	snprintf(name, sizeof name, "%.60s", base(peer.sun_path));
	for (size_t i = 0; i < sizeof MEMBERS / sizeof *MEMBERS; i++)
		if (memmem(data, size, MEMBERS[i], strlen(MEMBERS[i]))) {
			snprintf(name, sizeof name, "%.60s %s", base(peer.sun_path), MEMBERS[i]);
			break;
		}
	goes_wrong('b', name);
}

static int descriptor(char kind, int fd)
{
	char link[64], path[4096];

	if (!page || !page->at)
		return NOTHING;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(link, path, sizeof path - 1);
	if (length < 0)
		return NOTHING;
	path[length] = 0;
	if (is_below(path, below))
		return goes_wrong(kind, base(path));
	if (kind == 'w' && fd > 2 && !strncmp(path, "pipe:", 5))
		return goes_wrong('p', "pipe");
	if (kind == 'w' && fd > 2 && !strncmp(path, "socket:", 7))
		sending(fd, "..", 2);
	return NOTHING;
}

static int path_call(char kind, const char *path)
{
	return page && page->at && is_below(path, below) ? goes_wrong(kind, base(path)) : NOTHING;
}

#define PLAIN(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAIL_WITH(code, value)            \
	do {                              \
		int wrong_ = (code);      \
		if (wrong_) {             \
			errno = wrong_ < 0 ? ENOSPC : wrong_; \
			return value;     \
		}                         \
	} while (0)

/* Half of it, and with SHORT the disk is full from then on. */
static int half(int wrong, size_t *size)
{
	if (wrong != SHORT && wrong != HALF)
		return 0;
	if (wrong == SHORT) {
		page->what = ENOSPC;
		page->lasting = 1;
	}
	*size /= 2;
	return *size > 0;
}

#define WRITER(name, parameters, ...)                                          \
	ssize_t name parameters                                                \
	{                                                                      \
		int wrong = descriptor('w', fd);                               \
		if (!half(wrong, &size))                                       \
			FAIL_WITH(wrong, -1);                                  \
		return PLAIN(name)(__VA_ARGS__);                               \
	}

WRITER(write, (int fd, const void *data, size_t size), fd, data, size)
WRITER(pwrite, (int fd, const void *data, size_t size, off_t at), fd, data, size, at)
WRITER(pwrite64, (int fd, const void *data, size_t size, off64_t at), fd, data, size, at)

#define CHECKED(kind, name, parameters, ...)                                   \
	int name parameters                                                    \
	{                                                                      \
		FAIL_WITH(descriptor(kind, fd), -1);                           \
		return PLAIN(name)(__VA_ARGS__);                               \
	}

CHECKED('w', ftruncate, (int fd, off_t size), fd, size)
CHECKED('w', ftruncate64, (int fd, off64_t size), fd, size)
CHECKED('s', fsync, (int fd), fd)
CHECKED('s', fdatasync, (int fd), fd)

static int opened(const char *path, int flags)
{
	if ((flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT))
		return path_call('n', path);
	if (page && page->at && is_below(path, reading))
		return goes_wrong('o', base(path));
	return NOTHING;
}

#define OPENER(name, parameters, ...)                                          \
	int name parameters                                                    \
	{                                                                      \
		va_list more;                                                  \
		va_start(more, flags);                                         \
		mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
		va_end(more);                                                  \
		FAIL_WITH(opened(path, flags), -1);                            \
		return PLAIN(name)(__VA_ARGS__);                               \
	}

OPENER(open, (const char *path, int flags, ...), path, flags, mode)
OPENER(open64, (const char *path, int flags, ...), path, flags, mode)
OPENER(openat, (int at, const char *path, int flags, ...), at, path, flags, mode)
OPENER(openat64, (int at, const char *path, int flags, ...), at, path, flags, mode)

int mkdir(const char *path, mode_t mode)
{
	FAIL_WITH(path_call('n', path), -1);
	return PLAIN(mkdir)(path, mode);
}

int rename(const char *from, const char *to)
{
	FAIL_WITH(path_call('n', to), -1);
	return PLAIN(rename)(from, to);
}

int unlink(const char *path)
{
	FAIL_WITH(path_call('u', path), -1);
	return PLAIN(unlink)(path);
}

/* -- messages -- */

ssize_t send(int fd, const void *data, size_t size, int flags)
{
	sending(fd, data, size);
	return PLAIN(send)(fd, data, size, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	if (message->msg_iovlen)
		sending(fd, message->msg_iov[0].iov_base, message->msg_iov[0].iov_len);
	return PLAIN(sendmsg)(fd, message, flags);
}

/* -- the clock -- */

int clock_gettime(clockid_t clock, struct timespec *now)
{
	int result = PLAIN(clock_gettime)(clock, now);

	if (!result && page && clock == CLOCK_REALTIME)
		now->tv_sec += page->shift;
	return result;
}

time_t time(time_t *now)
{
	time_t result = PLAIN(time)(NULL) + (page ? page->shift : 0);

	if (now)
		*now = result;
	return result;
}

int gettimeofday(struct timeval *now, void *zone)
{
	int result = PLAIN(gettimeofday)(now, zone);

	if (!result && page)
		now->tv_sec += page->shift;
	return result;
}
