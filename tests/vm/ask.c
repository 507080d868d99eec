/* kt-vm-ask MODULE...: what libkmod itself answers when it is to load them as `modprobe -b` does, one after the other,
 * up to the first that fails: "kvm 0 kvm_amd 131072"; "none" where no such module is found. The installer's answers are
 * compared with these. */
#include <errno.h>
#include <libkmod.h>
#include <stdio.h>

static void ask(struct kmod_ctx *context, const char *name, int *ret_code)
{
	struct kmod_list *list = NULL;
	struct kmod_module *module;
	int code = kmod_module_new_from_lookup(context, name, &list);

	*ret_code = code;
	if (code < 0 || !list) {
		printf("%s %s ", name, code < 0 ? "unknown" : "none");
		*ret_code = -ENOENT;
		return;
	}
	module = kmod_module_get_module(list);
	*ret_code = kmod_module_probe_insert_module(module, KMOD_PROBE_APPLY_BLACKLIST, NULL, NULL, NULL, NULL);
	printf("%s %d ", name, *ret_code);
	kmod_module_unref(module);
	kmod_module_unref_list(list);
}

int main(int argc, char **argv)
{
	struct kmod_ctx *context = kmod_new(NULL, NULL);
	int code = 0;

	if (!context)
		return 1;
	for (int i = 1; i < argc && code == 0; i++)
		ask(context, argv[i], &code);
	kmod_unref(context);
	return 0;
}
