#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/bundle/treecheck.h"

#define READ_BYTES (256 * 1024) /* stays in the second-level cache between read and digest */

int kt_reader_init(struct kt_reader *ret_reader)
{
	*ret_reader = (struct kt_reader){.digest = kt_digest_new(), .buffer = malloc(READ_BYTES)};
	return ret_reader->digest && ret_reader->buffer ? 0 : -ENOMEM;
}

void kt_reader_done(struct kt_reader *reader)
{
	kt_digest_free(&reader->digest);
	kt_free_mem(&reader->buffer);
}

int kt_reader_read(struct kt_reader *reader, int parent, const char *name, struct kt_reading *ret_reading)
{
	struct kt_reading reading = {.size_bytes = 0};
	KT_OWN(kt_close_fd) int fd = kt_fs_open_file(parent, name, &reading.info);
	struct stat after;
	ssize_t got = 0;

	if (fd < 0)
		return fd;
	do {
		if (got > 0)
			kt_digest_add(reader->digest, reader->buffer, (size_t)got);
		if (got > 0)
			reading.size_bytes += (uint64_t)got;
		got = read(fd, reader->buffer, READ_BYTES);
		/* one that grows under us is another than was looked at, and may have no end */
	} while ((got > 0 && reading.size_bytes <= (uint64_t)reading.info.st_size) || (got < 0 && errno == EINTR));
	if (got == 0) {
		int has = kt_fs_has_capabilities(fd);

		reading.has_capabilities = has > 0;
		got = has < 0 ? -1 : 0; /* and errno says why */
	}
	if (got < 0 || fstat(fd, &after) < 0) {
		int code = errno;

		kt_digest_take(reader->digest, reading.sha256); /* empties it */
		return -code;
	}
	kt_digest_take(reader->digest, reading.sha256);
	reading.is_steady = kt_stamp(&reading.info) == kt_stamp(&after);
	*ret_reading = reading;
	return 0;
}
