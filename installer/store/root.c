/* What lies in the root itself: whose it is, the two pointers, the five links. Landing, inventory, verification and
 * setting aside ask here, so that what one of them refuses the others report. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "kontain/base/fs.h"

/* The links first: what a pod runs by its path is found by them. */
static const char *entry_name(size_t i)
{
	static const char *const pointers[] = {KT_STORE_CURRENT, KT_STORE_PREVIOUS};

	return i < KT_COMPONENT_LINKED ? kt_component_folder(kt_component_names[i]) : pointers[i - KT_COMPONENT_LINKED];
}

int kt_root_entry(const struct kt_store *store, const char *name, enum kt_entry *ret_entry)
{
	char wanted[KT_PLACE_MAX], target[KT_PLACE_MAX];
	int r = kt_fs_read_link(store->dir, name, target, sizeof(target));

	(void)snprintf(wanted, sizeof(wanted), KT_STORE_CURRENT "/%s", name);
	*ret_entry = KT_ENTRY_FOREIGN;
	if (r == -ENOENT)
		*ret_entry = KT_ENTRY_MISSING;
	else if (r == -EINVAL && kt_is_skeleton(store->dir, name))
		*ret_entry = KT_ENTRY_SKELETON;
	else if ((r == 0 || r == -ENAMETOOLONG) &&
		 !kt_is_linked_folder(name)) /* a pointer: what it names is replaced */
		*ret_entry = KT_ENTRY_OURS;
	else if (r == 0 && strcmp(target, wanted) == 0)
		*ret_entry = KT_ENTRY_OURS;
	return r == -ENOENT || r == -EINVAL || r == -ENAMETOOLONG ? 0 : r;
}

struct finding {
	kt_root_visit *visit;
	void *context;
	bool is_serving;
};

static int folder_visit(void *context, const struct kt_difference *difference)
{
	const struct finding *finding = context;
	char text[256];

	if (!finding->is_serving && difference->flaw == KT_FLAW_MISSING)
		return 0;
	kt_difference_print(difference, "", text, sizeof(text));
	finding->visit(finding->context, kt_difference_reason(difference), text + (text[0] == '/'));
	return 0;
}

/* One is enough: nothing is landed beside it. */
static int foreign_find(const struct kt_store *store, enum kt_claim *ret_claim, const struct finding *finding)
{
	enum kt_entry entry = KT_ENTRY_OURS;
	char foreign[256], text[256];
	int r = kt_store_claim(store, ret_claim, foreign);

	if (r == 0 && foreign[0]) {
		(void)snprintf(text, sizeof(text),
			       "%.100s is there and was not made by kontain-installer: there is no file " KT_STORE_OWNER
			       " beside it",
			       foreign);
		finding->visit(finding->context, KT_REASON_FOREIGN_INSTALLATION, text);
		return 0;
	}
	for (size_t i = 0; r == 0 && i < KT_COMPONENT_LINKED + 2; i++) {
		r = kt_root_entry(store, entry_name(i), &entry);
		if (r < 0 || entry != KT_ENTRY_FOREIGN)
			continue;
		(void)snprintf(text, sizeof(text), "%.100s is there and was not made by kontain-installer",
			       entry_name(i));
		finding->visit(finding->context, KT_REASON_FOREIGN_INSTALLATION, text);
		break;
	}
	return r;
}

int kt_root_check(const struct kt_store *store, bool asks_links, enum kt_claim *ret_claim, kt_root_visit *visit,
		  void *context)
{
	struct finding finding = {visit, context, false};
	char current[KT_VERSION_MAX];
	int r = foreign_find(store, ret_claim, &finding);

	/* Without current nothing serves: a first landing or an uninstallation was interrupted, and links and folders may
	 * be missing. */
	finding.is_serving = kt_place_read_pointer(store->dir, KT_STORE_CURRENT, current) == 0;
	asks_links = asks_links && finding.is_serving;
	for (size_t i = 0; r == 0 && asks_links && i < KT_COMPONENT_LINKED; i++) {
		enum kt_entry entry;
		char text[64];

		r = kt_root_entry(store, entry_name(i), &entry);
		if (r < 0 || entry == KT_ENTRY_OURS || entry == KT_ENTRY_FOREIGN)
			continue;
		(void)snprintf(text, sizeof(text), "%s does not lead to the current set", entry_name(i));
		visit(context, KT_REASON_STORE_DAMAGED, text);
	}
	return r < 0 ? r : kt_folders_check(store, folder_visit, &finding);
}
