/* The envelope between the processes, one form for all of it. A reader takes what its struct has room for and no
 * more. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "jsonfields.h"
#include "kontain/base/own.h"
#include "kontain/contract/message.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

/* An errno value (errno(3)): the kernel's MAX_ERRNO. */
#define ERRNO_MAX 4095

static bool is_version_or_empty(const char *text)
{
	return !*text || kt_version_is_valid(text);
}

static const struct kt_field request_rows[] = {
	KT_FIELD_STRING(struct kt_request, job, "job", NULL),
	KT_FIELD_STRING(struct kt_request, version, "version", is_version_or_empty),
	KT_FIELD(struct kt_request, timeout_ms, "timeoutMs", KT_FIELD_UINT),
};

static const struct kt_field setup_rows[] = {
	KT_FIELD_STRING(struct kt_order, host, "host", NULL),
	KT_FIELD_STRING(struct kt_order, dev, "dev", NULL),
	KT_FIELD_STRING(struct kt_order, root, "root", NULL),
	KT_FIELD_STRING(struct kt_order, bundle, "bundle", NULL),
	KT_FIELD(struct kt_order, quiet, "quiet", KT_FIELD_BOOL),
	KT_FIELD(struct kt_order, verbose, "verbose", KT_FIELD_BOOL),
};

static const struct kt_field error_rows[] = {
	KT_FIELD(struct kt_error, code, "code", KT_FIELD_INT),
	KT_FIELD(struct kt_error, reason, "reason", KT_FIELD_REASON),
	KT_FIELD_STRING(struct kt_error, text, "text", NULL),
};

static const struct kt_field ended_rows[] = {
	KT_FIELD(struct kt_child_result, timed_out, "timedOut", KT_FIELD_BOOL),
	KT_FIELD(struct kt_child_result, stuck, "stuck", KT_FIELD_BOOL),
	KT_FIELD(struct kt_child_result, pid, "pid", KT_FIELD_INT),
	KT_FIELD(struct kt_child_result, exit_status, "exitStatus", KT_FIELD_INT),
	KT_FIELD(struct kt_child_result, signal, "signal", KT_FIELD_INT),
	KT_FIELD(struct kt_child_result, duration_ms, "durationMs", KT_FIELD_UINT),
};

static const struct kt_field stuck_rows[] = {
	KT_FIELD(struct kt_stuck_child, child, "child", KT_FIELD_INT),
	KT_FIELD(struct kt_stuck_child, pid, "pid", KT_FIELD_INT),
	KT_FIELD_STRING(struct kt_stuck_child, program, "program", NULL),
	KT_FIELD(struct kt_stuck_child, since, "since", KT_FIELD_TIME),
};

static const struct kt_field reply_rows[] = {
	KT_FIELD(struct kt_reply, cpu_us, "cpuUs", KT_FIELD_UINT64),
	KT_FIELD(struct kt_reply, is_verifying, "verifying", KT_FIELD_BOOL),
	KT_FIELD_STRING(struct kt_reply, root, "root", NULL),
};

static int part_add(json_t *root, const char *key, const struct kt_field *rows, size_t count, const void *from)
{
	json_t *object = json_object();

	return json_object_set_new(root, key, object) < 0 ? -ENOMEM : kt_fields_print(object, rows, count, from);
}

static int part_take(const json_t *root, const char *key, const struct kt_field *rows, size_t count, void *into,
		     struct kt_error *err)
{
	json_t *object = NULL;
	int r = kt_json_object(root, key, &object, err);

	return r < 0 ? r : kt_fields_parse(object, key, rows, count, into, err);
}

static char *line_print(const json_t *root)
{
	KT_OWN(kt_free_mem) char *text = json_dumps(root, JSON_COMPACT);
	size_t size = text ? strlen(text) : 0;
	char *line = text ? realloc(text, size + 2) : NULL;

	if (!line)
		return NULL;
	text = NULL;
	memcpy(line + size, "\n", 2);
	return line;
}

/* ---- a request ---- */

char *kt_request_print(const struct kt_request *request)
{
	KT_OWN(kt_json_release) json_t *root = json_object();

	if (!root || kt_fields_print(root, request_rows, COUNT(request_rows), request) < 0)
		return NULL;
	return line_print(root);
}

/* Before any parser sees it: the letters of such an object, and no second bracket. */
static bool is_flat(const char *bytes, size_t size)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-\":, ";

	if (size > 0 && bytes[size - 1] == '\n')
		size--;
	if (size < 2 || size >= KT_REQUEST_BYTES_MAX || bytes[0] != '{' || bytes[size - 1] != '}')
		return false;
	for (size_t i = 1; i < size - 1; i++)
		if (!memchr(letters, bytes[i], sizeof(letters) - 1))
			return false;
	return true;
}

int kt_request_parse(const char *bytes, size_t size, struct kt_request *ret_request, struct kt_error *err)
{
	KT_OWN(kt_json_release) json_t *root = NULL;
	struct kt_request request = {.timeout_ms = 0};
	int r = is_flat(bytes, size) ? kt_json_load(bytes, size, &root, err) :
				       kt_fail(err, EINVAL, KT_REASON_INTERNAL, "not a request");

	if (r == 0)
		r = kt_fields_parse(root, "", request_rows, COUNT(request_rows), &request, err);
	if (r == 0 && json_object_size(root) != COUNT(request_rows))
		r = kt_fail(err, EINVAL, KT_REASON_INTERNAL, "a request has %zu keys and no more", COUNT(request_rows));
	if (r == 0)
		*ret_request = request;
	return r;
}

/* ---- an order ---- */

/* A path is handed on as it is or not at all. */
static int setup_add(json_t *root, const struct kt_order *order)
{
	KT_OWN(kt_free_mem) char *config = kt_config_print(&order->config);
	json_t *setup = json_object();

	if (!config || json_object_set_new(root, "setup", setup) < 0 ||
	    kt_fields_print(setup, setup_rows, COUNT(setup_rows), order) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < COUNT(setup_rows); i++)
		if (setup_rows[i].kind == KT_FIELD_TEXT &&
		    json_object_set_new(setup, setup_rows[i].key,
					json_string((const char *)order + setup_rows[i].offset)) < 0)
			return -EILSEQ;
	return json_object_set_new(setup, "config", json_loads(config, 0, NULL)) < 0 ? -ENOMEM : 0;
}

char *kt_order_print(const struct kt_order *order)
{
	KT_OWN(kt_json_release) json_t *root = json_object();

	if (!root || kt_fields_print(root, request_rows, COUNT(request_rows), &order->request) < 0 ||
	    setup_add(root, order) < 0)
		return NULL;
	return line_print(root);
}

static int config_take(const json_t *setup, struct kt_config *ret_config, struct kt_error *err)
{
	json_t *config = NULL;
	int r = kt_json_object(setup, "config", &config, err);
	KT_OWN(kt_free_mem) char *text = r == 0 ? json_dumps(config, JSON_COMPACT) : NULL;

	if (r < 0)
		return r;
	if (!text)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
	return kt_config_parse(text, strlen(text), "config", ret_config, err);
}

int kt_order_parse(const char *bytes, size_t size, struct kt_order *ret_order, struct kt_error *err)
{
	KT_OWN(kt_json_release) json_t *root = NULL;
	json_t *setup = NULL;
	int r = kt_json_load(bytes, size, &root, err);

	if (r == 0)
		r = kt_fields_parse(root, "", request_rows, COUNT(request_rows), &ret_order->request, err);
	if (r == 0)
		r = kt_json_object(root, "setup", &setup, err);
	if (r == 0)
		r = kt_fields_parse(setup, "setup", setup_rows, COUNT(setup_rows), ret_order, err);
	return r == 0 ? config_take(setup, &ret_order->config, err) : r;
}

/* ---- a reply ---- */

static int error_add(json_t *root, const struct kt_error *failure)
{
	struct kt_error named = *failure;

	if (named.reason == KT_REASON_NONE)
		named.reason = KT_REASON_INTERNAL;
	return part_add(root, "error", error_rows, COUNT(error_rows), &named);
}

static int error_take(const json_t *root, struct kt_error *ret_failure, struct kt_error *err)
{
	struct kt_error failure = {.code = 0};
	int r = part_take(root, "error", error_rows, COUNT(error_rows), &failure, err);

	if (r == 0 && (failure.code < 1 || failure.code > ERRNO_MAX))
		r = kt_fail(err, EINVAL, KT_REASON_STATE_INVALID, "error.code: expected an errno value");
	if (r == 0)
		*ret_failure = failure;
	return r;
}

static int ended_add(json_t *root, const struct kt_child_result *ended)
{
	json_t *object;

	if (part_add(root, "ended", ended_rows, COUNT(ended_rows), ended) < 0)
		return -ENOMEM;
	object = json_object_get(root, "ended");
	return json_object_set_new(object, "answer", kt_json_text(ended->output ? ended->output : "")) < 0 ||
			       json_object_set_new(object, "errors", kt_json_text(ended->errors ? ended->errors : "")) <
				       0 ?
		       -ENOMEM :
		       0;
}

static int text_take(const json_t *object, const char *key, char **ret_text, size_t *ret_size, struct kt_error *err)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_string(value))
		return kt_fail(err, EINVAL, KT_REASON_STATE_INVALID, "ended.%s: expected a string", key);
	*ret_text = strdup(json_string_value(value));
	if (!*ret_text)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
	*ret_size = strlen(*ret_text);
	return 0;
}

static int ended_take(const json_t *root, struct kt_child_result *ended, struct kt_error *err)
{
	const json_t *object = json_object_get(root, "ended");
	int r = part_take(root, "ended", ended_rows, COUNT(ended_rows), ended, err);

	if (r == 0)
		r = text_take(object, "answer", &ended->output, &ended->output_size, err);
	if (r == 0)
		r = text_take(object, "errors", &ended->errors, &ended->errors_size, err);
	return r;
}

char *kt_reply_print(const struct kt_reply *reply)
{
	KT_OWN(kt_json_release) json_t *root = json_object();

	if (!root || kt_fields_print(root, reply_rows, COUNT(reply_rows), reply) < 0 ||
	    part_add(root, "stuck", stuck_rows, COUNT(stuck_rows), &reply->stuck) < 0)
		return NULL;
	if (reply->error.reason != KT_REASON_NONE ? error_add(root, &reply->error) < 0 :
						    ended_add(root, &reply->ended) < 0)
		return NULL;
	return line_print(root);
}

int kt_reply_parse(const char *bytes, size_t size, struct kt_reply *ret_reply, struct kt_error *err)
{
	KT_OWN(kt_json_release) json_t *root = NULL;
	KT_OWN(kt_reply_done) struct kt_reply reply = {.error.reason = KT_REASON_NONE};
	int r = kt_json_load(bytes, size, &root, err);

	if (r == 0)
		r = kt_fields_parse(root, "", reply_rows, COUNT(reply_rows), &reply, err);
	if (r == 0)
		r = part_take(root, "stuck", stuck_rows, COUNT(stuck_rows), &reply.stuck, err);
	if (r == 0)
		r = json_object_get(root, "error") ? error_take(root, &reply.error, err) :
						     ended_take(root, &reply.ended, err);
	if (r < 0)
		return r;
	*ret_reply = reply;
	reply.ended = (struct kt_child_result){.output = NULL};
	return 0;
}

void kt_reply_done(struct kt_reply *reply)
{
	kt_child_result_done(&reply->ended);
}

/* ---- why a job failed ---- */

char *kt_error_print(const struct kt_error *failure)
{
	KT_OWN(kt_json_release) json_t *root = json_object();

	return root && error_add(root, failure) == 0 ? json_dumps(root, JSON_COMPACT) : NULL;
}

int kt_error_parse(const char *bytes, size_t size, struct kt_error *ret_failure, struct kt_error *err)
{
	KT_OWN(kt_json_release) json_t *root = NULL;
	int r = kt_json_load(bytes, size, &root, err);

	return r == 0 ? error_take(root, ret_failure, err) : r;
}
