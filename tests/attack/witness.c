/* A library that somebody would have loaded into our processes: whoever loads it is named in a file beside it, with
 * ".log" behind its own name. By its own place and not by the environment: that is what must not arrive. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

__attribute__((constructor)) static void tell(void)
{
	char path[4096], exe[512] = "", line[600];
	Dl_info here;
	int fd, size;

	if (!dladdr((void *)tell, &here) || snprintf(path, sizeof(path), "%s.log", here.dli_fname) >= (int)sizeof(path))
		return;
	(void)!readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	size = snprintf(line, sizeof(line), "%d %s\n", (int)getpid(), exe);
	if (fd >= 0)
		(void)!write(fd, line, (size_t)size);
	(void)close(fd);
}
