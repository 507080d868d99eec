/* Names that programs are linked against, beside the two files that hold all of it. Whoever builds the runtime makes
 * them by hand, and forgets one. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "sources.h"

static const struct {
	const char *beside; /* is made where this is */
	const char *name;
	const char *target;  /* of a link */
	const char *content; /* of a file */
} rows[] = {
	{"runtime/libruntime.a", "runtime/libc.a", "libruntime.a", NULL},
	{"runtime/libc.so", "runtime/libc.musl-x86_64.so.1", "libc.so", NULL},
	{"runtime/libc.so", "runtime/ld-linux-x86-64.so.2", "libc.so", NULL},
	/* all of it is in libc; an empty archive (ar(5)), and to ld an empty text is a script that names nothing */
	{"runtime/libruntime.a", "runtime/libm.a", NULL, "!<arch>\n"},
	{"runtime/libruntime.a", "runtime/libpthread.a", NULL, "!<arch>\n"},
	{"runtime/libc.so", "runtime/libpthread.so", NULL, ""},
};

int kt_links_make(struct kt_place *place, struct kt_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct stat info;
		KT_OWN(kt_close_fd) int fd = -1;

		if (!kt_fs_exists(place->dir, rows[i].beside) ||
		    fstatat(place->dir, rows[i].name, &info, AT_SYMLINK_NOFOLLOW) == 0)
			continue;
		if (rows[i].target) {
			r = kt_place_link(place, rows[i].name, rows[i].target, err);
			continue;
		}
		fd = kt_place_file(place, rows[i].name, false, err);
		r = fd < 0 ? fd :
			     kt_place_write(place, fd, rows[i].name, rows[i].content, strlen(rows[i].content), err);
	}
	return r;
}
