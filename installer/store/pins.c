/* What prune leaves although nobody uses it now: a payload may name /opt/kontain/versions/runtime/<v>/libc.so as its
 * interpreter, and be started once a week. Nobody but who installs such a payload knows, so it is said by hand and
 * written down in the root, one name a line, where every installer on the node finds it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "layout.h"

/* "VERSION" or "COMPONENT/VERSION" -> the place in the root. false: neither. */
static bool place_of(const char *name, char ret_place[KT_PLACE_MAX])
{
	const char *slash = strchr(name, '/');

	if (!kt_version_is_valid(slash ? slash + 1 : name))
		return false;
	if (!slash) {
		kt_place_set(name, ret_place);
		return true;
	}
	for (size_t i = 0; kt_component_names[i]; i++) {
		const char *component = kt_component_names[i];

		if (strlen(component) == (size_t)(slash - name) && strncmp(name, component, strlen(component)) == 0) {
			kt_place_version(component, slash + 1, ret_place);
			return true;
		}
	}
	return false;
}

static int line_take(const struct kt_store *store, const char *line, struct kt_pins *pins, struct kt_error *err)
{
	char place[KT_PLACE_MAX];

	if (!*line)
		return 0;
	if (!place_of(line, place))
		return kt_fail(err, EINVAL, KT_REASON_STORE_DAMAGED,
			       "%s/" KT_STORE_PINNED
			       ": \"%.100s\" is neither VERSION nor COMPONENT/VERSION: correct or remove the line",
			       store->root, line);
	if (pins->count == KT_PINS_MAX)
		return kt_fail(err, E2BIG, KT_REASON_STORE_DAMAGED,
			       "%s/" KT_STORE_PINNED " has more than %d lines: remove some", store->root, KT_PINS_MAX);
	(void)snprintf(pins->names[pins->count++], KT_PIN_MAX, "%s", line);
	return 0;
}

/* Nothing that we write: what it is, and that it is to go. Else the disk's own word. */
static int read_fail(const struct kt_store *store, int code, struct kt_error *err)
{
	struct stat info = {.st_mode = 0};
	const char *what;

	if (fstatat(store->dir, KT_STORE_PINNED, &info, AT_SYMLINK_NOFOLLOW) < 0 ||
	    (S_ISREG(info.st_mode) && code != EFBIG))
		return kt_fail_errno(err, code, KT_REASON_IO_ERROR, "cannot read %s/" KT_STORE_PINNED, store->root);
	what = S_ISREG(info.st_mode) ? "too long" :
	       S_ISDIR(info.st_mode) ? "a folder" :
	       S_ISLNK(info.st_mode) ? "a link" :
				       "not a regular file";
	return kt_fail(err, code, KT_REASON_STORE_DAMAGED,
		       "%s/" KT_STORE_PINNED " is %s, and is to be the file that pin writes, a pinned version a line: "
		       "remove it, then pin what is to stay",
		       store->root, what);
}

int kt_store_read_pins(const struct kt_store *store, struct kt_pins *ret_pins, struct kt_error *err)
{
	KT_OWN(kt_free_mem) char *text = NULL;
	struct kt_pins pins = {.count = 0};
	struct kt_error cause = {.code = 0};
	size_t size = 0;
	int r = kt_fs_read_all(store->dir, KT_STORE_PINNED, KT_PINS_MAX * KT_PIN_MAX, &text, &size, &cause);

	if (r < 0 && r != -ENOENT)
		return read_fail(store, -r, err);
	for (char *line = text; line;) {
		char *end = strchr(line, '\n');

		if (end)
			*end++ = '\0';
		r = line_take(store, line, &pins, err);
		if (r < 0)
			return r;
		line = end;
	}
	*ret_pins = pins;
	return 0;
}

bool kt_pins_have(const struct kt_pins *pins, const char *place)
{
	char pinned[KT_PLACE_MAX];

	for (size_t i = 0; i < pins->count; i++)
		if (place_of(pins->names[i], pinned) && strcmp(pinned, place) == 0)
			return true;
	return false;
}

static int pins_write(const struct kt_store *store, const struct kt_pins *pins, struct kt_error *err)
{
	KT_OWN(kt_free_mem) char *text = NULL;
	KT_OWN(kt_close_file) FILE *stream = NULL;
	size_t size = 0;

	if (pins->count == 0) {
		if (unlinkat(store->dir, KT_STORE_PINNED, 0) < 0 && errno != ENOENT)
			return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot remove %s/" KT_STORE_PINNED,
					     store->root);
		return 0;
	}
	stream = open_memstream(&text, &size);
	if (!stream)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
	for (size_t i = 0; i < pins->count; i++)
		(void)fprintf(stream, "%s\n", pins->names[i]);
	if (fflush(stream) != 0)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
	return kt_fs_replace_file(store->dir, KT_STORE_PINNED, text, size, 0644, err);
}

static size_t find(const struct kt_pins *pins, const char *name)
{
	size_t i = 0;

	while (i < pins->count && strcmp(pins->names[i], name) != 0)
		i++;
	return i;
}

int kt_store_pin(struct kt_store *store, const char *name, bool is_pinned, struct kt_error *err)
{
	struct kt_pins pins;
	char place[KT_PLACE_MAX];
	struct stat info;
	size_t at;

	if (store->lock < 0)
		return kt_fail(err, EINVAL, KT_REASON_INTERNAL, "%s is not locked", store->root);
	if (!place_of(name, place))
		return kt_fail(err, EINVAL, KT_REASON_NO_VERSION, "\"%.100s\" is neither VERSION nor COMPONENT/VERSION",
			       name);

	int r = kt_store_read_pins(store, &pins, err);

	if (r < 0)
		return r;
	at = find(&pins, name);
	if ((at < pins.count) == is_pinned)
		return 0;
	if (!is_pinned) {
		memcpy(pins.names[at], pins.names[--pins.count], KT_PIN_MAX);
		return pins_write(store, &pins, err);
	}
	if (fstatat(store->dir, place, &info, AT_SYMLINK_NOFOLLOW) < 0)
		return kt_fail_errno(err, errno, KT_REASON_NO_VERSION, "there is no %s in %s", place, store->root);
	r = line_take(store, name, &pins, err);
	return r < 0 ? r : pins_write(store, &pins, err);
}
