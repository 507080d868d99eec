/* One verb of the store a call, for the tests: each prints a line and ends 0, or prints "<Reason>: <text>" and ends 1.
 *
 *   kt-store-driver [-p HOST-PREFIX] [-w WAIT-MS] VERB ROOT ARGS...
 *   kt-store-driver pack DIR VERSION [COMPONENT=VERSION...]      writes DIR's manifest */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/bundle/treecheck.h"
#include "kontain/store/store.h"

static const char *prefix = "";
static unsigned wait_ms;

/* Packing: enough of it to make bundles for tests. */

static int component_pack(int dir, const char *name, char **named, struct kt_manifest *manifest, struct kt_error *err)
{
	KT_OWN(kt_close_fd) int folder = openat(dir, kt_component_source(name), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	KT_OWN(kt_filelist_done) struct kt_filelist list = {.text = NULL};
	KT_OWN(kt_free_mem) char *text = NULL;
	struct kt_component *component;
	char file[32];
	size_t size;

	(void)snprintf(file, sizeof(file), "%s.files", name);
	(void)unlinkat(dir, file, 0);
	if (folder < 0)
		return 0;
	if (kt_tree_scan(folder, name, true, NULL, NULL, &list, err) < 0)
		return -1;
	if (list.count == 0)
		return 0;
	text = kt_filelist_print(list.files, list.count, &size);
	if (!text || kt_fs_replace_file(dir, file, text, size, 0644, err) < 0)
		return -1;
	component = kt_manifest_add(manifest, name, &list);
	for (char **one = named; *one; one++)
		if (strncmp(*one, name, strlen(name)) == 0 && (*one)[strlen(name)] == '=')
			(void)snprintf(component->version, sizeof(component->version), "%.63s",
				       *one + strlen(name) + 1);
	return 0;
}

/* Everything of bin/ is km's here, its tools too. */
static int pack(const char *path, const char *version, char **named)
{
	KT_OWN(kt_close_fd) int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	KT_OWN(kt_manifest_done) struct kt_manifest manifest = {.arch = "x86_64"};
	KT_OWN(kt_free_mem) char *text = NULL;
	struct kt_error err = {.code = 0};
	int r = dir < 0;

	(void)snprintf(manifest.version, sizeof(manifest.version), "%.63s", version);
	for (size_t i = 0; r == 0 && kt_component_names[i]; i++)
		r = component_pack(dir, kt_component_names[i], named, &manifest, &err);
	text = kt_manifest_print(&manifest);
	if (r == 0 && text && kt_fs_replace_file(dir, KT_MANIFEST_NAME, text, strlen(text), 0644, &err) == 0)
		return 0;
	(void)fprintf(stderr, "pack: %s\n", err.text);
	return 1;
}

/* Verbs */

static int stage(struct kt_store *store, const char *path, char ret_version[KT_VERSION_MAX],
		 struct kt_staged *ret_staged, struct kt_error *err)
{
	KT_OWN(kt_bundle_done) struct kt_bundle bundle = {.dir = -1};
	struct kt_staged staged = {.bytes_written = 0};
	int r = kt_bundle_open(path, &bundle, err);

	if (r == 0)
		r = kt_store_stage(store, &bundle, NULL, NULL, ret_staged ? ret_staged : &staged, err);
	if (r == 0)
		(void)printf("written=%llu\n", (unsigned long long)(ret_staged ? ret_staged : &staged)->bytes_written);
	(void)snprintf(ret_version, KT_VERSION_MAX, "%s", bundle.manifest.version);
	return r;
}

static int verb_stage(struct kt_store *store, char **args, struct kt_error *err)
{
	char version[KT_VERSION_MAX];

	return stage(store, args[0], version, NULL, err);
}

static int verb_land(struct kt_store *store, char **args, struct kt_error *err)
{
	char version[KT_VERSION_MAX];
	int r = stage(store, args[0], version, NULL, err);

	return r < 0 ? r : kt_store_activate(store, version, err);
}

static int verb_activate(struct kt_store *store, char **args, struct kt_error *err)
{
	return kt_store_activate(store, args[0], err);
}

static int verb_restore(struct kt_store *store, char **args, struct kt_error *err)
{
	return kt_store_restore(store, args[0], args[1] ? args[1] : "", err);
}

/* A landing that fails after it was staged: what a failed proof leads to. */
static int verb_drop(struct kt_store *store, char **args, struct kt_error *err)
{
	struct kt_staged staged;
	char version[KT_VERSION_MAX];
	int r = stage(store, args[0], version, &staged, err);

	return r < 0 ? r : kt_store_drop_staged(store, version, &staged, err);
}

static int verb_prune(struct kt_store *store, char **args, struct kt_error *err)
{
	struct kt_prune prune = {.keep_count = (unsigned)atoi(args[0])};
	size_t removed = 0;
	int r = kt_store_prune(store, &prune, &removed, err);

	if (r == 0)
		(void)printf("removed=%zu\n", removed);
	return r;
}

static void left_out_print(void *context, const char *path, const char *how)
{
	(void)context;
	printf("left out %s: it %s\n", path, how);
}

static int verb_adopt(struct kt_store *store, char **args, struct kt_error *err)
{
	char version[KT_VERSION_MAX];
	int r = kt_store_adopt(store, left_out_print, NULL, version, err);

	(void)args;
	if (r == 0)
		(void)printf("adopted=%s\n", version);
	return r;
}

/* Who holds what: "PID PROGRAM HOW PLACE", then how many could not be looked into. */
static int verb_users(struct kt_store *store, char **args, struct kt_error *err)
{
	KT_OWN(kt_users_done) struct kt_users users = {.list = NULL};
	int r = kt_store_find_users(store, &users, err);

	(void)args;
	for (size_t i = 0; r == 0 && i < users.count; i++)
		(void)printf("%d %s %s %s\n", (int)users.list[i].pid,
			     users.list[i].mount[0] ? users.list[i].mount : users.list[i].program, users.list[i].how,
			     users.list[i].place);
	if (r == 0)
		(void)printf("unseen=%zu\n", users.unseen);
	return r;
}

static int verb_uninstall(struct kt_store *store, char **args, struct kt_error *err)
{
	bool is_root_kept = false;

	return kt_store_uninstall(store, args[0] != NULL, &is_root_kept, err); /* "force" */
}

static int verb_hold(struct kt_store *store, char **args, struct kt_error *err)
{
	(void)store;
	(void)err;
	(void)printf("held\n");
	(void)fflush(stdout);
	(void)usleep((unsigned)atoi(args[0]) * 1000);
	return 0;
}

static double cpu_ms(void)
{
	struct rusage usage;

	(void)getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
}

static int verb_inventory(struct kt_store *store, char **args, struct kt_error *err)
{
	struct kt_inventory inventory;
	int reconciles = args[0] ? atoi(args[0]) : 1;
	double before = cpu_ms();

	for (int i = 0; i < reconciles; i++) {
		int r = kt_store_inventory(store, &inventory, err);

		if (r < 0)
			return r;
	}
	if (args[0])
		(void)printf("cpu_us=%.0f\n", (cpu_ms() - before) * 1000 / reconciles);
	(void)printf("current=%s previous=%s km=%s ours=%d foreign=%d whole=%d adoptable=%d fs=%s journal=%d unread=%d "
		     "verified=%d\ndamage=%s%s%s\nkm_digest=%s\nmanifest=%s\nsets=",
		     inventory.current, inventory.previous, inventory.km_version, inventory.is_ours,
		     inventory.is_foreign, inventory.is_whole, inventory.is_adoptable, store->filesystem,
		     store->journalling, inventory.is_unread, inventory.verified_at != 0,
		     inventory.damage[0] ? kt_reason_name(inventory.damage_reason) : "",
		     inventory.damage[0] ? ": " : "", inventory.damage, inventory.km_digest, inventory.manifest_sha256);
	for (size_t i = 0; i < inventory.set_count; i++)
		(void)printf("%s ", inventory.sets[i]);
	(void)printf("\n");
	return 0;
}

static int verb_verify(struct kt_store *store, char **args, struct kt_error *err)
{
	struct kt_verify how = {.version = args[0]};

	return kt_store_verify(store, &how, err);
}

/* The same, noted for the inventories and landings that follow. */
static int verb_note(struct kt_store *store, char **args, struct kt_error *err)
{
	struct kt_verify how = {.version = args[0], .is_noted = true};

	return kt_store_verify(store, &how, err);
}

static const struct verb {
	const char *name;
	enum kt_store_mode mode;
	bool locks;
	int args;
	int (*run)(struct kt_store *store, char **args, struct kt_error *err);
} verbs[] = {
	{"stage", KT_STORE_CREATE, true, 1, verb_stage},        {"land", KT_STORE_CREATE, true, 1, verb_land},
	{"activate", KT_STORE_WRITE, true, 1, verb_activate},   {"restore", KT_STORE_WRITE, true, 1, verb_restore},
	{"drop", KT_STORE_WRITE, true, 1, verb_drop},           {"prune", KT_STORE_WRITE, true, 1, verb_prune},
	{"uninstall", KT_STORE_WRITE, true, 0, verb_uninstall}, {"hold", KT_STORE_CREATE, true, 1, verb_hold},
	{"inventory", KT_STORE_READ, false, 0, verb_inventory}, {"adopt", KT_STORE_WRITE, false, 0, verb_adopt},
	{"users", KT_STORE_READ, false, 0, verb_users},         {"verify", KT_STORE_READ, false, 0, verb_verify},
	{"note", KT_STORE_READ, false, 0, verb_note},
};

static int verb_run(const struct verb *verb, const char *root, char **args)
{
	KT_OWN(kt_store_done) struct kt_store store = {.dir = -1, .lock = -1};
	struct kt_error err = {.code = 0};
	int r = kt_store_open(prefix, root, verb->mode, &store, &err);

	if (r == 0 && verb->locks)
		r = kt_store_lock(&store, wait_ms, &err);
	if (r == 0)
		r = verb->run(&store, args, &err);
	if (r < 0)
		(void)printf("%s: %s\n", kt_reason_name(err.reason), err.text);
	return r < 0;
}

int main(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "+p:w:")) != -1) {
		if (option == 'p')
			prefix = optarg;
		else if (option == 'w')
			wait_ms = (unsigned)atoi(optarg);
		else
			return 2;
	}
	argv += optind;
	argc -= optind;
	if (argc >= 3 && strcmp(argv[0], "pack") == 0)
		return pack(argv[1], argv[2], argv + 3);
	for (size_t i = 0; argc >= 2 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verbs[i].name, argv[0]) == 0 && argc - 2 >= verbs[i].args)
			return verb_run(&verbs[i], argv[1], argv + 2);
	(void)fprintf(stderr, "usage: kt-store-driver [-p PREFIX] [-w MS] VERB ROOT ARGS...\n");
	return 2;
}
