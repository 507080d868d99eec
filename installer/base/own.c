/* Cleanups for KT_OWN. They run on the way out, often between a failing call and the reader of errno: so they keep
 * it. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "kontain/base/own.h"

void kt_close_fd(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
	errno = saved;
}

void kt_close_file(FILE **file)
{
	int saved = errno;

	if (*file)
		(void)fclose(*file);
	*file = NULL;
	errno = saved;
}

void kt_close_dir(DIR **dir)
{
	int saved = errno;

	if (*dir)
		(void)closedir(*dir);
	*dir = NULL;
	errno = saved;
}

void kt_free_mem(void *pointer_to_pointer)
{
	void **pointer = pointer_to_pointer;
	int saved = errno;

	free(*pointer);
	*pointer = NULL;
	errno = saved;
}
