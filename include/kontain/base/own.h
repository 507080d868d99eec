/* Ownership on the line of birth: KT_OWN(kt_close_fd) int fd = open(...);
 * Every cleanup keeps errno and is safe on NULL and -1. */
#ifndef KONTAIN_OWN_H
#define KONTAIN_OWN_H

#include <dirent.h>
#include <stdio.h>

#define KT_OWN(function) __attribute__((cleanup(function)))

void kt_close_fd(int *fd);
void kt_close_file(FILE **file);
void kt_close_dir(DIR **dir);
void kt_free_mem(void *pointer_to_pointer);

/* Hands the descriptor over to the caller; the variable is -1 afterwards. */
static inline int kt_take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* Hands a pointer over; the variable is NULL afterwards. */
#define kt_take_ptr(pointer)                     \
	({                                       \
		__auto_type taken_ = *(pointer); \
		*(pointer) = NULL;               \
		taken_;                          \
	})

#endif
