/* .activated: which agent made the current version current. Two agents with different bundles on one root would undo
 * each other's work for ever: one that finds its own activation undone by another that still lives leaves it so
 * (agent/plan.c). One line: version, name of the host or pod, process, when that process started (clock ticks since
 * boot), boot. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/base/proc.h"
#include "layout.h"

#define LINE_MAX_BYTES 512

bool kt_activator_of_parent(const char *host, const char *version, struct kt_activator *ret_activator)
{
	/* by the numbers of the host: a pod's own are another's */
	KT_OWN(kt_close_fd) int proc = kt_proc_open(host);
	struct kt_activator activator = {.pid = 0};
	struct kt_process self, parent;
	struct utsname name;
	char path[32];

	if (proc < 0 || !kt_process_read(proc, "self/stat", &self))
		return false;
	(void)snprintf(path, sizeof(path), "%d/stat", self.parent);
	if (!kt_process_read(proc, path, &parent) || kt_fs_boot_id(activator.boot_id) < 0 || uname(&name) < 0)
		return false;
	activator.pid = parent.pid;
	activator.start = parent.start;
	(void)snprintf(activator.version, sizeof(activator.version), "%s", version);
	(void)snprintf(activator.name, sizeof(activator.name), "%s", name.nodename[0] ? name.nodename : "?");
	*ret_activator = activator;
	return true;
}

bool kt_activator_is_same(const struct kt_activator *a, const struct kt_activator *b)
{
	return a->pid == b->pid && a->start == b->start && strcmp(a->boot_id, b->boot_id) == 0;
}

bool kt_activator_lives(const char *host, const struct kt_activator *activator)
{
	KT_OWN(kt_close_fd) int proc = kt_proc_open(host);
	char path[32], boot_id[37];
	struct kt_process its;

	(void)snprintf(path, sizeof(path), "%d/stat", activator->pid);
	return proc >= 0 && kt_fs_boot_id(boot_id) == 0 && strcmp(boot_id, activator->boot_id) == 0 &&
	       kt_process_read(proc, path, &its) && its.start == activator->start;
}

int kt_store_note_activator(const struct kt_store *store, const struct kt_activator *activator, struct kt_error *err)
{
	char text[LINE_MAX_BYTES];

	if (!activator) {
		(void)unlinkat(store->dir, KT_STORE_ACTIVATED, 0);
		return 0;
	}
	(void)snprintf(text, sizeof(text), "%s %s %d %" PRIu64 " %s\n", activator->version, activator->name,
		       activator->pid, activator->start, activator->boot_id);
	return kt_fs_replace_file(store->dir, KT_STORE_ACTIVATED, text, strlen(text), 0644, err);
}

bool kt_store_read_activator(const struct kt_store *store, struct kt_activator *ret_activator)
{
	KT_OWN(kt_free_mem) char *text = NULL;
	struct kt_activator activator;
	struct kt_error ignored;
	size_t size;

	if (kt_fs_read_all(store->dir, KT_STORE_ACTIVATED, LINE_MAX_BYTES, &text, &size, &ignored) < 0 ||
	    sscanf(text, "%63s %64s %d %" SCNu64 " %36s", activator.version, activator.name, &activator.pid,
		   &activator.start, activator.boot_id) != 5 ||
	    activator.pid <= 0)
		return false;
	*ret_activator = activator;
	return true;
}
