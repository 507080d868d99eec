/* The host's rules and the checks of KVM, one after the other, with their rows in one list. */
#include <string.h>

#include "host/host.h"
#include "kvm/kvm.h"

/* Which modules are there is reported as it is, not as it was before some were loaded. The host's rows come first. */
static void look_again(const char *host, struct kt_probe *probe)
{
	struct kt_checks again = {.count = 0};

	kt_host_look(host, &probe->host, &again);
	memcpy(probe->checks.list, again.list, again.count * sizeof(again.list[0]));
}

void kt_node_probe(const struct kt_node_paths *paths, bool load_modules, kt_node_announce *announce, void *context,
		   struct kt_probe *ret_probe)
{
	struct kt_kvm_checking checking = {.paths = paths,
					   .load_modules = load_modules,
					   .probe = ret_probe,
					   .announce = announce,
					   .context = context};

	ret_probe->checks.count = 0;
	kt_host_look(paths->host, &ret_probe->host, &ret_probe->checks);
	kt_kvm_check(&checking);
	if (checking.has_loaded)
		look_again(paths->host, ret_probe);
}
