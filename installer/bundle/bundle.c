/* A bundle directory, read from a descriptor of it. What is in the folder and not in the manifest is refused: nobody
 * vouched for it. */
#include "kontain/bundle/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/bundle/treecheck.h"
#include "kontain/contract/paths.h"

void kt_bundle_done(struct kt_bundle *bundle)
{
	kt_close_fd(&bundle->dir);
	kt_free_mem(&bundle->manifest_bytes);
	kt_manifest_done(&bundle->manifest);
	bundle->manifest_size = 0;
}

/* An absent bundle, a broken one, and one that cannot be read are three things. */
static enum kt_reason reason_of(int code)
{
	if (code == ENOENT || code == ENOTDIR)
		return KT_REASON_BUNDLE_MISSING;
	return code == ELOOP || code == EISDIR || code == EINVAL || code == EFBIG || code == EXDEV ?
		       KT_REASON_BUNDLE_INVALID :
		       KT_REASON_BUNDLE_UNREADABLE;
}

/* No memory and a kernel too old are what they were reported as. */
static int read_fail(const struct kt_bundle *bundle, const struct kt_error *cause, struct kt_error *err)
{
	bool is_ours = cause->reason == KT_REASON_OUT_OF_MEMORY || cause->reason == KT_REASON_KERNEL_TOO_OLD;

	return kt_fail(err, cause->code, is_ours ? cause->reason : reason_of(cause->code), "%s: %s", bundle->path,
		       cause->text);
}

static int manifest_read(struct kt_bundle *bundle, struct kt_error *err)
{
	struct kt_error mine = {.code = 0};
	int r = kt_fs_read_all(bundle->dir, KT_MANIFEST_NAME, KT_MANIFEST_BYTES_MAX, &bundle->manifest_bytes,
			       &bundle->manifest_size, &mine);

	if (r == -ENOENT)
		return kt_fail(err, ENOENT, KT_REASON_BUNDLE_MISSING,
			       "%s is not a bundle: it has no " KT_MANIFEST_NAME " (kontain-pack makes one)",
			       bundle->path);
	if (r < 0)
		return read_fail(bundle, &mine, err);
	r = kt_manifest_parse(bundle->manifest_bytes, bundle->manifest_size, &bundle->manifest, &mine);
	return r < 0 ? kt_fail(err, -r, mine.reason, "%s/" KT_MANIFEST_NAME ": %s", bundle->path, mine.text) : 0;
}

int kt_bundle_open(const char *path, struct kt_bundle *ret_bundle, struct kt_error *err)
{
	KT_OWN(kt_bundle_done) struct kt_bundle bundle = {.dir = -1};

	if (snprintf(bundle.path, sizeof(bundle.path), "%s", path) >= (int)sizeof(bundle.path))
		return kt_fail(err, ENAMETOOLONG, KT_REASON_BUNDLE_MISSING, "the bundle's path is too long: %.80s...",
			       path);
	bundle.dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (bundle.dir < 0)
		return kt_fail_errno(err, errno, reason_of(errno), "cannot open the bundle %s", path);

	int r = manifest_read(&bundle, err);

	if (r < 0)
		return r;
	*ret_bundle = bundle;
	bundle = (struct kt_bundle){.dir = -1};
	return 0;
}

/* ---- lists ---- */

static int list_read(struct kt_bundle *bundle, struct kt_component *component, size_t *left_bytes, struct kt_error *err)
{
	KT_OWN(kt_free_mem) char *text = NULL;
	struct kt_error mine = {.code = 0};
	char name[32];
	size_t size = 0;
	int r;

	(void)snprintf(name, sizeof(name), "%s" KT_FILELIST_NAME, component->name);
	r = kt_fs_read_all(bundle->dir, name, *left_bytes, &text, &size, &mine);
	if (r == -ENOENT)
		return kt_fail(err, ENOENT, KT_REASON_BUNDLE_INVALID, "%s: the list %s of component %s is missing",
			       bundle->path, name, component->name);
	if (r == -EFBIG)
		return kt_fail(err, EFBIG, KT_REASON_BUNDLE_INVALID, "%s: its lists are larger than %d bytes together",
			       bundle->path, KT_LISTS_BYTES_MAX);
	if (r < 0)
		return read_fail(bundle, &mine, err);
	*left_bytes -= size;
	r = kt_filelist_parse(component->name, &text, size, &component->list, &mine);
	if (r < 0)
		return kt_fail(err, -r, mine.reason, "%s/%s: %s", bundle->path, name, mine.text);
	if (strcmp(component->list.digest, component->digest) != 0)
		return kt_fail(err, EBADMSG, KT_REASON_DIGEST_MISMATCH,
			       "%s/%s: its SHA-256 is %.12s..., the manifest says %.12s...", bundle->path, name,
			       component->list.digest, component->digest);
	return 0;
}

int kt_bundle_read_lists(struct kt_bundle *bundle, struct kt_error *err)
{
	struct kt_error mine = {.code = 0};
	size_t left_bytes = KT_LISTS_BYTES_MAX;
	int r = 0;

	if (bundle->manifest.components[0].list.count > 0)
		return 0;
	for (size_t i = 0; r == 0 && i < bundle->manifest.component_count; i++)
		r = list_read(bundle, &bundle->manifest.components[i], &left_bytes, err);
	if (r == 0 && kt_manifest_check_lists(&bundle->manifest, &mine) < 0)
		r = kt_fail(err, mine.code, mine.reason, "%s: %s", bundle->path, mine.text);
	return r;
}

/* ---- trees ---- */

/* What lies beside the extras: the other components, the manifest and the lists. */
static bool is_no_extra(const char *name)
{
	return kt_path_reserved(KT_COMPONENT_EXTRAS, name) != NULL;
}

static const struct kt_filelist no_files;

struct check {
	const struct kt_bundle *bundle;
	const char *folder; /* the tree's, "" for the bundle's own */
	bool names_only;
	struct kt_error *err;
};

static int difference_visit(void *context, const struct kt_difference *difference)
{
	const struct check *check = context;
	const char *folder = check->folder, *slash = *folder ? "/" : "";
	char path[KT_MANIFEST_PATH_MAX + 32], shown[KT_SHOWN_MAX], text[256];

	if (difference->flaw == KT_FLAW_SKELETON) /* never landed, so let pass */
		return 0;
	(void)snprintf(path, sizeof(path), "%s%s%s", folder, slash, difference->path);
	(void)kt_path_show(path, shown);
	if (difference->flaw == KT_FLAW_EXTRA)
		return kt_fail(check->err, EINVAL, KT_REASON_BUNDLE_INVALID,
			       "%s is in the bundle's folder but not in its list", shown);
	if (difference->flaw == KT_FLAW_UNREADABLE)
		return kt_fail_errno(check->err, difference->code, KT_REASON_BUNDLE_UNREADABLE, "cannot read %s",
				     shown);
	if (check->names_only)
		return 0;
	switch (difference->flaw) {
	case KT_FLAW_MISSING:
		return kt_fail(check->err, ENOENT, KT_REASON_BUNDLE_INVALID, "%s is in the list but is not there",
			       shown);
	case KT_FLAW_TYPE:
		return kt_fail(check->err, EINVAL, KT_REASON_BUNDLE_INVALID,
			       "%s is in the list but is not a regular file", shown);
	case KT_FLAW_LINK:
		return kt_fail(check->err, EINVAL, KT_REASON_BUNDLE_INVALID, "%s is not the link that the list names",
			       shown);
	case KT_FLAW_MODE:
		return kt_fail(check->err, EINVAL, KT_REASON_BUNDLE_INVALID, "%s has mode %04o, its list says %04o",
			       shown, difference->found, difference->file->mode);
	case KT_FLAW_CAPABILITIES:
		return kt_fail(check->err, EINVAL, KT_REASON_BUNDLE_INVALID, "%s has capabilities: no bundle has that",
			       shown);
	case KT_FLAW_SIZE:
		return kt_fail(check->err, EBADMSG, KT_REASON_DIGEST_MISMATCH, "%s has another size than its list says",
			       shown);
	case KT_FLAW_CONTENT:
		return kt_fail(check->err, EBADMSG, KT_REASON_DIGEST_MISMATCH,
			       "%s has other content than its list says", shown);
	default:
		kt_difference_print(difference, folder, text, sizeof(text));
		return kt_fail(check->err, EINVAL, KT_REASON_BUNDLE_INVALID, "%s", text);
	}
}

/* One folder of the bundle; list NULL: only the extras' names, where there are none. */
static int folder_check(struct check *check, const char *name, const struct kt_filelist *list, enum kt_depth depth)
{
	const char *source = kt_component_source(name);
	bool is_top = strcmp(source, ".") == 0;
	KT_OWN(kt_close_fd) int dir = kt_fs_open_beneath(check->bundle->dir, source, O_RDONLY | O_DIRECTORY, 0);
	struct kt_tree tree = {.dir = dir, .prefix = "", .list = list, .is_other = is_top ? is_no_extra : NULL};
	struct kt_tree_check how = {.depth = depth, .is_any_owner = true, .visit = difference_visit, .context = check};
	int r;

	if (dir == -ENOENT && list == &no_files)
		return 0;
	if (dir < 0 && reason_of(-dir) == KT_REASON_BUNDLE_UNREADABLE)
		return kt_fail_errno(check->err, -dir, KT_REASON_BUNDLE_UNREADABLE,
				     "cannot open the bundle's folder %s", source);
	if (dir < 0 && list == &no_files)
		return kt_fail(check->err, -dir, KT_REASON_BUNDLE_INVALID, "%s is not a folder", source);
	if (dir < 0)
		return kt_fail(check->err, -dir, KT_REASON_BUNDLE_INVALID, "the folder %s is missing", source);
	check->folder = is_top ? "" : source;
	r = kt_tree_check(&tree, &how);
	return r < 0 && check->err->code == 0 ? kt_fail(check->err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory") :
						r;
}

/* Components that the manifest does not name are looked for too: nobody vouched for what lies there. */
static int folders_check(const struct kt_bundle *bundle, const bool leaves_out[], bool names_only, enum kt_depth depth,
			 struct kt_error *err)
{
	struct kt_error mine = {.code = 0};
	struct check check = {.bundle = bundle, .names_only = names_only, .err = &mine};
	int r = 0;

	for (size_t i = 0; r == 0 && kt_component_names[i]; i++) {
		const struct kt_component *component = kt_manifest_component(&bundle->manifest, kt_component_names[i]);

		if (component && leaves_out && leaves_out[component - bundle->manifest.components])
			continue;
		r = folder_check(&check, kt_component_names[i], component ? &component->list : &no_files, depth);
	}
	return r < 0 ? kt_fail(err, mine.code, mine.reason, "%s", mine.text) : 0;
}

int kt_bundle_check_names(const struct kt_bundle *bundle, const bool leaves_out[], struct kt_error *err)
{
	return folders_check(bundle, leaves_out, true, KT_DEPTH_STAT, err);
}

int kt_bundle_check(struct kt_bundle *bundle, struct kt_error *err)
{
	int r = kt_bundle_read_lists(bundle, err);

	if (r == 0 && folders_check(bundle, NULL, false, KT_DEPTH_ALL, err) < 0)
		r = kt_fail_prefix(err, "%s", bundle->path);
	return r;
}
