#include "health.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kontain/base/own.h"
#include "kontain/base/utf8.h"

static const char *const check_names[KT_HEALTH_COUNT] = {
	[KT_HEALTH_STATE] = "state", [KT_HEALTH_VERSION] = "version", [KT_HEALTH_REPORT] = "report",
	[KT_HEALTH_KM] = "km",       [KT_HEALTH_POLICY] = "policy",
};

/* ---- judging ---- */

__attribute__((format(printf, 3, 4))) static void set_check(struct kt_health_check *check, bool ok, const char *format,
							    ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(check->text, sizeof(check->text), format, args);
	va_end(args);
	/* A state may hold anything: a line break in it must not make a line that looks like another check's. */
	kt_utf8_one_line(check->text);
	check->ok = ok;
}

/* "<reason>: <sentence>" */
static void fail_check(struct kt_health_check *check, enum kt_reason reason, const char *sentence)
{
	set_check(check, false, "%s%s%s", kt_reason_name(reason), *sentence ? ": " : "", sentence);
}

static void judge_state(const struct kt_state *state, struct kt_health *health)
{
	const struct kt_verdict *node = &state->node, *rollout = &state->rollout;
	struct kt_health_check *version = &health->checks[KT_HEALTH_VERSION], *km = &health->checks[KT_HEALTH_KM];

	set_check(&health->checks[KT_HEALTH_STATE], true, "%s", "");
	if (!rollout->ok)
		fail_check(version, rollout->reason, rollout->message);
	else if (rollout->reason == KT_REASON_READY)
		set_check(version, true, "%s", rollout->message);
	else /* settled for a cause of the node's own, or because nothing is wanted here */
		set_check(version, true, "%s: %s", kt_reason_name(rollout->reason), rollout->message);
	if (node->ok)
		set_check(km, true, "%s", node->message);
	else
		fail_check(km, node->reason, node->message);
	/* One node that cannot have km must not hold up the others' rollout: it is done, and says what it is. */
	if (rollout->ok && !node->ok) {
		km->tolerated = health->settled_as = node->reason == KT_REASON_ABSENT ? "removed" : "unfit";
		health->settled_why = node->reason;
	} else if (rollout->ok && rollout->reason != KT_REASON_READY) {
		health->settled_as = "held";
		health->settled_why = rollout->reason;
	}
}

/* A cluster without it runs payloads all the same: said, and no reason to be not ready. */
static void judge_policy(const struct kt_health_input *input, struct kt_health_check *check)
{
	if (input->policy == KT_POLICY_IN_FORCE)
		set_check(check, true, "in force");
	else if (input->policy == KT_POLICY_UNKNOWN)
		set_check(check, true, "not known yet");
	else if (input->is_unguarded)
		set_check(check, true, "not in force, as the config says (report.unguarded)");
	else
		set_check(check, false,
			  "not in force: this token can change any node; apply manifests/base/policy.yaml, or set "
			  "report.unguarded");
	check->tolerated = check->ok ? NULL : "warning";
	check->is_quiet = input->policy == KT_POLICY_UNKNOWN;
}

void kt_health_judge(const struct kt_health_input *input, struct kt_health *ret_health)
{
	struct kt_health health = {.settled_as = NULL};
	struct kt_health_check *report = &health.checks[KT_HEALTH_REPORT];

	if (input->state) {
		judge_state(input->state, &health);
	} else {
		fail_check(&health.checks[KT_HEALTH_STATE], input->why->reason, input->why->text);
		fail_check(&health.checks[KT_HEALTH_VERSION], input->why->reason, "");
		fail_check(&health.checks[KT_HEALTH_KM], input->why->reason, "");
	}
	if (input->is_standalone)
		set_check(report, true, "standalone");
	else
		set_check(report, input->is_reported, "%s", input->is_reported ? "" : input->report_problem);
	judge_policy(input, &health.checks[KT_HEALTH_POLICY]);
	*ret_health = health;
}

/* ---- answering ---- */

struct endpoint {
	const char *name;
	size_t count;
	const char *const *names;
	const struct kt_health_check *checks; /* borrowed */
	const struct kt_health *health;       /* borrowed; NULL for one that knows nothing of the node */
};

static bool is_excluded(const struct kt_http_request *request, const char *name)
{
	for (size_t i = 0; i < request->exclude_count; i++)
		if (strcmp(request->exclude[i], name) == 0)
			return true;
	return false;
}

static bool is_known(const struct endpoint *endpoint, const char *name)
{
	for (size_t i = 0; i < endpoint->count; i++)
		if (strcmp(endpoint->names[i], name) == 0)
			return true;
	return false;
}

static const char *word_of(const struct kt_health_check *check)
{
	return check->ok ? "ok" : check->tolerated ? check->tolerated : "failed";
}

static void print_list(FILE *out, const struct endpoint *endpoint, const struct kt_http_request *request, bool passed)
{
	for (size_t i = 0; i < endpoint->count; i++) {
		const struct kt_health_check *check = &endpoint->checks[i];

		if (is_excluded(request, endpoint->names[i]))
			fprintf(out, "[+]%s excluded: ok\n", endpoint->names[i]);
		else if (!check->is_quiet)
			fprintf(out, "[%c]%s %s%s%s\n", check->ok || check->tolerated ? '+' : '-', endpoint->names[i],
				word_of(check), check->text[0] ? ": " : "", check->text);
	}
	for (size_t i = 0; i < request->exclude_count; i++)
		if (!is_known(endpoint, request->exclude[i])) {
			fprintf(out, "warn: exclude names a check that is not here\n");
			break;
		}
	fprintf(out, "%s check %s\n", endpoint->name, passed ? "passed" : "failed");
}

static void print_whole(FILE *out, const struct endpoint *endpoint, const struct kt_http_request *request,
			unsigned *ret_code)
{
	bool passed = true;

	for (size_t i = 0; i < endpoint->count; i++)
		passed = passed && (endpoint->checks[i].ok || endpoint->checks[i].tolerated ||
				    is_excluded(request, endpoint->names[i]));
	*ret_code = passed ? 200 : 503;
	if (request->verbose || !passed)
		print_list(out, endpoint, request, passed);
	else if (endpoint->health && endpoint->health->settled_as && !is_excluded(request, check_names[KT_HEALTH_KM]))
		fprintf(out, "%s: %s\n", endpoint->health->settled_as, kt_reason_name(endpoint->health->settled_why));
	else
		fprintf(out, "ok\n");
}

static void print_one(FILE *out, const struct endpoint *endpoint, const char *name, bool is_verbose, unsigned *ret_code)
{
	for (size_t i = 0; i < endpoint->count; i++) {
		const struct kt_health_check *check = &endpoint->checks[i];

		if (strcmp(endpoint->names[i], name) != 0)
			continue;
		/* Asked for by itself, a check is not excused. */
		*ret_code = check->ok ? 200 : 503;
		if (check->ok && !is_verbose)
			fprintf(out, "ok\n");
		else
			fprintf(out, "[%c]%s %s%s%s\n", check->ok ? '+' : '-', name, word_of(check),
				check->text[0] ? ": " : "", check->text);
		return;
	}
	*ret_code = 404;
	fprintf(out, "not found: %s has the checks", endpoint->name);
	for (size_t i = 0; i < endpoint->count; i++)
		fprintf(out, "%s %s", i > 0 ? "," : "", endpoint->names[i]);
	fprintf(out, "\n");
}

void kt_health_answer(const struct kt_health *health, const struct kt_http_request *request,
		      struct kt_http_reply *reply)
{
	/* That an answer comes at all is the check: the loop that gives it does all other work, too. */
	static const char *const live_names[] = {"loop"};
	static const struct kt_health_check live_checks[] = {{.ok = true}};
	const struct endpoint endpoints[] = {
		{"livez", 1, live_names, live_checks, NULL},
		{"readyz", KT_HEALTH_COUNT, check_names, health->checks, health},
	};
	const char *path = request->path[0] == '/' ? request->path + 1 : "";

	for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++) {
		const struct endpoint *endpoint = &endpoints[i];
		size_t length = strlen(endpoint->name);
		FILE *out;

		if (strncmp(path, endpoint->name, length) != 0 || (path[length] && path[length] != '/'))
			continue;
		out = open_memstream(&reply->body, &reply->size);
		if (!out)
			return;
		if (path[length] && path[length + 1])
			print_one(out, endpoint, path + length + 1, request->verbose, &reply->code);
		else
			print_whole(out, endpoint, request, &reply->code);
		kt_close_file(&out);
		return;
	}
}
