/* A line for stderr must never end up in a file of ours that got the number of a closed descriptor; and what a parent
 * left open, a folder of the host perhaps, is neither ours to keep nor our children's to find. */
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kontain/base/descriptors.h"
#include "kontain/base/error.h"

/* Linux 5.8 has openat2 but not yet close_range. */
void kt_descriptors_close(unsigned first)
{
	struct rlimit limit;

	if (syscall(SYS_close_range, first, ~0U, 0) == 0)
		return;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
		limit.rlim_cur = 1 << 20;
	for (unsigned fd = first; fd < limit.rlim_cur; fd++)
		(void)close((int)fd);
}

int kt_descriptors_settle(void)
{
	/* the lowest free number is what open gives, so in this order each gets its own */
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR | O_NOCTTY) < 0)
			return kt_negative_errno();
	kt_descriptors_close(STDERR_FILENO + 1);
	return 0;
}
