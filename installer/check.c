/* Can this host run Kontain payloads? Needs no installation and changes nothing: no module is loaded either. */
#include "observe.h"
#include "print.h"
#include "verbs.h"

int kt_verb_check(struct kt_installer *installer)
{
	struct kt_observed observed = {.store_open = false};
	struct kt_state state;

	installer->options.dry_run = true;
	kt_state_init(&state);
	kt_observe_node(installer, &observed);
	state.kvm = observed.kvm;
	state.host = observed.host;
	kt_state_stamp(&state);
	kt_verdict_set(&state.node, false, KT_REASON_STARTING,
		       "not proven: only a payload under a landed km proves a node, see install and status");
	return kt_print_check(&installer->options, &state);
}
