/* A release tarball's entries, read by libarchive. libarchive only reads: its own disk writer follows parents that are
 * swapped under it. The archive is gone through twice, first for the names alone, while it is inflated: what it is, as
 * a whole, is known before the first file is made. An entry is refused for what it could do, whether the bundle would
 * take it or not: nobody who puts such an entry into a release is to be trusted with the rest. Only a symbolic link
 * that leads out is what real trees hold: it is left out. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "headers.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/contract/paths.h"
#include "layout.h"
#include "names.h"
#include "sources.h"
#include "spool.h"

#define READ_BYTES    (256 * 1024)
#define TAR_BLOCK     512
#define HEADERS_USUAL 4096 /* of an entry with a path and a target as long as a bundle may have them */

struct taking {
	struct kt_place *place;
	struct kt_names names;
	char prefix[KT_MANIFEST_PATH_MAX]; /* of the tree in the archive: "" or "opt/kontain/" */
	struct archive *archive;           /* owned, of the pass that is on */
	struct kt_spool spool;
	uint64_t total_bytes;  /* of all files, as their headers say */
	uint64_t header_bytes; /* of all headers */
	bool is_concatenated;  /* tars one behind the other: an .apk */
	int refused;           /* what the spool answered; err says why */
	struct kt_error *err;
};

/* An entry as both passes see it; strings live as long as libarchive's. */
struct entry {
	enum kt_name_kind kind;
	char path_buffer[KT_MANIFEST_PATH_MAX + 16], target_buffer[KT_MANIFEST_PATH_MAX + 16];
	const char *path;
	const char *target; /* of a hard link, as a path; of a symbolic link, as it is written */
	bool is_executable;
	int64_t size;
};

static void taking_done(struct taking *taking)
{
	if (taking->archive)
		(void)archive_read_free(taking->archive);
	kt_spool_done(&taking->spool);
	kt_names_done(&taking->names);
}

static int archive_fail(const struct taking *taking)
{
	const char *text = archive_error_string(taking->archive);

	if (taking->refused < 0)
		return taking->refused;
	return kt_fail(taking->err, EINVAL, KT_REASON_BUNDLE_INVALID,
		       "the archive is damaged, cut short or no tar: %.200s", text ? text : "it cannot be read");
}

static int refuse(const struct taking *taking, const char *path, const char *what)
{
	char shown[KT_SHOWN_MAX];

	return kt_fail(taking->err, EINVAL, KT_REASON_BUNDLE_INVALID, "%s %s", kt_path_show(path, shown), what);
}

/* What no bundle's file has, told before its content is looked at. */
static const char *entry_flaw(struct archive_entry *entry)
{
	mode_t type = archive_entry_filetype(entry);
	unsigned long set = 0, clear = 0;

	if (!archive_entry_hardlink(entry) && type != AE_IFREG && type != AE_IFDIR && type != AE_IFLNK)
		return "is not a regular file, folder or link";
	if ((archive_entry_hardlink(entry) || type != AE_IFREG) && archive_entry_size(entry) > 0)
		return "has content and is not a regular file";
	if (type == AE_IFREG && (archive_entry_mode(entry) & (S_ISUID | S_ISGID | S_ISVTX)))
		return "is setuid, setgid or sticky: no bundle has that";
	if (archive_entry_sparse_count(entry) > 0)
		return "is sparse: pack the release without --sparse";
	archive_entry_fflags(entry, &set, &clear);
	if (archive_entry_xattr_count(entry) > 0 || archive_entry_acl_types(entry) != 0 || set != 0)
		return "has extended attributes, an ACL or flags: no bundle has that";
	return NULL;
}

/* Copies a name and strips what stands around it. 0, 1 for the archive's own top folder, or an error. */
static int name_take(const struct taking *taking, const char *raw, const char *what, char *buffer, size_t size,
		     const char **ret_name)
{
	const char *flaw;
	char text[128];

	if (snprintf(buffer, size, "%s", raw) >= (int)size)
		return refuse(taking, raw, "is too long a name");
	*ret_name = kt_layout_strip(buffer);
	if (!*ret_name)
		return 1;
	flaw = kt_path_flaw(*ret_name);
	if (!flaw)
		return 0;
	(void)snprintf(text, sizeof(text), "(%s) %s", what, flaw);
	return refuse(taking, *ret_name, text);
}

static int entry_look(const struct taking *taking, struct archive_entry *from, struct entry *entry)
{
	const char *raw = archive_entry_pathname(from), *hard = archive_entry_hardlink(from), *flaw;
	mode_t type = archive_entry_filetype(from);
	int r;

	if (!raw || !*raw)
		return kt_fail(taking->err, EINVAL, KT_REASON_BUNDLE_INVALID,
			       "an entry has an empty or unreadable name");
	entry->kind = type == AE_IFDIR ? KT_NAME_FOLDER : type == AE_IFLNK ? KT_NAME_LINK : KT_NAME_FILE;
	if (hard)
		entry->kind = KT_NAME_HARD;
	entry->is_executable = (archive_entry_perm(from) & 0111) != 0;
	entry->size = archive_entry_size_is_set(from) ? archive_entry_size(from) : 0;
	entry->target = type == AE_IFLNK && !hard ? archive_entry_symlink(from) : NULL;
	r = name_take(taking, raw, "an entry's name", entry->path_buffer, sizeof(entry->path_buffer), &entry->path);
	if (r > 0)
		return entry->kind == KT_NAME_FOLDER ? r : refuse(taking, raw, "is not a folder");
	/* a root is full of what no bundle has, and nobody takes */
	flaw = r == 0 && (taking->place->layout == KT_LAYOUT_RELEASE || kt_place_takes(taking->place, entry->path)) ?
		       entry_flaw(from) :
		       NULL;
	if (flaw)
		return refuse(taking, entry->path, flaw);
	if (r < 0 || !hard)
		return r;
	r = name_take(taking, hard, "a hard link's target", entry->target_buffer, sizeof(entry->target_buffer),
		      &entry->target);
	return r > 0 ? refuse(taking, entry->path, "is a hard link to a folder") : r;
}

_Static_assert(KT_PACK_BYTES_MAX == UINT64_C(4096) << 20, "what the text says");

/* Its size is believed in so far as it may refuse: the bytes themselves are counted when they come. */
static int name_visit(struct taking *taking, const struct entry *entry)
{
	int r = kt_place_admit(taking->place, entry->path, taking->err);

	if (r < 0)
		return r;
	/* each is below the limit, so that the sum cannot overflow */
	if ((uint64_t)entry->size > KT_PACK_BYTES_MAX ||
	    (taking->total_bytes += (uint64_t)entry->size) > KT_PACK_BYTES_MAX)
		return refuse(taking, entry->path, "is too much: the archive has more than 4096 MiB of files");
	return kt_names_add(&taking->names, entry->kind, entry->path,
			    entry->kind == KT_NAME_HARD ? entry->target : NULL, taking->err);
}

static int content_take(const struct taking *taking, const struct entry *entry, const char *path)
{
	KT_OWN(kt_close_fd) int fd = kt_place_file(taking->place, path, entry->is_executable, taking->err);
	int64_t at = 0;
	const void *block;
	size_t size;
	la_int64_t offset;
	int r;

	if (fd < 0)
		return fd;
	while ((r = archive_read_data_block(taking->archive, &block, &size, &offset)) == ARCHIVE_OK) {
		if (offset != at)
			return refuse(taking, path, "has a hole");
		if (kt_place_write(taking->place, fd, path, block, size, taking->err) < 0)
			return -taking->err->code;
		at += (int64_t)size;
	}
	if (r != ARCHIVE_EOF)
		return archive_fail(taking);
	return at == entry->size ? 0 : refuse(taking, path, "has another size than the archive says");
}

/* The path in the bundle: NULL for what lies outside of the archive's tree. */
static const char *path_inside(const struct taking *taking, const char *path)
{
	size_t length = strlen(taking->prefix);

	return strncmp(path, taking->prefix, length) == 0 ? path + length : NULL;
}

/* The one kind of hard link that releases have: to a plain file that came before (krun and krun-label-trigger). It
 * becomes a file of its own: damage in one is never damage in another. */
static int hard_link_take(const struct taking *taking, const struct entry *entry, const char *path)
{
	const char *target = path_inside(taking, entry->target);
	char name[KT_PLACE_NAME_MAX];
	KT_OWN(kt_close_fd)
	int fd = target && kt_place_takes(taking->place, target) ?
			 kt_fs_open_beneath(taking->place->dir, kt_place_name(taking->place, target, name),
					    O_RDONLY | O_NOFOLLOW, 0) :
			 -ENOENT;
	struct stat info;

	if (fd < 0 || fstat(fd, &info) < 0 || !S_ISREG(info.st_mode))
		return refuse(taking, path, "is a hard link to a file that no bundle takes");
	return kt_place_copy(taking->place, fd, path, (info.st_mode & 0111) != 0, taking->err);
}

static int entry_visit(struct taking *taking, const struct entry *entry)
{
	const char *path = path_inside(taking, entry->path), *target = entry->target ? entry->target : "";
	char name[KT_PLACE_NAME_MAX], inner[KT_MANIFEST_PATH_MAX];

	if (!path || !kt_place_takes(taking->place, path)) {
		if (entry->kind != KT_NAME_FOLDER)
			kt_place_leave_out(taking->place, path ? path : entry->path);
		return 0;
	}
	if (taking->place->layout == KT_LAYOUT_ROOT)
		target = kt_layout_root_target(path, target, inner, sizeof(inner));
	path = kt_place_name(taking->place, path, name);
	switch (entry->kind) {
	case KT_NAME_FOLDER:
		return 0; /* made with the files in it */
	case KT_NAME_LINK:
		return kt_place_link(taking->place, path, target, taking->err);
	case KT_NAME_HARD:
		return hard_link_take(taking, entry, path);
	case KT_NAME_FILE:
		return content_take(taking, entry, path);
	}
	return 0;
}

/* An entry that libarchive warns of; its name is known all the same, as bytes. */
static int warning_refuse(const struct taking *taking, struct archive_entry *from)
{
	const char *path = archive_entry_pathname(from);
	const char *text = archive_error_string(taking->archive);
	char shown[KT_SHOWN_MAX], words[256];

	if (path && kt_text_flaw(path))
		return refuse(taking, path, kt_text_flaw(path));
	(void)snprintf(words, sizeof(words), "is damaged: %.200s", text ? text : "libarchive does not say how");
	return refuse(taking, path ? kt_path_show(path, shown) : "an entry", words);
}

static int next_visit(struct taking *taking, struct archive_entry *from,
		      int (*visit)(struct taking *taking, const struct entry *entry))
{
	struct entry entry;
	int r = kt_place_go_on(taking->err);

	if (r == 0)
		r = entry_look(taking, from, &entry);
	return r == 0 ? visit(taking, &entry) : r < 0 ? r : 0;
}

/* ---- the first pass: while it is inflated, all that can be known before a file is made ---- */

static la_ssize_t spool_read(struct archive *archive, void *context, const void **ret_bytes)
{
	struct taking *taking = context;
	ssize_t got = kt_spool_next(&taking->spool, ret_bytes, taking->err);

	if (got >= 0)
		return got;
	taking->refused = (int)got;
	archive_set_error(archive, EIO, "refused");
	return ARCHIVE_FATAL;
}

static bool is_zero_block(const char *bytes)
{
	static const char zeros[TAR_BLOCK];

	return memcmp(bytes, zeros, sizeof(zeros)) == 0;
}

static int headers_look(const struct taking *taking, int64_t from, int64_t to, struct archive_entry *entry)
{
	KT_OWN(kt_free_mem) char *bytes = malloc((size_t)(to - from));
	const char *path = archive_entry_pathname(entry), *flaw;
	size_t at = 0;

	if (!bytes)
		return kt_fail(taking->err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
	if (pread(taking->spool.fd, bytes, (size_t)(to - from), from) != to - from)
		return kt_fail(taking->err, EIO, KT_REASON_IO_ERROR, "cannot read what was inflated");
	while (taking->is_concatenated && to - from > TAR_BLOCK && is_zero_block(bytes + at)) { /* another tar's end */
		at += TAR_BLOCK;
		from += TAR_BLOCK;
	}
	flaw = kt_headers_flaw(bytes + at, (size_t)(to - from));
	return flaw ? refuse(taking, path ? path : "an entry", flaw) : 0;
}

/* 1 for an entry, 0 at the end, which is the file's too. Where libarchive is in the tar is where its last filter is: it
 * has none here. */
static int names_next(struct taking *taking, struct archive_entry **ret_entry)
{
	int64_t from = archive_filter_bytes(taking->archive, 0), to;
	int r;

	taking->spool.allowed_bytes = (uint64_t)from + KT_HEADERS_MAX;
	r = archive_read_next_header(taking->archive, ret_entry);
	taking->spool.allowed_bytes = UINT64_MAX;
	to = archive_filter_bytes(taking->archive, 0);
	if (r == ARCHIVE_WARN && taking->refused == 0)
		return warning_refuse(taking, *ret_entry);
	if (r == ARCHIVE_EOF) /* also where an archive breaks off behind an entry */
		return kt_spool_end(&taking->spool,
				    (uint64_t)(taking->is_concatenated && to - from > KT_SPOOL_END_BYTES ?
						       to - KT_SPOOL_END_BYTES :
						       from),
				    (uint64_t)to, taking->err);
	if (r != ARCHIVE_OK)
		return archive_fail(taking);
	taking->header_bytes += (uint64_t)(to - from);
	if (taking->header_bytes > KT_HEADERS_MAX + (taking->place->entry_count + 1) * HEADERS_USUAL)
		return kt_fail(taking->err, E2BIG, KT_REASON_BUNDLE_INVALID,
			       "the archive's headers are larger than 4 KiB each, as no release's are");
	r = headers_look(taking, from, to, *ret_entry);
	return r < 0 ? r : 1;
}

/* An .apk is three tars, each compressed by itself: signature, control and data (apk-package(5)). The first two have no
 * end by themselves where abuild made them; where another tool did, they have one, which is not the archive's. */
static bool tar_support(const struct taking *taking)
{
	return archive_read_support_format_tar(taking->archive) == ARCHIVE_OK &&
	       (!taking->is_concatenated ||
		archive_read_set_format_option(taking->archive, "tar", "read_concatenated_archives", "1") ==
			ARCHIVE_OK);
}

static int names_pass(struct taking *taking)
{
	struct archive_entry *from;
	int r;

	taking->archive = archive_read_new();
	if (!taking->archive)
		return kt_fail(taking->err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
	if (!tar_support(taking) || archive_read_open(taking->archive, taking, NULL, spool_read, NULL) != ARCHIVE_OK)
		return archive_fail(taking);
	while ((r = names_next(taking, &from)) > 0) {
		r = next_visit(taking, from, name_visit);
		if (r < 0)
			return r;
		if (archive_read_data_skip(taking->archive) != ARCHIVE_OK)
			return archive_fail(taking);
	}
	return r;
}

/* ---- the second pass: what was kept is known to be good, and becomes files ---- */

static int files_pass(struct taking *taking)
{
	struct archive_entry *from;
	int r;

	(void)archive_read_free(taking->archive);
	kt_stream_close(&taking->spool.stream);
	taking->archive = archive_read_new();
	if (!taking->archive || lseek(taking->spool.fd, 0, SEEK_SET) < 0)
		return kt_fail(taking->err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
	if (!tar_support(taking) || archive_read_open_fd(taking->archive, taking->spool.fd, READ_BYTES) != ARCHIVE_OK)
		return archive_fail(taking);
	while ((r = archive_read_next_header(taking->archive, &from)) == ARCHIVE_OK) {
		r = next_visit(taking, from, entry_visit);
		if (r < 0)
			return r;
	}
	return r == ARCHIVE_EOF ? 0 : archive_fail(taking);
}

/* What a layer takes away of those below it, and what it puts another thing in the place of. A folder stays. */
static int layer_clear(const struct taking *taking)
{
	static const char opaque[] = KT_PLACE_WHITEOUT KT_PLACE_WHITEOUT ".opq";
	const struct kt_place *place = taking->place;

	for (size_t i = 0; i < taking->names.count; i++) {
		const struct kt_name *name = &taking->names.list[i];
		const char *slash = strrchr(name->path, '/'), *leaf = slash ? slash + 1 : name->path;
		bool is_whiteout = strncmp(leaf, KT_PLACE_WHITEOUT, strlen(KT_PLACE_WHITEOUT)) == 0;
		char path[KT_PLACE_NAME_MAX], below[KT_MANIFEST_PATH_MAX];
		struct stat info;
		int folder = slash ? (int)(slash - name->path) : 0, r;

		if (strcmp(leaf, opaque) == 0)
			(void)snprintf(below, sizeof(below), "%.*s", folder, name->path);
		else
			(void)snprintf(below, sizeof(below), "%.*s%s%s", folder, name->path, folder ? "/" : "",
				       leaf + (is_whiteout ? strlen(KT_PLACE_WHITEOUT) : 0));
		if (!kt_layout_root_takes(below))
			continue;
		(void)kt_place_name(place, below, path);
		if (name->kind == KT_NAME_FOLDER &&
		    (fstatat(place->dir, path, &info, AT_SYMLINK_NOFOLLOW) < 0 || S_ISDIR(info.st_mode)))
			continue;
		r = kt_fs_remove_tree(place->dir, path, taking->err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int descriptor_take(int fd, bool is_apk, struct kt_place *place, struct kt_error *err)
{
	KT_OWN(taking_done)
	struct taking taking = {.place = place, .spool = {.fd = -1}, .is_concatenated = is_apk, .err = err};
	struct stat info;
	int r;

	if (fstat(fd, &info) < 0)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot open it");
	if (!S_ISREG(info.st_mode))
		return kt_fail(err, EINVAL, KT_REASON_BUNDLE_INVALID, "neither a tree nor a tarball");
	r = kt_spool_open(fd, place, &taking.spool, err);
	if (r == 0)
		r = names_pass(&taking);
	if (r == 0 && place->layout == KT_LAYOUT_RELEASE)
		r = kt_names_prefix(&taking.names, taking.prefix, sizeof(taking.prefix), err);
	if (r == 0)
		r = kt_names_check(&taking.names, err);
	if (r == 0 && place->is_layered)
		r = layer_clear(&taking);
	return r < 0 ? r : files_pass(&taking);
}

int kt_archive_take(const char *path, struct kt_place *place, struct kt_error *err)
{
	KT_OWN(kt_close_fd) int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	size_t length = strlen(path);

	if (fd < 0)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot open it");
	return descriptor_take(fd,
			       place->layout == KT_LAYOUT_ROOT && length > 4 && strcmp(path + length - 4, ".apk") == 0,
			       place, err);
}

int kt_layer_take(int fd, struct kt_place *place, struct kt_error *err)
{
	return descriptor_take(fd, false, place, err);
}
