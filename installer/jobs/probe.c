#include <stdio.h>

#include "jobs.h"
#include "kontain/base/own.h"
#include "kontain/contract/statejson.h"

/* A line a document; the last one counts. Flushed, as what comes next may be the end of us. */
static void tell(void *context, const struct kt_probe *probe)
{
	KT_OWN(kt_free_mem) char *text = kt_probe_print(probe);
	bool *failed = context;

	if (text == NULL || puts(text) == EOF || fflush(stdout) == EOF)
		*failed = true;
}

int kt_job_probe(const struct kt_installer *installer, const char *version)
{
	struct kt_probe probe = {.kvm.api_version = -1};
	bool failed = false;

	(void)version;
	kt_node_probe(&installer->paths, installer->config.load_modules && !installer->options.dry_run,
		      installer->options.verbose ? tell : NULL, &failed, &probe);
	tell(&failed, &probe);
	return failed ? KT_EXIT_FAILED : KT_EXIT_DONE;
}
