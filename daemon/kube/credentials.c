/* A token never appears in a message: errors name the file only. */
#include "credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kontain/base/fs.h"
#include "kontain/base/own.h"

#define PREFIX "Authorization: Bearer "

void kt_credentials_forget(char **header)
{
	if (*header)
		explicit_bzero(*header, strlen(*header));
	free(*header);
	*header = NULL;
}

int kt_credentials_header(const char *folder, char **ret_header, struct kt_error *err)
{
	KT_OWN(kt_credentials_forget) char *token = NULL;
	char path[512];
	size_t size = 0;
	char *header;
	int r;

	snprintf(path, sizeof(path), "%s/token", folder);
	r = kt_fs_read_all(AT_FDCWD, path, KT_TOKEN_BYTES_MAX, &token, &size, err);
	if (r < 0)
		return r;
	while (size > 0 && (token[size - 1] == '\n' || token[size - 1] == '\r' || token[size - 1] == ' '))
		token[--size] = '\0';
	if (size == 0)
		return kt_fail(err, EBADMSG, KT_REASON_INTERNAL, "%s is empty", path);
	/* A byte outside of RFC 6750's set could end the header and begin another. */
	for (size_t i = 0; i < size; i++)
		if (token[i] <= 0x20 || token[i] >= 0x7f)
			return kt_fail(err, EBADMSG, KT_REASON_INTERNAL, "%s is not a bearer token", path);
	header = malloc(sizeof(PREFIX) + size);
	if (!header)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "no memory for the token");
	memcpy(header, PREFIX, sizeof(PREFIX) - 1);
	memcpy(header + sizeof(PREFIX) - 1, token, size + 1);
	*ret_header = header;
	return 0;
}
