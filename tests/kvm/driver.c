/* kt-node-driver probe DEV
 *      the KVM checks; no module is loaded
 * kt-node-driver prove STORE VERSION|- DEV TIMEOUT_MS strict|emulated [EXPECT ARG...]
 *      the proof, with a self-test of the set's own where one is named
 * Prints the JSON of the answer; 0 when it is ok, 1 when not, 2 on wrong usage. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kontain/base/own.h"
#include "kontain/contract/statejson.h"
#include "kontain/node/node.h"

static int probe(const char *dev)
{
	struct kt_node_paths paths = {.host = "", .dev = dev};
	struct kt_probe answer;

	kt_node_probe(&paths, false, NULL, NULL, &answer);

	KT_OWN(kt_free_mem) char *text = kt_probe_print(&answer);

	puts(text ? text : "{}");
	return !answer.kvm.verdict.ok;
}

static int prove(char **argv, int count)
{
	struct kt_selftest test = {
		.store_path = argv[0],
		.version = strcmp(argv[1], "-") == 0 ? NULL : argv[1],
		.dev = argv[2],
		.timeout_ms = (unsigned)strtoul(argv[3], NULL, 10),
		.allow_emulated = strcmp(argv[4], "emulated") == 0,
	};
	struct kt_state_proof proof;

	if (count > 6) {
		test.own_expect = argv[5];
		test.own_argv = (const char *const *)argv + 6;
	}
	kt_selftest_run(&test, &proof);

	KT_OWN(kt_free_mem) char *text = kt_proof_print(&proof);

	puts(text ? text : "{}");
	return !proof.verdict.ok;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "probe") == 0)
		return probe(argv[2]);
	if (argc >= 7 && strcmp(argv[1], "prove") == 0)
		return prove(argv + 2, argc - 2);
	fprintf(stderr, "usage: kt-node-driver probe DEV | "
			"prove STORE VERSION|- DEV TIMEOUT_MS strict|emulated [EXPECT ARG...]\n");
	return 2;
}
