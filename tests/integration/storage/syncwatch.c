/* Preloaded into a child: writes down which file was written, synced or removed, in the order in which it happened.
 * Each line of $SYNCWATCH is "w PATH" (written), "s PATH" (made durable) or "m" (what the child itself marks). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static void note(char what, int fd)
{
	static int log_fd = -1;
	char name[64], target[4096], line[4200];
	ssize_t length;

	if (log_fd < 0 && getenv("SYNCWATCH"))
		log_fd = open(getenv("SYNCWATCH"), O_WRONLY | O_APPEND | O_CLOEXEC);
	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	length = readlink(name, target, sizeof target - 1);
	if (log_fd < 0 || length < 0)
		return;
	target[length] = 0;
	length = snprintf(line, sizeof line, "%c %s\n", what, target);
	ssize_t (*plain)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
	plain(log_fd, line, length);
}

#define WATCH(kind, type, name, parameters, arguments)                      \
	type name parameters                                                \
	{                                                                   \
		type (*plain) parameters = dlsym(RTLD_NEXT, #name);         \
		type result = plain arguments;                              \
		note(kind, fd);                                             \
		return result;                                              \
	}

WATCH('w', ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size))
WATCH('w', ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at))
WATCH('w', ssize_t, pwrite64, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at))
WATCH('w', int, ftruncate, (int fd, off_t size), (fd, size))
WATCH('w', int, ftruncate64, (int fd, off64_t size), (fd, size))
WATCH('s', int, fsync, (int fd), (fd))
WATCH('s', int, fdatasync, (int fd), (fd))
