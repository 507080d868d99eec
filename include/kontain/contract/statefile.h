/* The state file, read anew whenever it changes: made later, renamed into place, removed, its folder replaced. */
#ifndef KONTAIN_STATEFILE_H
#define KONTAIN_STATEFILE_H

#include <stdbool.h>
#include <sys/stat.h>

#include "kontain/contract/state.h"

struct kt_statefile {
	const char *path; /* borrowed */
	int inotify;      /* readable when something happened; -1: there is none, look by the clock */
	int watch;        /* on the file's folder, or on the nearest one above it that is there; -1: none */
	bool is_at_home;  /* the watch is on the file's own folder */
	int seen_problem; /* errno of the last look; 0: the file was there, and was `seen` */
	struct stat seen;
	bool has_state;
	struct kt_state state;
	struct kt_error why; /* when there is none */
};

/* Never fails: where inotify cannot be had, why says so in *ret_problem (borrowed; NULL when all is well). */
void kt_statefile_open(struct kt_statefile *file, const char *path, const char **ret_problem);
void kt_statefile_close(struct kt_statefile *file);

/* Takes what inotify has to say; true when it may concern the file. */
bool kt_statefile_take(struct kt_statefile *file);
/* Sets the watch where it belongs and reads the file if it is another than last time, or if told to. */
void kt_statefile_look(struct kt_statefile *file, bool read_anyway);

#endif
