/* A release tarball, read by libarchive and by this file alone. libarchive only reads: its own disk writer follows
 * parents that are swapped under it. An entry is refused for what it could do, whether the bundle would take it or not:
 * nobody who puts such an entry into a release is to be trusted with the rest. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "kontain/fs.h"
#include "kontain/own.h"
#include "kontain/paths.h"
#include "layout.h"
#include "sources.h"

#define READ_BLOCK (256 * 1024)

static void archive_drop(struct archive **archive)
{
	if (*archive)
		(void)archive_read_free(*archive);
}

static int archive_fail(struct archive *archive, struct kt_error *err)
{
	const char *text = archive_error_string(archive);
	int code = archive_errno(archive);

	return kt_fail(err, code > 0 ? code : EINVAL, KT_REASON_BUNDLE_INVALID, "it is damaged or no tar archive: %.200s",
		       text ? text : "unreadable");
}

static int refuse(const char *path, const char *what, struct kt_error *err)
{
	char shown[KT_SHOWN_MAX];

	return kt_fail(err, EINVAL, KT_REASON_BUNDLE_INVALID, "%s %s", kt_path_show(path, shown), what);
}

/* What no bundle's file has, told before its content is looked at. */
static const char *entry_flaw(struct archive_entry *entry)
{
	mode_t type = archive_entry_filetype(entry);
	unsigned long set = 0, clear = 0;

	if (archive_entry_hardlink(entry))
		return NULL;
	if (type != AE_IFREG && type != AE_IFDIR && type != AE_IFLNK)
		return "is no plain file, folder or link";
	if (type == AE_IFREG && (archive_entry_mode(entry) & (S_ISUID | S_ISGID)))
		return "is setuid or setgid: no bundle has that";
	if (archive_entry_sparse_count(entry) > 0)
		return "is sparse: pack the release without --sparse";
	archive_entry_fflags(entry, &set, &clear);
	if (archive_entry_xattr_count(entry) > 0 || archive_entry_acl_types(entry) != 0 || set != 0)
		return "has extended attributes, an ACL or flags: no bundle has that";
	return NULL;
}

static int content_take(struct archive *archive, struct archive_entry *entry, const char *path, struct kt_place *place,
			struct kt_error *err)
{
	KT_OWN(kt_close_fd) int fd = kt_place_file(place, path, (archive_entry_perm(entry) & 0111) != 0, err);
	int64_t expected = archive_entry_size_is_set(entry) ? archive_entry_size(entry) : 0, at = 0;
	const void *block;
	size_t size;
	la_int64_t offset;
	int r;

	if (fd < 0)
		return fd;
	while ((r = archive_read_data_block(archive, &block, &size, &offset)) == ARCHIVE_OK) {
		if (offset != at)
			return refuse(path, "has a hole", err);
		if (kt_place_write(place, fd, path, block, size, err) < 0)
			return -err->code;
		at += (int64_t)size;
	}
	if (r != ARCHIVE_EOF)
		return archive_fail(archive, err);
	return at == expected ? 0 : refuse(path, "has another size than the archive says", err);
}

/* The one kind of hard link that releases have: to a plain file that came before (krun and krun-label-trigger). It
 * becomes a file of its own: damage in one is never damage in another. */
static int hard_link_take(const char *target_raw, const char *path, struct kt_place *place, struct kt_error *err)
{
	char copy[KT_MANIFEST_PATH_MAX + 1];
	const char *target, *flaw;
	struct stat info;

	if (snprintf(copy, sizeof(copy), "%s", target_raw) >= (int)sizeof(copy))
		return refuse(path, "is a hard link to a name that is too long", err);
	target = kt_layout_strip(copy);
	flaw = target ? kt_path_flaw(target) : "is a folder";
	if (flaw)
		return refuse(path, "is a hard link that leads out of the archive", err);
	if (!kt_layout_takes(path))
		return 0;

	KT_OWN(kt_close_fd) int fd = kt_fs_open_beneath(place->dir, target, O_RDONLY | O_NOFOLLOW, 0);

	if (fd < 0 || fstat(fd, &info) < 0 || !S_ISREG(info.st_mode))
		return refuse(path, "is a hard link to what is no earlier file of the bundle", err);
	return kt_place_copy(place, fd, path, (info.st_mode & 0111) != 0, err);
}

static int entry_take(struct archive *archive, struct archive_entry *entry, struct kt_place *place, struct kt_error *err)
{
	const char *raw = archive_entry_pathname(entry), *link = archive_entry_hardlink(entry), *path, *flaw;
	char copy[KT_MANIFEST_PATH_MAX + 16];
	mode_t type = archive_entry_filetype(entry);
	int r;

	if (!raw || !*raw)
		return kt_fail(err, EINVAL, KT_REASON_BUNDLE_INVALID, "an entry has an empty or unreadable name");
	if (snprintf(copy, sizeof(copy), "%s", raw) >= (int)sizeof(copy))
		return refuse(raw, "has a name that is too long", err);
	path = kt_layout_strip(copy);
	if (!path) /* the archive's own top folder */
		return type == AE_IFDIR && !link ? 0 : refuse(raw, "is no folder", err);
	r = kt_place_admit(place, path, err);
	if (r < 0)
		return r;
	flaw = entry_flaw(entry);
	if (flaw)
		return refuse(path, flaw, err);
	if (link)
		return hard_link_take(link, path, place, err);
	if (type == AE_IFDIR ? !kt_layout_enters(path) : !kt_layout_takes(path)) {
		kt_place_leave_out(place, path);
		return 0;
	}
	if (type == AE_IFDIR) /* folders are made with the files in them */
		return 0;
	if (type == AE_IFLNK)
		return kt_place_link(place, path, archive_entry_symlink(entry) ? archive_entry_symlink(entry) : "", err);
	return content_take(archive, entry, path, place, err);
}

int kt_archive_take(const char *path, struct kt_place *place, struct kt_error *err)
{
	KT_OWN(archive_drop) struct archive *archive = archive_read_new();
	struct archive_entry *entry;
	int r;

	if (!archive)
		return kt_fail(err, ENOMEM, KT_REASON_INTERNAL, "out of memory");
	if (archive_read_support_format_tar(archive) != ARCHIVE_OK ||
	    archive_read_support_filter_gzip(archive) != ARCHIVE_OK ||
	    archive_read_support_filter_xz(archive) != ARCHIVE_OK ||
	    archive_read_support_filter_zstd(archive) != ARCHIVE_OK ||
	    archive_read_support_filter_bzip2(archive) != ARCHIVE_OK)
		return archive_fail(archive, err);
	if (archive_read_open_filename(archive, path, READ_BLOCK) != ARCHIVE_OK)
		return archive_fail(archive, err);
	while ((r = archive_read_next_header(archive, &entry)) == ARCHIVE_OK) {
		r = entry_take(archive, entry, place, err);
		if (r < 0)
			return r;
	}
	if (r != ARCHIVE_EOF)
		return archive_fail(archive, err);
	return place->entry_count > 0 ? 0 : kt_fail(err, EINVAL, KT_REASON_BUNDLE_INVALID, "it is empty");
}
