/* A row: the check, its result, what was seen. The reasons' remedies speak of any node; where this one
 * tells more of itself (its hypervisor, who asks), there is a more exact word. */
#include "doctor.h"

#include <string.h>
#include <unistd.h>

#define NAME_WIDTH   20
#define RESULT_WIDTH 7

static const char *const results[] = {
	[KT_CHECK_UNREACHED] = "-",
	[KT_CHECK_OK] = "ok",
	[KT_CHECK_FAILED] = "FAIL",
	[KT_CHECK_NOTE] = "note",
};

/* Where nested virtualization is switched on, by the signature that CPUID has of the hypervisor. */
static const struct {
	const char *hypervisor;
	const char *advice;
} nesting[] = {
	{"KVMKVMKVM",
	 "Load kvm_amd or kvm_intel with nested=1 on the machine below and give this one its CPU (-cpu host); of a "
	 "cloud, ask for an instance with nested virtualization switched on, or for bare metal."},
	{"Microsoft Hv",
	 "Run Set-VMProcessor -ExposeVirtualizationExtensions $true on the host while this machine is off; on Azure "
	 "take a size that supports nested virtualization, with security type Standard."},
	{"VMwareVMware",
	 "Switch on \"Expose hardware assisted virtualization to the guest OS\" (vhv.enable) for this machine."},
	{"XenVMMXenVMM", "Set nestedhvm=1 for this machine; on older instances of a cloud, take bare metal."},
	{"VBoxVBoxVBox", "Run VBoxManage modifyvm NAME --nested-hw-virt on while this machine is off."},
};

/* Prints text from column `at` on, its further lines indented to `indent`, broken at blanks. */
static void print_wrapped(FILE *out, size_t at, size_t indent, const char *text)
{
	while (*text != '\0') {
		size_t blank = strspn(text, " "), word = strcspn(text + blank, " ");

		if (at + blank + word > KT_DOCTOR_WIDTH && at > indent) {
			fprintf(out, "\n%*s", (int)indent, "");
			at = indent;
			blank = 0;
			text += strspn(text, " ");
		}
		fprintf(out, "%.*s", (int)(blank + word), text);
		text += blank + word;
		at += blank + word;
	}
	fputc('\n', out);
}

static void print_row(FILE *out, const char *name, const char *result, const char *value)
{
	const size_t indent = NAME_WIDTH + RESULT_WIDTH;

	if (*value == '\0')
		fprintf(out, "%-*s%s\n", NAME_WIDTH, name, result);
	else
		print_wrapped(out, (size_t)fprintf(out, "%-*s%-*s", NAME_WIDTH, name, RESULT_WIDTH, result), indent,
			      value);
}

static void print_paragraph(FILE *out, const char *head, const char *text)
{
	const size_t indent = RESULT_WIDTH + 2;

	print_wrapped(out, (size_t)fprintf(out, "%-*s", (int)indent, head), indent, text);
}

static const char *remedy(const struct kt_state *state, enum kt_reason reason)
{
	if (reason == KT_REASON_PERMISSION_DENIED && geteuid() != 0)
		return "Permission denied for this user: later checks were skipped. Run check as root.";
	for (size_t i = 0; reason == KT_REASON_NOT_OFFERED_BY_HYPERVISOR && i < sizeof nesting / sizeof *nesting; i++)
		if (strcmp(state->host.hypervisor, nesting[i].hypervisor) == 0)
			return nesting[i].advice;
	return kt_reason_get(reason)->remedy;
}

static void print_broken(FILE *out, const struct kt_state *state, enum kt_reason reason, const char *message)
{
	char text[640];

	snprintf(text, sizeof text, "%s: %s", kt_reason_name(reason), message);
	print_paragraph(out, "FAIL", text);
	print_paragraph(out, "remedy", remedy(state, reason));
}

/* A probe that gave no answer leaves no row, but it leaves a verdict. */
static const struct kt_verdict *verdict_broken(const struct kt_state *state)
{
	if (!state->kvm.verdict.ok)
		return &state->kvm.verdict;
	return state->host.verdict.ok ? NULL : &state->host.verdict;
}

bool kt_doctor_is_fit(const struct kt_state *state, bool allow_emulated)
{
	return kt_checks_broken(&state->checks) == NULL && verdict_broken(state) == NULL &&
	       (allow_emulated || state->kvm.compiled_code != KT_ANSWER_NO);
}

/* What the proof will find where KVM emulates, and only it has the verdict. */
static void print_emulated(FILE *out, const struct kt_state *state, bool allow_emulated)
{
	if (allow_emulated)
		print_paragraph(out, "note",
				"This KVM emulates: integer code runs, compiled programs do not. "
				"proof.allowEmulated is set, so the node becomes Ready all the same.");
	else
		print_broken(out, state, KT_REASON_GUEST_EMULATED,
			     "this KVM emulates: integer code runs, compiled programs do not, so the node will not "
			     "become Ready unless proof.allowEmulated is true");
}

void kt_doctor_print(const struct kt_state *state, bool allow_emulated, FILE *out)
{
	const struct kt_check *check = kt_checks_broken(&state->checks);
	const struct kt_verdict *verdict = verdict_broken(state);

	print_row(out, "CHECK", "STATUS", "DETAILS");
	for (size_t i = 0; i < state->checks.count; i++) {
		const struct kt_check *row = &state->checks.list[i];

		print_row(out, row->name, results[row->result], row->value);
	}
	fputc('\n', out);
	if (check != NULL)
		print_broken(out, state, check->reason, check->message);
	else if (verdict != NULL)
		print_broken(out, state, verdict->reason, verdict->message);
	else if (state->kvm.compiled_code == KT_ANSWER_NO)
		print_emulated(out, state, allow_emulated);
	if (kt_doctor_is_fit(state, allow_emulated))
		print_paragraph(out, "ok", "All checks passed. Run \"install\" to verify with a payload.");
}
