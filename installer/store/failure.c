/* .failed-<digest of the manifest>: what a bundle died of here, so that a bad version is not landed again and again.
 *
 *   kontain-failure 2
 *   <reason>
 *   <kernel release>
 *   <boot id>
 *   <version of the installer>
 *   <count> <first> <last>      failures in a row, seconds of CLOCK_BOOTTIME, which no jump of the wall clock moves
 *   <text>
 *
 * Believed only under the same kernel, boot and installer: another may do better. What the bytes of a bundle show is
 * believed at once; a proof that failed may have met what passes though its reason does not say so, so that is believed
 * when it failed again and again over minutes. What is no fault of the bundle is never written. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "kontain/base/clock.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "layout.h"

#define FAILURE_HEAD  "kontain-failure 2\n"
#define FAILURE_BYTES 4096

#define BELIEVED_COUNT 3
#define BELIEVED_S     120

/* Greatest number of a note: more seconds than any machine runs. */
#define NUMBER_DIGITS 12

struct note {
	enum kt_reason reason;
	uint64_t count, first_s, last_s;
	char text[sizeof(((struct kt_error *)0)->text)];
};

/* Under which a note is believed. */
struct here {
	struct utsname kernel;
	char boot_id[37];
};

static bool here_read(struct here *here)
{
	return uname(&here->kernel) == 0 && kt_fs_boot_id(here->boot_id) == 0;
}

static bool name_set(const char *manifest_sha256, char ret_name[128])
{
	if (strlen(manifest_sha256) != KT_DIGEST_HEX - 1 ||
	    strspn(manifest_sha256, "0123456789abcdef") != KT_DIGEST_HEX - 1)
		return false;
	(void)snprintf(ret_name, 128, KT_STORE_FAILED "%s", manifest_sha256);
	return true;
}

/* The next line of *rest, cut; NULL at the end. */
static char *line_next(char **rest)
{
	char *line = *rest, *end = line ? strchr(line, '\n') : NULL;

	if (!end)
		return NULL;
	*end = '\0';
	*rest = end + 1;
	return line;
}

static bool line_is(char **rest, const char *value)
{
	const char *line = line_next(rest);

	return line && strcmp(line, value) == 0;
}

/* Decimal digits and the character behind them. */
static bool number_take(char **text, char behind, uint64_t *ret_number)
{
	uint64_t number = 0;
	size_t digits = strspn(*text, "0123456789");

	if (digits == 0 || digits > NUMBER_DIGITS || (*text)[digits] != behind)
		return false;
	for (size_t i = 0; i < digits; i++)
		number = number * 10 + (uint64_t)((*text)[i] - '0');
	*text += digits + (behind != '\0');
	*ret_number = number;
	return true;
}

static bool figures_take(char *line, struct note *note)
{
	return line && number_take(&line, ' ', &note->count) && number_take(&line, ' ', &note->first_s) &&
	       number_take(&line, '\0', &note->last_s) && note->count > 0 && note->first_s <= note->last_s;
}

/* The note of this name, where it is whole and was written here. */
static bool note_read(const struct kt_store *store, const char *name, const struct here *here, struct note *note)
{
	KT_OWN(kt_free_mem) char *bytes = NULL;
	const char *reason, *text;
	size_t size = 0;

	if (kt_fs_read_all(store->dir, name, FAILURE_BYTES, &bytes, &size, KT_ERROR_IGNORED) < 0 ||
	    strlen(bytes) != size || strncmp(bytes, FAILURE_HEAD, strlen(FAILURE_HEAD)) != 0)
		return false;

	char *rest = bytes + strlen(FAILURE_HEAD);

	reason = line_next(&rest);
	if (!reason || !line_is(&rest, here->kernel.release) || !line_is(&rest, here->boot_id) ||
	    !line_is(&rest, KONTAIN_VERSION) || !figures_take(line_next(&rest), note))
		return false;
	text = line_next(&rest);
	note->reason = kt_reason_find(reason);
	if (!text || *rest || strlen(text) >= sizeof(note->text) || note->reason == KT_REASON_COUNT ||
	    kt_reason_get(note->reason)->transient)
		return false;
	(void)snprintf(note->text, sizeof(note->text), "%s", text);
	return true;
}

static bool note_is_believed(const struct note *note)
{
	return !kt_reason_get(note->reason)->retry ||
	       (note->count >= BELIEVED_COUNT && note->last_s - note->first_s >= BELIEVED_S);
}

int kt_store_remember_failure(struct kt_store *store, const char *manifest_sha256, const struct kt_error *failure,
			      int64_t boot_s, struct kt_error *err)
{
	uint64_t now_s = boot_s > 0 ? (uint64_t)boot_s : 0;
	struct note note = {.reason = failure->reason, .count = 1, .first_s = now_s, .last_s = now_s}, before;
	char name[128], text[FAILURE_BYTES];
	struct here here;
	int length, r;

	if (kt_reason_get(failure->reason)->transient)
		return 0;
	if (!name_set(manifest_sha256, name) || !here_read(&here))
		return kt_fail(err, EINVAL, KT_REASON_INTERNAL, "cannot tell which bundle, kernel or boot failed");
	if (note_read(store, name, &here, &before) && before.last_s <= now_s) {
		note.count = before.count + 1;
		note.first_s = before.first_s;
	}
	length = snprintf(text, sizeof(text),
			  FAILURE_HEAD "%s\n%s\n%s\n" KONTAIN_VERSION "\n%" PRIu64 " %" PRIu64 " %" PRIu64 "\n%s",
			  kt_reason_name(note.reason), here.kernel.release, here.boot_id, note.count, note.first_s,
			  note.last_s, failure->text);
	/* one line of text: what km said may have more */
	for (char *c = text + length - strlen(failure->text); *c; c++)
		if ((unsigned char)*c < 0x20)
			*c = ' ';
	text[length] = '\n';
	r = kt_fs_replace_file(store->dir, name, text, (size_t)length + 1, 0644, err);
	return r < 0 ? r : note_is_believed(&note);
}

/* When it was, by the wall clock of now. */
static void when_set(uint64_t boot_s, char when[KT_CLOCK_TEXT_MAX])
{
	(void)kt_clock_text((int64_t)time(NULL) - (kt_clock_boot_ms() / 1000 - (int64_t)boot_s), when);
}

int kt_store_recall_failure(const struct kt_store *store, const char *manifest_sha256, struct kt_error *ret_failure)
{
	char name[128], often[96] = "", last[KT_CLOCK_TEXT_MAX], history[384];
	struct here here;
	struct note note;
	int room;

	if (!name_set(manifest_sha256, name) || !here_read(&here) || !note_read(store, name, &here, &note) ||
	    !note_is_believed(&note))
		return 0;
	when_set(note.first_s, last);
	if (note.count > 1)
		(void)snprintf(often, sizeof(often), "%" PRIu64 " times from %s ", note.count, last);
	when_set(note.last_s, last);
	(void)snprintf(history, sizeof(history),
		       " (failed %s%s %s; the agent tries again after a reboot or with another kernel, installer or "
		       "bundle; to try now, run kontain-installer install)",
		       often, note.count > 1 ? "to" : "at", last);
	room = (int)(sizeof(ret_failure->text) - strlen(history) - 1);
	(void)kt_fail(ret_failure, EPROTO, note.reason, "%.*s%s", room, note.text, history);
	return 1;
}

int kt_store_forget_failure(struct kt_store *store, const char *manifest_sha256, struct kt_error *err)
{
	char name[128];

	if (!name_set(manifest_sha256, name))
		return kt_fail(err, EINVAL, KT_REASON_INTERNAL, "\"%.80s\" is not a digest", manifest_sha256);
	if (unlinkat(store->dir, name, 0) < 0 && errno != ENOENT)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot remove %s of %s", name, store->root);
	return 0; /* one that a power cut brings back is of an earlier boot */
}

static int forget_visit(void *context, int dir, const char *name)
{
	(void)context;
	if (strncmp(name, KT_STORE_FAILED, strlen(KT_STORE_FAILED)) != 0)
		return 0;
	return unlinkat(dir, name, 0) < 0 && errno != ENOENT ? kt_negative_errno() : 0;
}

int kt_store_forget_failures(struct kt_store *store)
{
	int r = kt_each_entry(store->dir, ".", forget_visit, NULL);

	if (r < 0)
		return r;
	return fsync(store->dir) < 0 ? kt_negative_errno() : 0;
}
