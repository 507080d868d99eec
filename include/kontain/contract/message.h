/* What the processes of the privileged half say to each other: JSON objects, a line each.
 *
 *   agent to runner   request   {"job", "version", "timeoutMs"} and not one word more
 *   runner to job     order     a request, and beside it "setup": places and config, as the runner read them once
 *   job to runner     answer    {"kvm", "host", "checks"}, {"proof"}, {} or {"error"}: the parts are in statejson.h
 *   runner to agent   reply     how the job ended with its answer, or {"error"}; and what the runner knows */
#ifndef KONTAIN_MESSAGE_H
#define KONTAIN_MESSAGE_H

#include "kontain/base/child.h"
#include "kontain/contract/config.h"
#include "kontain/contract/state.h"

#define KT_JOB_NAME_MAX      16
#define KT_REQUEST_BYTES_MAX 256 /* with its newline */
#define KT_PATH_BYTES_MAX    4096

struct kt_request {
	char job[KT_JOB_NAME_MAX];
	char version[KT_VERSION_MAX]; /* "": none */
	unsigned timeout_ms;
};

/* Owned, with a newline; NULL when memory is gone. */
char *kt_request_print(const struct kt_request *request);
/* Bytes of a process that may have been taken over: printable, not nested, those three keys and nothing else. Whether
 * there is such a job is for the caller to know. */
int kt_request_parse(const char *bytes, size_t size, struct kt_request *ret_request, struct kt_error *err);

struct kt_order {
	struct kt_request request;
	char host[KT_PATH_BYTES_MAX]; /* prefix of host paths: "" or "/host" */
	char dev[KT_CONFIG_PATH_MAX];
	char root[KT_CONFIG_PATH_MAX];  /* of the store, chosen */
	char bundle[KT_PATH_BYTES_MAX]; /* "": none */
	bool quiet;
	bool verbose;
	struct kt_config config;
};

/* Owned, with a newline. NULL when memory is gone or a path is not UTF-8. */
char *kt_order_print(const struct kt_order *order);
int kt_order_parse(const char *bytes, size_t size, struct kt_order *ret_order, struct kt_error *err);

/* Of a job whose process is held by the kernel; child 0: none is. */
struct kt_stuck_child {
	int child;
	int pid;          /* the last below it */
	char program[17]; /* of pid; printable */
	int64_t since;    /* Unix seconds */
};

struct kt_reply {
	struct kt_error error;        /* reason NONE when the job ran, whatever it answered */
	struct kt_child_result ended; /* its texts are owned: kt_reply_done */
	int64_t cpu_us;               /* what the runner and all that it ran have taken */
	bool is_verifying;            /* the verification in the background runs */
	struct kt_stuck_child stuck;
	char root[KT_CONFIG_PATH_MAX]; /* the store's, as chosen last */
};

char *kt_reply_print(const struct kt_reply *reply); /* owned, with a newline; NULL when memory is gone */
int kt_reply_parse(const char *bytes, size_t size, struct kt_reply *ret_reply, struct kt_error *err);
void kt_reply_done(struct kt_reply *reply); /* for KT_OWN */

/* {"error": {"code", "reason", "text"}}: how a job says why it failed. Owned, without a newline. */
char *kt_error_print(const struct kt_error *failure);
int kt_error_parse(const char *bytes, size_t size, struct kt_error *ret_failure, struct kt_error *err);

#endif
