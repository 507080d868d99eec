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

/* Fields 4 and 22 of /proc/PID/stat (proc(5)); the second is the program's own choice, and may hold anything. */
static bool stat_read(const char *host, const char *process, int *ret_parent, uint64_t *ret_start)
{
	char path[64], text[1024], *at;

	(void)snprintf(path, sizeof(path), "%s/stat", process);
	if (kt_proc_read(host, path, text, sizeof(text)) < 0)
		return false;
	at = strrchr(text, ')');
	return at &&
	       sscanf(at + 1, " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %" SCNu64,
		      ret_parent, ret_start) == 2;
}

bool kt_activator_of_parent(const char *host, const char *version, struct kt_activator *ret_activator)
{
	struct kt_activator activator = {.pid = 0};
	struct utsname name;
	char process[16];
	uint64_t start;
	int above;

	/* by the numbers of the host: a pod's own are another's */
	if (!stat_read(host, "self", &activator.pid, &start))
		return false;
	(void)snprintf(process, sizeof(process), "%d", activator.pid);
	if (!stat_read(host, process, &above, &activator.start) || kt_fs_boot_id(activator.boot_id) < 0 ||
	    uname(&name) < 0)
		return false;
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
	char process[16], boot_id[37];
	uint64_t start;
	int above;

	(void)snprintf(process, sizeof(process), "%d", activator->pid);
	return kt_fs_boot_id(boot_id) == 0 && strcmp(boot_id, activator->boot_id) == 0 &&
	       stat_read(host, process, &above, &start) && start == activator->start;
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
