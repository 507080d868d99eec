/* What the Node object should say, and the patches from what it says to that. Pure: no clock, no network. */
#ifndef KONTAIN_KUBE_REPORT_H
#define KONTAIN_KUBE_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kontain/base/error.h"
#include "kontain/contract/state.h"

#define KT_CONDITION_TYPE "kontain.app/KMReady"
#define KT_TAINT_KEY      "kontain.app/not-ready"
#define KT_TAINT_EFFECT   "NoSchedule"
/* What the API server calls the writer of our fields: a user agent's name up to its slash. */
#define KT_FIELD_MANAGER "kontaind"

/* Every label and annotation that is ours; "" stands for: not there. */
enum kt_report_key {
	KT_KEY_KM,
	KT_KEY_KM_VERSION,
	KT_KEY_HYPERVISOR,
	KT_KEY_KM_REFUSED,        /* the version asked for, where it did not come to be current */
	KT_KEY_KM_REFUSED_REASON, /* why */
	KT_KEY_LEGACY,
	KT_KEY_KM_DIGEST,
	KT_KEY_PREVIOUS_VERSION,
	KT_KEY_UPGRADE_STATE,
	KT_KEY_COUNT
};

#define KT_REPORT_VALUE_MAX   128
#define KT_REPORT_MESSAGE_MAX 640

enum kt_condition_status { KT_CONDITION_UNKNOWN, KT_CONDITION_FALSE, KT_CONDITION_TRUE };

/* What the world should see. */
struct kt_report {
	bool hold;   /* nothing new to say: a condition of this boot stays as it is */
	bool absent; /* take everything back */
	bool manage_legacy;
	enum kt_condition_status status;
	char reason[64];
	char message[KT_REPORT_MESSAGE_MAX]; /* the sentence and the boot id */
	char boot_id[37];
	char value[KT_KEY_COUNT][KT_REPORT_VALUE_MAX];
};

struct kt_report_input {
	const struct kt_state *state; /* NULL when there is none that may be believed */
	const struct kt_error *why;   /* then: why not */
	const char *boot_id;
	bool desired_absent;
	bool legacy_label;
};

void kt_report_decide(const struct kt_report_input *input, struct kt_report *ret_report);
/* The same in everything but the sentence? */
bool kt_report_is_same(const struct kt_report *a, const struct kt_report *b);
/* The same but for the figures in it, as in "overdue by 3 s": no news. */
bool kt_report_is_same_sentence(const char *a, const char *b);
const char *kt_condition_status_name(enum kt_condition_status status);

/* The parts of a Node that matter here, as last read. */
struct kt_node_view {
	char uid[40];                                  /* of the Node object; "" when unknown */
	uint64_t revision;                             /* metadata.resourceVersion; 0 when it has no order */
	char value[KT_KEY_COUNT][KT_REPORT_VALUE_MAX]; /* one that is too long shows as "?": it differs */
	bool legacy_is_ours;                           /* by metadata.managedFields */
	bool has_condition;
	bool condition_whole; /* all fields and times are there */
	char status[16];
	char reason[64];
	char message[KT_REPORT_MESSAGE_MAX];
	char last_transition[40];
	int64_t last_heartbeat; /* Unix seconds, 0 when unknown */
	int taint_index;        /* -1 when our taint is not there */
	char *taint;            /* owned: the whole taint object, as JSON */
};

/* A Node of that name, or an error: a lying server must not be believed. Replaces *view. */
int kt_node_view_parse(const char *bytes, size_t size, const char *name, struct kt_node_view *view,
		       struct kt_error *err);
/* One line of a watch. -ESTALE: the server has ended the watch with 410, -EREMOTEIO: with another error. */
enum kt_node_event { KT_NODE_SEEN, KT_NODE_DELETED, KT_NODE_BOOKMARK };
int kt_node_event_parse(const char *bytes, size_t size, const char *name, enum kt_node_event *ret_event,
			struct kt_node_view *view, struct kt_error *err);
/* Of the same Node, and from before the other one? False where it cannot be known. */
bool kt_node_view_is_older(const struct kt_node_view *view, const struct kt_node_view *than);
void kt_node_view_done(struct kt_node_view *view);

/* Each returns an owned JSON document in *ret_patch, NULL when nothing differs; -ENOMEM. */
/* application/merge-patch+json on the node: labels and annotations. */
int kt_report_patch_meta(const struct kt_report *report, const struct kt_node_view *view, char **ret_patch);
/* application/strategic-merge-patch+json on the node's status; `beat` writes though nothing differs but a figure. */
int kt_report_patch_condition(const struct kt_report *report, const struct kt_node_view *view, int64_t now, bool beat,
			      char **ret_patch);
/* application/json-patch+json on the node: test and remove of the whole start-up taint. */
int kt_report_patch_taint(const struct kt_report *report, const struct kt_node_view *view, char **ret_patch);
/* Does the node say something else than the report, in more than a sentence? */
bool kt_report_is_undone(const struct kt_report *report, const struct kt_node_view *view);
/* Differs the condition in nothing but its sentence? Such a write can wait. */
bool kt_report_only_message(const struct kt_report *report, const struct kt_node_view *view);

#endif
