#include "spawn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jobs.h"
#include "kontain/base/own.h"

/* Of what a job writes: the most is a probe's, some 4 KiB before each of its checks. */
#define OUTPUT_MAX (128 * 1024)
/* Of an order: the paths, the config, and the rest. */
#define ORDER_MAX (64 * 1024)

static int copy_path(char *path, size_t size, const char *from, const char *what, struct kt_error *err)
{
	if (snprintf(path, size, "%s", from != NULL ? from : "") >= (int)size)
		return kt_fail(err, ENAMETOOLONG, KT_REASON_INTERNAL, "the path of the %s is longer than %zu bytes",
			       what, size - 1);
	return 0;
}

static char *order_of(const struct kt_installer *installer, const struct kt_request *request, struct kt_error *err)
{
	const struct kt_options *options = &installer->options;
	KT_OWN(kt_free_mem) struct kt_order *order = calloc(1, sizeof(*order));
	char *text;

	if (order == NULL) {
		kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
		return NULL;
	}
	order->request = *request;
	order->config = installer->config;
	order->quiet = options->quiet;
	order->verbose = options->verbose || kt_job_find(request->job)->tells_steps;
	if (copy_path(order->host, sizeof order->host, options->host, "host", err) != 0 ||
	    copy_path(order->dev, sizeof order->dev, options->dev, "device folder", err) != 0 ||
	    copy_path(order->root, sizeof order->root, installer->root, "store", err) != 0 ||
	    copy_path(order->bundle, sizeof order->bundle, options->bundle, "bundle", err) != 0)
		return NULL;
	text = kt_order_print(order);
	if (text == NULL)
		kt_fail(err, EILSEQ, KT_REASON_INTERNAL,
			"cannot pass the paths to the job: one of them is not valid UTF-8");
	return text;
}

/* What came before it was logged on the way. */
static void keep_last_line(struct kt_child_result *result)
{
	char *end = memrchr(result->output, '\n', result->output_size);
	char *before = end != NULL ? memrchr(result->output, '\n', (size_t)(end - result->output)) : NULL;
	char *start = before != NULL ? before + 1 : result->output;

	result->output_size = end != NULL ? (size_t)(end - start) : 0;
	memmove(result->output, start, result->output_size);
	result->output[result->output_size] = '\0';
}

int kt_spawn_run(const struct kt_installer *installer, const struct kt_request *request,
		 struct kt_child_result *ret_result, struct kt_error *err)
{
	KT_OWN(kt_free_mem) char *order = order_of(installer, request, err);
	const char *const argv[] = {"/proc/self/exe", request->job, KT_ORDER_OPTION, NULL};
	struct kt_child_spec spec = {.argv = argv,
				     .timeout_ms = request->timeout_ms,
				     .output_max = OUTPUT_MAX,
				     .input = order,
				     .passes_errors = kt_job_find(request->job)->has_progress};
	int failed;

	if (order == NULL)
		return -err->code;
	spec.input_size = strlen(order);
	failed = kt_child_run(&spec, ret_result, err);
	if (failed == 0)
		keep_last_line(ret_result);
	return failed;
}

int kt_spawn_start(const struct kt_installer *installer, const struct kt_request *request, pid_t *ret_pid,
		   int *ret_pidfd, struct kt_error *err)
{
	KT_OWN(kt_free_mem) char *order = order_of(installer, request, err);
	const char *const argv[] = {"/proc/self/exe", request->job, KT_ORDER_OPTION, NULL};
	struct kt_child_spec spec = {.argv = argv, .input = order};

	if (order == NULL)
		return -err->code;
	spec.input_size = strlen(order);
	return kt_child_start(&spec, ret_pid, ret_pidfd, err);
}

static int read_stdin(char *text, size_t size, size_t *ret_size, struct kt_error *err)
{
	size_t done = 0;
	ssize_t got = 1;

	while (got != 0 && done < size) {
		got = read(STDIN_FILENO, text + done, size - done);
		if (got < 0 && errno != EINTR)
			return kt_fail_errno(err, errno, KT_REASON_INTERNAL, "cannot read the order from stdin");
		done += got > 0 ? (size_t)got : 0;
	}
	*ret_size = done;
	return 0;
}

int kt_spawn_take_order(struct kt_order *ret_order, struct kt_installer *ret_installer, struct kt_error *err)
{
	KT_OWN(kt_free_mem) char *text = malloc(ORDER_MAX);
	struct kt_options *options = &ret_installer->options;
	size_t size = 0;
	int failed = text != NULL ? read_stdin(text, ORDER_MAX, &size, err) :
				    kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");

	if (failed == 0)
		failed = kt_order_parse(text, size, ret_order, err);
	if (failed)
		return failed;
	*ret_installer = (struct kt_installer){.config = ret_order->config};
	options->host = ret_order->host;
	options->bundle = ret_order->bundle[0] != '\0' ? ret_order->bundle : NULL;
	options->quiet = ret_order->quiet;
	options->verbose = ret_order->verbose;
	snprintf(options->dev, sizeof options->dev, "%s", ret_order->dev);
	snprintf(ret_installer->root, sizeof ret_installer->root, "%s", ret_order->root);
	ret_installer->paths = (struct kt_node_paths){.host = options->host, .dev = options->dev};
	return 0;
}
