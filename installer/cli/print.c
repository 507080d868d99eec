#include "print.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kontain/base/clock.h"
#include "kontain/base/own.h"
#include "kontain/contract/document.h"

static void print_line(const char *name, const struct kt_verdict *verdict)
{
	printf("%-9s %-8s %s%s%s\n", name, verdict->ok ? "ok" : "FAILED",
	       verdict->ok ? "" : kt_reason_name(verdict->reason), verdict->ok ? "" : ": ", verdict->message);
}

static void print_versions(const struct kt_state_versions *versions)
{
	printf("%-9s %-8s ", "version", versions->current[0] != '\0' ? versions->current : "none");
	if (versions->km_digest[0] != '\0')
		printf("km %s (sha256 %.12s)", versions->km_version, versions->km_digest);
	if (versions->previous[0] != '\0')
		printf(", previous %s", versions->previous);
	if (versions->desired[0] != '\0' && strcmp(versions->desired, versions->current) != 0)
		printf(", desired %s", versions->desired);
	putchar('\n');
}

static void print_verified(const struct kt_state_store *store)
{
	char when[KT_CLOCK_TEXT_MAX] = "";

	if (store->verified_at != 0)
		kt_clock_text(store->verified_at, when);
	printf("%-9s %-8s %s%s%s\n", "verified", "", when[0] != '\0' ? when : "never",
	       store->last_mismatch[0] != '\0' ? "; last mismatch: " : "", store->last_mismatch);
}

void kt_print_kept(const struct kt_state_kept *kept, const char *prefix)
{
	size_t told = kept->count < KT_STATE_KEPT_MAX ? kept->count : KT_STATE_KEPT_MAX;

	for (size_t i = 0; i < told; i++)
		printf("%s%s: %s\n", prefix, kept->list[i].name,
		       kept->list[i].user[0] != '\0' ? kept->list[i].user : "removed once nobody uses it");
	if (kept->count > told)
		printf("%sand %zu more\n", prefix, kept->count - told);
}

static void print_text(const struct kt_state *state)
{
	const char *remedy = kt_reason_get(state->node.reason)->remedy;

	printf("%-9s %-8s %s%s%s\n", "node", state->node.ok ? "READY" : "NOT READY",
	       state->node.ok ? "" : kt_reason_name(state->node.reason), state->node.ok ? "" : ": ",
	       state->node.message);
	if (state->kvm.probed || state->kvm.verdict.reason != KT_REASON_NONE)
		print_line("kvm", &state->kvm.verdict);
	if (state->host.probed || state->host.verdict.reason != KT_REASON_NONE)
		print_line("host", &state->host.verdict);
	if (state->store.verdict.reason != KT_REASON_NONE)
		print_line("store", &state->store.verdict);
	if (state->store.verdict.reason != KT_REASON_NONE)
		print_versions(&state->versions);
	if (state->versions.current[0] != '\0')
		print_verified(&state->store);
	kt_print_kept(&state->store.kept, "kept               ");
	if (state->proof.ran)
		print_line("proof", &state->proof.verdict);
	if (state->rollout.reason != KT_REASON_NONE && state->rollout.reason != state->node.reason)
		print_line("rollout", &state->rollout);
	if (!state->node.ok && remedy[0] != '\0')
		printf("%-9s %-8s %s\n", "remedy", "", remedy);
}

void kt_print_document(const struct kt_state *state)
{
	KT_OWN(kt_free_mem) char *document = kt_state_print(state);

	fputs(document != NULL ? document : "{}\n", stdout);
}

int kt_print_state(const struct kt_options *options, const struct kt_state *state)
{
	if (options->json)
		kt_print_document(state);
	else if (!options->quiet)
		print_text(state);
	return state->node.ok ? KT_EXIT_DONE : KT_EXIT_FAILED;
}

void kt_print_result_begin(struct kt_document *document)
{
	kt_document_begin(document, "CommandResult");
	kt_document_list(document, "items");
}

int kt_print_result(const struct kt_options *options, struct kt_document *document, const char *command,
		    bool is_changed, const char *format, ...)
{
	KT_OWN(kt_free_mem) char *text = NULL;
	char message[512];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof message, format, args);
	va_end(args);
	if (!options->json) {
		if (!options->quiet)
			puts(message);
		return KT_EXIT_DONE;
	}
	kt_document_item(document, NULL);
	kt_document_text(document, "command", command);
	kt_document_bool(document, "dryRun", options->dry_run);
	kt_document_bool(document, "changed", is_changed && !options->dry_run);
	kt_document_text(document, "message", message);
	text = kt_document_print(document);
	if (text == NULL)
		return KT_EXIT_FAILED;
	fputs(text, stdout);
	return KT_EXIT_DONE;
}

void kt_document_kept(struct kt_document *document, const char *list, const struct kt_state_kept *kept)
{
	kt_document_list(document, list);
	for (size_t i = 0; i < kept->count && i < KT_STATE_KEPT_MAX; i++) {
		kt_document_item(document, list);
		kt_document_text(document, "name", kept->list[i].name);
		kt_document_text(document, "user", kept->list[i].user);
	}
	kt_document_item(document, NULL);
}

const char *kt_plural(size_t count)
{
	return count == 1 ? "" : "s";
}

int kt_print_error(const struct kt_error *err)
{
	const struct kt_reason_info *reason = kt_reason_get(err->reason);
	bool has_reason = err->reason != KT_REASON_NONE;

	fprintf(stderr, "kontain-installer: %s%s%s%s%s\n", has_reason ? reason->name : "", has_reason ? ": " : "",
		err->text, has_reason && reason->remedy[0] != '\0' ? ". " : "", has_reason ? reason->remedy : "");
	return kt_exit_status(err);
}
