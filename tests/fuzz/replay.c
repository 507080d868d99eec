/* Puts files through a fuzz target, with whatever compiler: `fuzz_<target>_replay FILE|FOLDER...`. Ends with the number
 * of files and of what was taken, 1 when a file cannot be read; a broken promise ends it by a signal, after the name of
 * the file. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"

#define FILE_BYTES_MAX (16 * 1024 * 1024)

/* Only some targets have it. */
#pragma weak LLVMFuzzerInitialize

static size_t count;

static bool file_replay(const char *path)
{
	KT_OWN(kt_free_mem) char *read = NULL;
	KT_OWN(kt_free_mem) uint8_t *bytes = NULL;
	struct kt_error err;
	size_t size = 0;

	if (kt_fs_read_all(AT_FDCWD, path, FILE_BYTES_MAX, &read, &size, &err) < 0) {
		fprintf(stderr, "%s: %s\n", path, err.text);
		return false;
	}
	/* exactly as much as there is: the NUL that the reader puts behind would hide a step too far */
	bytes = malloc(size ? size : 1);
	if (!bytes)
		return false;
	memcpy(bytes, read, size);
	fprintf(stderr, "%s\n", path);
	(void)LLVMFuzzerTestOneInput(bytes, size);
	count++;
	return true;
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* A folder's files, not what lies deeper; by name, so that two runs do the same. */
static bool folder_replay(const char *path)
{
	struct dirent **entries = NULL;
	int found = scandir(path, &entries, is_visible, alphasort);
	bool ok = found >= 0;

	for (int i = 0; i < found; i++) {
		char file[4096];

		ok = snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name) < (int)sizeof(file) &&
		     file_replay(file) && ok;
		free(entries[i]);
	}
	free(entries);
	if (found < 0)
		perror(path);
	return ok;
}

int main(int argc, char *argv[])
{
	bool ok = argc > 1;

	if (!ok)
		fprintf(stderr, "usage: %s FILE|FOLDER...\n", argv[0]);
	if (LLVMFuzzerInitialize)
		(void)LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++) {
		struct stat info;
		bool is_folder = stat(argv[i], &info) == 0 && S_ISDIR(info.st_mode);

		ok = (is_folder ? folder_replay(argv[i]) : file_replay(argv[i])) && ok;
	}
	printf("%zu files, %zu taken\n", count, fuzz_taken);
	return ok && count > 0 ? 0 : 1;
}
