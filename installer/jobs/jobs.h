/* The one table of jobs: what this program runs as a process of its own, because it may hang or crash, or because it
 * takes rights that nothing else has. The agent asks the runner for them, a person's command starts them, a shell
 * runs them by name: one door. */
#ifndef KT_JOBS_JOBS_H
#define KT_JOBS_JOBS_H

#include <stdbool.h>
#include <stdint.h>

#include "installer.h"

enum kt_job_kind {
	KT_JOB_CHILD,      /* a process that is waited for */
	KT_JOB_BACKGROUND, /* a process that goes on beside the reconciles */
	KT_JOB_RUNNER,     /* a question that the runner answers itself */
};

/* What may be opened (Landlock). Who is confined cannot mount, nor can its children: a proof's view is made of
 * mounts. */
enum kt_job_files {
	KT_JOB_FILES_ALL,
	KT_JOB_FILES_READ, /* reads all, writes nothing but devices */
};

struct kt_job {
	const char *name;
	enum kt_job_kind kind;
	bool takes_version;
	bool takes_bundle;
	bool tells_steps;  /* answers before each step, too, in case it does not come back: the last line counts */
	bool has_progress; /* what it writes to stderr goes into our log as it comes */
	unsigned timeout_max_ms; /* no request may ask for longer */
	uint64_t capabilities;   /* bits by number, linux/capability.h */
	enum kt_job_files files;
	const char *does;    /* for the docs: one clause */
	const char *answers; /* members of its answer */
	/* Prints its answer on stdout, returns the exit status. version: "" for none. NULL for the runner's own. */
	int (*run)(const struct kt_installer *installer, const char *version);
};

extern const struct kt_job kt_jobs[];
extern const size_t kt_job_count;

/* NULL: there is no such job. */
const struct kt_job *kt_job_find(const char *name);
/* What the runner holds, as it starts them: the rights of all jobs. */
uint64_t kt_job_all_capabilities(void);

int kt_job_probe(const struct kt_installer *installer, const char *version);
int kt_job_selftest(const struct kt_installer *installer, const char *version);
int kt_job_land(const struct kt_installer *installer, const char *version);
int kt_job_remove(const struct kt_installer *installer, const char *version);
int kt_job_sweep(const struct kt_installer *installer, const char *version);
int kt_job_scrub(const struct kt_installer *installer, const char *version);

#endif
