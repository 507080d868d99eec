#include "jobs.h"

#include <linux/capability.h>
#include <string.h>

#define CAN(capability) (UINT64_C(1) << CAP_##capability)

/* A store in a folder of odd modes. */
#define READS CAN(DAC_OVERRIDE)
/* The proof's mount view and its own device node; it runs as nobody, without capabilities, and is ended when its time
 * is over. */
#define PROVES (CAN(SYS_ADMIN) | CAN(MKNOD) | CAN(SETUID) | CAN(SETGID) | CAN(SETPCAP) | CAN(KILL))
/* fchmod of what another uid copied; whose processes run from a version: /host/proc/PID/exe. */
#define KEEPS (CAN(FOWNER) | CAN(SYS_PTRACE))

#define SECONDS(n) ((n)*1000)
#define MINUTES(n) SECONDS((n)*60)

const struct kt_job kt_jobs[] = {
	/* A probe that loads modules may wait for firmware and udev; a guest has its own, shorter deadline. */
	{"probe", KT_JOB_CHILD, .tells_steps = true, .timeout_max_ms = SECONDS(20),
	 .capabilities = READS | CAN(SYS_MODULE), .files = KT_JOB_FILES_READ, .run = kt_job_probe,
	 .does = "checks KVM and the host, and loads KVM's modules", .answers = "kvm, host, checks"},
	/* Four payloads of at most a minute each. */
	{"selftest", KT_JOB_CHILD, .takes_version = true, .timeout_max_ms = MINUTES(4), .capabilities = READS | PROVES,
	 .run = kt_job_selftest, .does = "runs payloads under the km of a version, or of the live links",
	 .answers = "proof"},
	/* Some 300 MB: minutes on a slow disk, never longer than this. It proves what it landed; landed files are root's. */
	{"land", KT_JOB_CHILD, .takes_bundle = true, .has_progress = true, .timeout_max_ms = MINUTES(15),
	 .capabilities = READS | PROVES | KEEPS | CAN(CHOWN), .run = kt_job_land,
	 .does = "installs the bundle and makes it current, proven", .answers = "nothing, or error"},
	{"remove", KT_JOB_CHILD, .timeout_max_ms = MINUTES(5), .capabilities = READS | KEEPS, .run = kt_job_remove,
	 .does = "removes what was installed", .answers = "nothing, or error"},
	{"sweep", KT_JOB_CHILD, .timeout_max_ms = MINUTES(2), .capabilities = READS | KEEPS, .run = kt_job_sweep,
	 .does = "removes what was replaced while it was used, once nobody uses it", .answers = "kept, or error"},
	{"scrub", KT_JOB_BACKGROUND, .capabilities = READS, .run = kt_job_scrub,
	 .does = "reads every byte of the current version and notes what it found in the store", .answers = "nothing"},
	{"root", KT_JOB_RUNNER, .does = "chooses the store's root for all jobs until asked again", .answers = "root"},
	{"stuck", KT_JOB_RUNNER, .timeout_max_ms = SECONDS(10),
	 .does = "reports a job that was killed and is still in the kernel", .answers = "stuck"},
};

const size_t kt_job_count = sizeof(kt_jobs) / sizeof(kt_jobs[0]);

const struct kt_job *kt_job_find(const char *name)
{
	for (size_t i = 0; i < kt_job_count; i++)
		if (strcmp(kt_jobs[i].name, name) == 0)
			return &kt_jobs[i];
	return NULL;
}

uint64_t kt_job_all_capabilities(void)
{
	uint64_t all = 0;

	for (size_t i = 0; i < kt_job_count; i++)
		all |= kt_jobs[i].capabilities;
	return all;
}
