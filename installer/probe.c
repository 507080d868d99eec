#include <stdio.h>

#include "kontain/own.h"
#include "kontain/statejson.h"
#include "verbs.h"

int kt_verb_probe(struct kt_installer *installer)
{
	struct kt_state_kvm kvm = {.probed = true};
	struct kt_state_host host = {.probed = true};
	KT_OWN(kt_free_mem) char *answer = NULL;

	kt_kvm_probe(&installer->paths, installer->config.load_modules && !installer->options.dry_run, &kvm);
	/* after it: which modules are there is told as it is, not as it was before some were loaded */
	kt_host_probe(&installer->paths, &host);
	answer = kt_probe_print(&kvm, &host);
	if (answer == NULL)
		return KT_EXIT_FAILED;
	fputs(answer, stdout);
	return KT_EXIT_DONE;
}
