/* The state as a value and as a file. How it looks as JSON is statejson.c's matter. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/contract/state.h"

#define PROMISE_MAX_S (24 * 60 * 60) /* no honest writer promises its next word later: report intervals end at 1 h */

void kt_state_init(struct kt_state *state)
{
	*state = (struct kt_state){.kvm.api_version = -1};

	struct kt_verdict *verdicts[] = {&state->node,         &state->rollout,       &state->kvm.verdict,
					 &state->host.verdict, &state->proof.verdict, &state->store.verdict};

	for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++)
		verdicts[i]->reason = KT_REASON_STARTING;
}

void kt_state_set_probe(struct kt_state *state, const struct kt_probe *probe)
{
	state->kvm = probe->kvm;
	state->host = probe->host;
	state->checks = probe->checks;
}

static const struct {
	const char *word;
	bool has_version;
} upgrades[KT_UPGRADE_COUNT] = {
	[KT_UPGRADE_NONE] = {"none", false},
	[KT_UPGRADE_DONE] = {"done", false},
	[KT_UPGRADE_FAILED] = {"failed", true},
	[KT_UPGRADE_HELD] = {"held", true},
};

void kt_upgrade_print(const struct kt_upgrade *upgrade, char ret_text[KT_UPGRADE_TEXT_MAX])
{
	bool has_version = upgrades[upgrade->state].has_version;

	(void)snprintf(ret_text, KT_UPGRADE_TEXT_MAX, "%s%s%s", upgrades[upgrade->state].word, has_version ? ":" : "",
		       has_version ? upgrade->version : "");
}

bool kt_upgrade_parse(const char *text, struct kt_upgrade *ret_upgrade)
{
	size_t length = strcspn(text, ":");

	for (unsigned i = 0; i < KT_UPGRADE_COUNT; i++) {
		if (strlen(upgrades[i].word) != length || memcmp(upgrades[i].word, text, length) != 0)
			continue;
		if (upgrades[i].has_version ?
			    !text[length] || (text[length + 1] && !kt_version_is_valid(text + length + 1)) :
			    text[length] != '\0')
			return false;
		*ret_upgrade = (struct kt_upgrade){.state = (enum kt_upgrade_state)i};
		if (upgrades[i].has_version)
			(void)snprintf(ret_upgrade->version, sizeof(ret_upgrade->version), "%s", text + length + 1);
		return true;
	}
	return false;
}

void kt_verdict_set(struct kt_verdict *verdict, bool ok, enum kt_reason reason, const char *format, ...)
{
	char message[sizeof(verdict->message)]; /* the arguments may point into the old one */
	va_list args;

	va_start(args, format);
	(void)vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	verdict->ok = ok;
	verdict->reason = reason;
	memcpy(verdict->message, message, sizeof(message));
}

void kt_verdict_fail(struct kt_verdict *verdict, const struct kt_error *err)
{
	enum kt_reason reason = err->reason == KT_REASON_NONE ? KT_REASON_INTERNAL : err->reason;

	kt_verdict_set(verdict, false, reason, "%s", err->text);
}

/* Splits where the last part begins; the directory is opened as open(2) would: its path comes from our own options. */
static int parent_open(const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	char parent[4096];

	if (!slash) {
		*ret_name = path;
		return open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if ((size_t)(slash - path) >= sizeof(parent)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	(void)snprintf(parent, sizeof(parent), "%.*s", slash == path ? 1 : (int)(slash - path), path);
	*ret_name = slash + 1;
	return open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int kt_state_make_folder(const char *path, struct kt_error *err)
{
	char folder[PATH_MAX];

	(void)snprintf(folder, sizeof(folder), "%s", path);
	if (mkdir(dirname(folder), 0755) < 0 && errno != EEXIST)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot create the directory of the state file %s",
				     path);
	return 0;
}

int kt_state_write(const char *path, const struct kt_state *state, struct kt_error *err)
{
	const char *name = NULL;
	KT_OWN(kt_close_fd) int dir = parent_open(path, &name);
	KT_OWN(kt_free_mem) char *text = NULL;

	if (dir < 0)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot open the directory of %s", path);
	text = kt_state_print(state);
	if (!text)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "cannot write %s: out of memory", path);

	struct kt_error cause = {.code = 0};
	int r = kt_fs_replace_file(dir, name, text, strlen(text), 0644, &cause);

	/* not the store's disk, whatever the code: the store's reasons would send a person to the wrong place */
	return r < 0 ? kt_fail(err, cause.code, KT_REASON_IO_ERROR, "%s: %s", path, cause.text) : 0;
}

int kt_state_read(const char *path, struct kt_state *ret_state, struct kt_error *err)
{
	KT_OWN(kt_free_mem) char *bytes = NULL;
	struct kt_error cause = {.code = 0};
	size_t size = 0;
	int r = kt_fs_read_all(AT_FDCWD, path, KT_STATE_BYTES_MAX, &bytes, &size, &cause);

	if (r < 0)
		return kt_fail(err, -r, r == -ENOENT ? KT_REASON_STATE_MISSING : KT_REASON_STATE_INVALID, "%s",
			       cause.text);
	r = kt_state_parse(bytes, size, ret_state, err);
	if (r < 0 && err)
		return kt_fail_prefix(err, "cannot use %s", path);
	return r;
}

void kt_state_promise(struct kt_state *state, unsigned within_s)
{
	state->next_update_by = state->observed_at + within_s;
	state->next_update_boot_s = state->observed_boot_s + within_s;
}

int kt_state_believable(const struct kt_state *state, const char *boot_id, uint64_t now_boot_s, struct kt_error *err)
{
	uint64_t observed = state->observed_boot_s, promised = state->next_update_boot_s;

	if (strcmp(state->boot_id, boot_id) != 0)
		return kt_fail(err, ESTALE, KT_REASON_STATE_OF_OTHER_BOOT,
			       "the node's state is of an earlier boot: nothing is proven since");
	/* The clock is the kernel's own, and nobody can set it: no honest writer is ahead of us. */
	if (observed > now_boot_s)
		return kt_fail(err, EINVAL, KT_REASON_STATE_INVALID, "the node's state is %llu s in the future",
			       (unsigned long long)(observed - now_boot_s));
	if (promised < observed || promised - observed > PROMISE_MAX_S)
		return kt_fail(err, EINVAL, KT_REASON_STATE_INVALID,
			       "the node's state promises its next update at no likely time");
	if (promised < now_boot_s)
		return kt_fail(err, ESTALE, KT_REASON_STATE_OVERDUE, "the node's state is overdue by %llu s",
			       (unsigned long long)(now_boot_s - promised));
	return 0;
}

bool kt_state_is_refused(const struct kt_state *state)
{
	return state->store.upgrade.state == KT_UPGRADE_FAILED && !state->rollout.ok;
}
