/* The store: what lies under /opt/kontain. See installer/store/README.md for the layout.
 *
 *   bin runtime alpine-lib lib shim -> current/<same>   made once
 *   current -> sets/<version>      previous -> sets/<version>
 *   sets/<version>/                links into versions/, and the manifest, written last
 *                                  (and of a component the list .files)
 *   versions/<component>/<version>/ complete, synced, never edited again
 *   .partial-*  .kept-*  .failed-<digest>  .held-<digest>  .pinned  .activated  .owner */
#ifndef KONTAIN_STORE_H
#define KONTAIN_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "kontain/base/error.h"
#include "kontain/base/proc.h"
#include "kontain/bundle/bundle.h"
#include "kontain/bundle/elf.h"
#include "kontain/contract/state.h"

struct kt_store {
	int dir;        /* owned: the root directory */
	int lock;       /* owned: flock on the folder above, -1 when not locked */
	char root[256]; /* as the host names it: /opt/kontain */
	char path[512]; /* as this process reaches it: /host/opt/kontain */
	char filesystem[16];
	bool journalling;
};

/* Opens the root (host_prefix + root), creating it 0755 root:root when `create`; checks that it is a real directory
 * reached without links, root-owned, not group- or world-writable, not noexec, not read-only.
 * StoreNotDirectory, StoreUnsafe, StoreNoexec, StoreReadOnly; NoVersion (ENOENT) when absent and not `create`.
 * host_prefix is "" or "/host". With is_reader, a read-only or noexec store is opened all the same. */
enum kt_store_mode { KT_STORE_READ, KT_STORE_WRITE, KT_STORE_CREATE };
int kt_store_open(const char *host_prefix, const char *root, enum kt_store_mode mode, struct kt_store *ret_store,
		  struct kt_error *err);
void kt_store_done(struct kt_store *store);

/* Which of these roots (one at least) is to be the store: the first that is there and can be used, else the first
 * that can be made, else one whose trouble is to be reported. Changes nothing. */
size_t kt_store_choose(const char *host_prefix, const char *const roots[], size_t count);

/* Which agent made the current version current (.activated). name: the host's or pod's; pid, start: its process by the
 * numbers of the host, and when that began, in clock ticks since boot (proc(5)). */
struct kt_activator {
	char version[KT_VERSION_MAX];
	char name[65];
	int pid;
	uint64_t start;
	char boot_id[37];
};
/* The process that started this one: a job's runner, and the agent's too. False where /proc of the host does not
 * tell. */
bool kt_activator_of_parent(const char *host, const char *version, struct kt_activator *ret_activator);
bool kt_activator_is_same(const struct kt_activator *a, const struct kt_activator *b);
bool kt_activator_lives(const char *host, const struct kt_activator *activator);

/* Lock held. NULL: a person did it, no agent. */
int kt_store_note_activator(const struct kt_store *store, const struct kt_activator *activator, struct kt_error *err);
bool kt_store_read_activator(const struct kt_store *store, struct kt_activator *ret_activator);

/* One installer at a time: flock(2) of the folder above the root, which pods are not given. wait_ms 0: Locked at once,
 * naming who holds it. */
int kt_store_lock(struct kt_store *store, unsigned wait_ms, struct kt_error *err);

/* What is there, seen without a lock. Sets without a manifest are not there. */
struct kt_inventory {
	char current[KT_VERSION_MAX];
	char previous[KT_VERSION_MAX];
	char km_version[KT_VERSION_MAX];
	char km_digest[KT_DIGEST_HEX];
	size_t set_count;
	char sets[KT_STATE_LIST_MAX][KT_VERSION_MAX]; /* newest first by mtime; capped */
	char manifest_sha256[KT_DIGEST_HEX];          /* of the current set's manifest, "" when none */
	bool is_ours;                                 /* made by us: .owner is there */
	bool is_foreign;   /* something is there that we did not make: real bin/, runtime/ ... */
	bool is_adoptable; /* what is foreign is an earlier installer's, whole enough for kt_store_adopt */
	bool is_whole;     /* current set: names, links, sizes, modes, owners as landed, and digests of what changed */
	char damage[256];  /* first thing that is not */
	enum kt_reason damage_reason; /* StoreFileLost, StoreFileChanged, StoreDamaged, ForeignInstallation */
	int64_t verified_at; /* Unix s: the current set was read to its last byte then, as by its landing; 0: never */
	bool is_unread;      /* something of it is new or touched since: kt_store_verify is wanted */
};
int kt_store_inventory(const struct kt_store *store, struct kt_inventory *ret_inventory, struct kt_error *err);

/* Any set, as an inventory looks at the current one; but of what nothing was noted of nothing is read. */
struct kt_look {
	bool is_whole;
	bool is_old; /* in the layout of an earlier kontain-installer: whole as far as names tell */
	char damage[256];
	enum kt_reason damage_reason;
};
void kt_store_look(const struct kt_store *store, const char *version, struct kt_look *ret_look);

/* Copies and verifies the missing components and writes the set; lock held. Sweeps partials first. `progress` (may be
 * NULL) is called with what is being copied (a component's name; "" before the first) and bytes done and to do.
 * After it the set is complete, synced, and not yet seen by anyone.
 * VersionConflict, DigestMismatch, DiskFull, ElfInvalid ... ret_staged may be NULL. */
struct kt_staged {
	uint64_t bytes_written; /* of files */
	/* What was not there before in any form: what was damaged and is whole now is not among it. */
	bool has_new_set;
	size_t place_count;
	char places[KT_COMPONENT_MAX][160]; /* "versions/km/0.10.3" */
};
typedef void kt_store_progress(void *context, const char *part, uint64_t done_bytes, uint64_t total_bytes);
int kt_store_stage(struct kt_store *store, struct kt_bundle *bundle, kt_store_progress *progress, void *context,
		   struct kt_staged *ret_staged, struct kt_error *err);

/* previous <- current, current <- version, five links made when missing, sync. Lock held. */
int kt_store_activate(struct kt_store *store, const char *version, struct kt_error *err);
/* Moves back after a failed activation: current <- version ("": no current), previous <- previous. */
int kt_store_restore(struct kt_store *store, const char *current, const char *previous, struct kt_error *err);

/* Takes a version that failed away again, of it what this landing staged anew and nothing else; not what is pinned or
 * used. InUse when it is current or previous. Lock held. */
int kt_store_drop_staged(struct kt_store *store, const char *version, const struct kt_staged *staged,
			 struct kt_error *err);

/* Who holds what lies in the store: one row for each process and place, and for each place one of the host's own
 * mounts, which are nobody's. Our own program, and what it started, holds nothing. */
struct kt_user {
	pid_t pid;                            /* as the proc filesystem that was read counts; 0 for a mount */
	char program[KT_PROCESS_PROGRAM_MAX]; /* printable */
	/* "versions/km/0.10.3", "sets/0.10.3", ".kept-1-sets-0.10.3"; for a mount also "." (the root), "sets", "versions",
	 * "versions/km"; "" for any: it may not be looked into */
	char place[160];
	const char *how; /* static: the words between program and place; for a mount those before its point */
	char mount[128]; /* where; "" for a process */
};
struct kt_users {
	struct kt_user *list; /* owned; the rows of a process follow each other */
	size_t count;
	size_t unseen; /* processes that this one may not look into: CAP_SYS_PTRACE is wanted */
};
/* Reads /proc of the host that the store was opened on, which must be a proc filesystem (ProcMissing). */
int kt_store_find_users(const struct kt_store *store, struct kt_users *ret_users, struct kt_error *err);
/* The same of what is kept aside alone. */
int kt_store_find_kept_users(const struct kt_store *store, struct kt_users *ret_users, struct kt_error *err);
void kt_users_done(struct kt_users *users); /* for KT_OWN */
/* "process 12 (km) runs from it", "something is mounted at /opt/kontain/sets/0.10.3" */
void kt_user_print(const struct kt_user *user, char *ret_text, size_t size);
/* The first that holds this place, NULL for none; users may be NULL. Borrowed. */
const struct kt_user *kt_users_find(const struct kt_users *users, const char *place);
/* InUse, naming at most eight processes; 0 when there are none. */
int kt_users_refuse(const struct kt_users *users, const char *root, struct kt_error *err);
/* The same of everybody who uses the store now. */
int kt_store_refuse_used(const struct kt_store *store, struct kt_error *err);

/* What is never pruned, though nobody holds it now: "VERSION" for a set, "COMPONENT/VERSION" for a component. */
#define KT_PINS_MAX 64
#define KT_PIN_MAX  96
struct kt_pins {
	size_t count;
	char names[KT_PINS_MAX][KT_PIN_MAX];
};
/* A file of them that cannot be understood is StoreDamaged: nothing may be pruned then. */
int kt_store_read_pins(const struct kt_store *store, struct kt_pins *ret_pins, struct kt_error *err);
/* Pins, or no more. Lock held. NoVersion when that is not here. */
int kt_store_pin(struct kt_store *store, const char *name, bool is_pinned, struct kt_error *err);
/* place as in kt_user. */
bool kt_pins_have(const struct kt_pins *pins, const char *place);

/* What becomes of a set, and why. */
enum kt_fate {
	KT_FATE_REMOVED,
	KT_FATE_REMNANT, /* removed too: a set without a manifest, which is not there */
	KT_FATE_CURRENT,
	KT_FATE_PREVIOUS,
	KT_FATE_NEWEST,
	KT_FATE_YOUNG,
	KT_FATE_IN_USE,
	KT_FATE_PINNED
};
/* user: who holds it, for KT_FATE_IN_USE alone. */
typedef void kt_prune_tell(void *context, const char *version, enum kt_fate fate, const struct kt_user *user);
struct kt_prune {
	unsigned keep_count;            /* sets that stay beside current and previous, the newest first */
	unsigned long older_than_s;     /* what is younger stays; 0: whatever its age */
	const char *spared;             /* a version that stays too, as one of the newest; NULL: none */
	bool is_dry_run;                /* tell, change nothing */
	struct kt_state_kept *ret_kept; /* what is kept aside after it; may be NULL */
	kt_prune_tell *tell;            /* may be NULL */
	void *context;
};
/* Removes sets, then the versions of components that no set names. What is pinned or used stays (ProcMissing when
 * nobody can be asked). NoVersion, and nothing is removed, when `current` names no set that is there, where one served
 * before. Lock held. */
int kt_store_prune(struct kt_store *store, const struct kt_prune *prune, size_t *ret_removed, struct kt_error *err);
/* Removes what we made, then the root if it is empty; lock held. InUse while anybody uses a version, or has the root
 * or a part of it mounted, and then nothing is removed. is_forced: whoever uses it, and a folder that somebody has
 * mounted stays, empty: the next installation is seen in it. *ret_root_kept: the root is such a one. A foreign file
 * is named in err (ForeignInstallation) and kept. */
int kt_store_uninstall(struct kt_store *store, bool is_forced, bool *ret_root_kept, struct kt_error *err);

/* What was replaced or removed while it was used, and by whom it is used now; `asks` reads /proc, without it nobody is
 * named. */
int kt_store_list_kept(const struct kt_store *store, bool asks, struct kt_state_kept *ret_kept, struct kt_error *err);
/* Removes what nobody uses any more; what stays is reported. Lock held. */
int kt_store_clear_kept(struct kt_store *store, struct kt_state_kept *ret_kept, struct kt_error *err);

/* Makes a version legacy-<digest> of the real bin/, runtime/ ... that an earlier installer left, current, and their
 * links in their place, without a moment in which a name is missing; takes the lock. Not proven: what ran before runs.
 * ForeignInstallation when they keep no contract, and then nothing was changed. A link that leads out of its tree is no
 * part of the version: left_out (may be NULL) is called for each, by its place below the root and how it leaves. */
typedef void kt_store_left_out(void *context, const char *path, const char *how);
int kt_store_adopt(struct kt_store *store, kt_store_left_out *left_out, void *context, char ret_version[KT_VERSION_MAX],
		   struct kt_error *err);
/* Moves what another installed here into a new directory beside the root, named in ret_place: for --force alone. */
int kt_store_set_aside(struct kt_store *store, char *ret_place, size_t place_size, struct kt_error *err);

/* Calls visit for each folder whose own entries say what is served, by its place below the root, which is "." and the
 * first. It need not be there. */
typedef void kt_store_visit_folder(void *context, const char *place);
void kt_store_each_folder(const struct kt_store *store, kt_store_visit_folder *visit, void *context);

/* Reads every byte of a set: digests, links, modes, the ELF contract; and sees of the root what an inventory sees.
 * ForeignInstallation, StoreFileLost, StoreFileChanged, StoreDamaged,
 * ElfInvalid ... name the first thing that is not as landed; all of it is read all the same. */
struct kt_verify {
	const char *version; /* NULL: the current one */
	bool is_strict;      /* findings are errors */
	bool is_switch_next; /* links that are missing in the root do not count: kt_store_activate makes them */
	/* What was read is noted in the store, so that inventories see a later edit by stat(2) alone, and the next landing
	 * writes anew what was found wrong. Takes the lock for a moment; where that cannot be had nothing is noted. */
	bool is_noted;
	kt_elf_finding *found; /* may be NULL */
	void *context;
};
int kt_store_verify(const struct kt_store *store, const struct kt_verify *how, struct kt_error *err);

/* .failed-<manifest digest>: what this bundle failed of here, how often and when, under which kernel, boot and
 * installer. Transient reasons are not remembered (0). 1 when it is believed from now on: at once for what the bundle's
 * bytes show, else when it failed some times over some minutes, by boot_s, which is CLOCK_BOOTTIME. */
int kt_store_remember_failure(struct kt_store *store, const char *manifest_sha256, const struct kt_error *failure,
			      int64_t boot_s, struct kt_error *err);
/* 1 when that is believed here and now: *ret_failure says why, when it was, and how to try again. 0 when not. */
int kt_store_recall_failure(const struct kt_store *store, const char *manifest_sha256, struct kt_error *ret_failure);
/* It works. 0 also when nothing was remembered. */
int kt_store_forget_failure(struct kt_store *store, const char *manifest_sha256, struct kt_error *err);
int kt_store_forget_failures(struct kt_store *store);

/* A bundle that a person rolled back from: the agent leaves it alone. Synced; lock held. NULL releases all. */
int kt_store_hold(struct kt_store *store, const char *manifest_sha256, const char *version, struct kt_error *err);
int kt_store_release(struct kt_store *store, const char *manifest_sha256, struct kt_error *err);
bool kt_store_is_held(const struct kt_store *store, const char *manifest_sha256);

/* The set's manifest, parsed. kt_manifest_done when finished. */
int kt_store_read_set(const struct kt_store *store, const char *version, struct kt_manifest *ret_manifest,
		      struct kt_error *err);

#endif
