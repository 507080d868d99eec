/* One verb of the store a call, for the tests: each prints a line and ends 0, or prints "<Reason>: <text>" and ends 1.
 *
 *   kt-store-driver [-p HOST-PREFIX] [-w WAIT-MS] VERB ROOT ARGS...
 *   kt-store-driver pack DIR VERSION [COMPONENT=VERSION...]      writes DIR's manifest */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "kontain/fs.h"
#include "kontain/own.h"
#include "kontain/store.h"

static const char *prefix = "";
static unsigned wait_ms;

/* Packing: enough of it to make bundles for tests, in the manifest's own order. */

struct list {
	struct kt_bundle_file *files;
	size_t count;
};

static int file_read(int dir, const char *name, const struct stat *info, struct kt_bundle_file *file)
{
	static char buffer[1 << 18];
	KT_OWN(kt_digest_free) struct kt_digest *digest = kt_digest_new();
	KT_OWN(kt_close_fd) int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	while ((got = read(fd, buffer, sizeof(buffer))) > 0)
		kt_digest_add(digest, buffer, (size_t)got);
	kt_digest_take(digest, file->sha256);
	file->mode = info->st_mode & 0111 ? 0755 : 0644;
	file->size_bytes = (uint64_t)info->st_size;
	return got < 0 ? -errno : 0;
}

static int tree_read(int dir, const char *below, const char *name, struct list *list)
{
	struct stat info;
	char path[1024];

	(void)snprintf(path, sizeof(path), "%s%s%s", below, *below ? "/" : "", name);
	if (fstatat(dir, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISDIR(info.st_mode)) {
		int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		KT_OWN(kt_close_dir) DIR *entries = fdopendir(fd);
		struct dirent *entry;

		while ((entry = readdir(entries)))
			if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") &&
			    tree_read(fd, path, entry->d_name, list) < 0)
				return -EIO;
		return 0;
	}
	list->files = realloc(list->files, (list->count + 1) * sizeof(*list->files));

	struct kt_bundle_file *file = &list->files[list->count++];
	char target[1024];
	ssize_t length;

	*file = (struct kt_bundle_file){.path = strdup(path)};
	if (!S_ISLNK(info.st_mode))
		return file_read(dir, name, &info, file);
	length = readlinkat(dir, name, target, sizeof(target) - 1);
	target[length > 0 ? length : 0] = '\0';
	file->link = strdup(target);
	return 0;
}

static int by_path(const void *left, const void *right)
{
	return strcmp(((const struct kt_bundle_file *)left)->path, ((const struct kt_bundle_file *)right)->path);
}

static void folder_read(int dir, const char *folder, const char *below, struct list *list)
{
	KT_OWN(kt_close_fd) int fd = openat(dir, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	KT_OWN(kt_close_dir) DIR *entries = fd < 0 ? NULL : fdopendir(dup(fd));
	struct dirent *entry;

	while (entries && (entry = readdir(entries)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			(void)tree_read(fd, below, entry->d_name, list);
	if (list->count)
		qsort(list->files, list->count, sizeof(*list->files), by_path);
}

static int pack(const char *path, const char *version, char **named)
{
	KT_OWN(kt_close_fd) int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct kt_manifest manifest = {.arch = "x86_64"};
	struct list extras = {.count = 0};
	struct kt_error err;

	(void)snprintf(manifest.version, sizeof(manifest.version), "%.63s", version);
	for (size_t i = 0; kt_component_names[i]; i++) {
		struct kt_component *component = &manifest.components[manifest.component_count];
		const char *name = kt_component_names[i];
		struct list list = {.count = 0};

		folder_read(dir, kt_component_folder(name), "", &list);
		if (list.count == 0)
			continue;
		component->files = list.files;
		component->file_count = list.count;
		(void)snprintf(component->name, sizeof(component->name), "%s", name);
		kt_component_digest(component, component->digest);
		memcpy(component->version, "sha-", 4);
		memcpy(component->version + 4, component->digest, 12);
		for (char **one = named; *one; one++)
			if (strncmp(*one, name, strlen(name)) == 0 && (*one)[strlen(name)] == '=')
				(void)snprintf(component->version, sizeof(component->version), "%.63s",
					       *one + strlen(name) + 1);
		manifest.component_count++;
	}
	folder_read(dir, "tests", "tests", &extras);
	manifest.extras = extras.files;
	manifest.extra_count = extras.count;

	char *text = kt_manifest_print(&manifest);

	if (!text || kt_fs_replace_file(dir, KT_MANIFEST_NAME, text, strlen(text), 0644, &err) < 0)
		return 1;
	free(text);
	kt_manifest_done(&manifest);
	return 0;
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
		(void)printf("%d %s %s %s\n", (int)users.list[i].pid, users.list[i].program, users.list[i].how,
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
	int rounds = args[0] ? atoi(args[0]) : 1;
	double before = cpu_ms();

	for (int i = 0; i < rounds; i++) {
		int r = kt_store_inventory(store, &inventory, err);

		if (r < 0)
			return r;
	}
	if (args[0])
		(void)printf("cpu_us=%.0f\n", (cpu_ms() - before) * 1000 / rounds);
	(void)printf("current=%s previous=%s km=%s ours=%d foreign=%d whole=%d adoptable=%d fs=%s journal=%d unread=%d verified=%d\ndamage=%s%s%s\nkm_digest=%s\nmanifest=%s\nsets=",
		     inventory.current, inventory.previous, inventory.km_version, inventory.is_ours, inventory.is_foreign,
		     inventory.is_whole, inventory.is_adoptable, store->filesystem, store->journalling, inventory.is_unread,
		     inventory.verified_at != 0, inventory.damage[0] ? kt_reason_name(inventory.damage_reason) : "",
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
	{"stage", KT_STORE_CREATE, true, 1, verb_stage},
	{"land", KT_STORE_CREATE, true, 1, verb_land},
	{"activate", KT_STORE_WRITE, true, 1, verb_activate},
	{"restore", KT_STORE_WRITE, true, 1, verb_restore},
	{"drop", KT_STORE_WRITE, true, 1, verb_drop},
	{"prune", KT_STORE_WRITE, true, 1, verb_prune},
	{"uninstall", KT_STORE_WRITE, true, 0, verb_uninstall},
	{"hold", KT_STORE_CREATE, true, 1, verb_hold},
	{"inventory", KT_STORE_READ, false, 0, verb_inventory},
	{"adopt", KT_STORE_WRITE, false, 0, verb_adopt},
	{"users", KT_STORE_READ, false, 0, verb_users},
	{"verify", KT_STORE_READ, false, 0, verb_verify},
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
