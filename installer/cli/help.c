#include "help.h"

#include <linux/capability.h>
#include <string.h>

#include "jobs/jobs.h"
#include "options.h"

#define PROGRAM "kontain-installer"

static const struct {
	int status;
	const char *means;
} statuses[] = {
	{KT_EXIT_DONE, "done, or ready"},
	{KT_EXIT_FAILED, "not ready, failed or refused; one line says why"},
	{KT_EXIT_USAGE, "usage"},
	{KT_EXIT_IN_USE, "in use"},
	{KT_EXIT_LOCKED, "another installer runs"},
};

/* ---- help ---- */

static void option_words(const struct kt_option *option, char *words, size_t size)
{
	size_t used = 0;

	if (option->letter != 0)
		used = (size_t)snprintf(words, size, "-%c, ", option->letter);
	snprintf(words + used, size - used, "--%s%s%s", option->name, option->argument != NULL ? " " : "",
		 option->argument != NULL ? option->argument : "");
}

/* Names in one column and what they mean in the next; a long name has a line of its own. */
static void print_row(FILE *out, const char *name, const char *means)
{
	if (strlen(name) > 22)
		fprintf(out, "  %s\n%26s%s\n", name, "", means);
	else
		fprintf(out, "  %-22s  %s\n", name, means);
}

static void print_option(FILE *out, const struct kt_option *option)
{
	char words[64];

	option_words(option, words, sizeof words);
	print_row(out, words, option->summary);
}

/* cli/container.h */
#define BESIDE_AGENT                                                                             \
	"In the agent's container (kubectl exec) --host, --root, --dev, --config, --state, and " \
	"--bundle of install,\ndefault to what the agent was started with."

static void print_statuses(FILE *out)
{
	fputs("\nExit status:\n", out);
	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
		fprintf(out, "  %d  %s\n", statuses[i].status, statuses[i].means);
}

void kt_help_print(FILE *out)
{
	fputs("usage: " PROGRAM " COMMAND [OPTION]...\n\nCommands:\n", out);
	for (size_t i = 0; i < kt_command_count; i++)
		print_row(out, kt_commands[i].name, kt_commands[i].summary);
	fputs("\nCommon options:\n", out);
	for (size_t i = 0; i < kt_option_count; i++)
		if (kt_options[i].only == NULL || kt_options[i].letter != 0)
			print_option(out, &kt_options[i]);
	print_row(out, "--version", "print the version and exit");
	print_statuses(out);
	fputs("\n\"" PROGRAM " COMMAND --help\" has the options of a command.\n", out);
}

void kt_help_print_command(FILE *out, const struct kt_command *command)
{
	fprintf(out, "usage: " PROGRAM " %s%s%s [OPTION]...\n\n  %s\n\nOptions:\n", command->name,
		command->argument != NULL ? " " : "", command->argument != NULL ? command->argument : "",
		command->summary);
	for (int is_own = 1; is_own >= 0; is_own--)
		for (size_t i = 0; i < kt_option_count; i++)
			if (kt_option_is_for(&kt_options[i], command->name) && (kt_options[i].only != NULL) == is_own)
				print_option(out, &kt_options[i]);
	if (!command->is_resident)
		fputs("\n" BESIDE_AGENT "\n", out);
	print_statuses(out);
}

/* ---- man(7) ---- */

static void man_text(FILE *out, const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", out);
	for (; *text != '\0'; text++)
		if (*text == '-')
			fputs("\\-", out);
		else if (*text == '\\')
			fputs("\\e", out);
		else
			fputc(*text, out);
}

static void man_option(FILE *out, const struct kt_option *option)
{
	fputs(".TP\n", out);
	if (option->letter != 0)
		fprintf(out, "\\fB\\-%c\\fR, ", option->letter);
	fputs("\\fB\\-\\-", out);
	man_text(out, option->name);
	fputs("\\fR", out);
	if (option->argument != NULL)
		fprintf(out, " \\fI%s\\fR", option->argument);
	fputc('\n', out);
	man_text(out, option->summary);
	if (option->only != NULL)
		fprintf(out, ". For:%.*s", (int)strlen(option->only) - 1, option->only);
	fputc('\n', out);
}

void kt_help_man(FILE *out)
{
	fputs(".TH KONTAIN\\-INSTALLER 8 \"\" \"kontaind " KONTAIN_VERSION "\"\n.SH NAME\n"
	      "kontain\\-installer \\- install the Kontain monitor on this node and verify that it runs\n"
	      ".SH SYNOPSIS\n.B kontain\\-installer\n.I COMMAND\n[\\fIOPTION\\fR]...\n.SH COMMANDS\n",
	      out);
	for (size_t i = 0; i < kt_command_count; i++) {
		fprintf(out, ".TP\n\\fB%s\\fR%s%s\n", kt_commands[i].name, kt_commands[i].argument != NULL ? " " : "",
			kt_commands[i].argument != NULL ? kt_commands[i].argument : "");
		man_text(out, kt_commands[i].summary);
		fputc('\n', out);
	}
	fputs(".SH OPTIONS\n", out);
	for (size_t i = 0; i < kt_option_count; i++)
		man_option(out, &kt_options[i]);
	fputs(".PP\n", out);
	man_text(out, BESIDE_AGENT);
	fputs("\n.SH EXIT STATUS\n", out);
	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
		fprintf(out, ".TP\n%d\n%s\n", statuses[i].status, statuses[i].means);
}

/* ---- shells ---- */

static void list_commands(FILE *out)
{
	for (size_t i = 0; i < kt_command_count; i++)
		fprintf(out, "%s%s", i > 0 ? " " : "", kt_commands[i].name);
}

static bool is_path(const struct kt_option *option)
{
	return option->argument != NULL &&
	       (strcmp(option->argument, "DIR") == 0 || strcmp(option->argument, "FILE") == 0);
}

void kt_help_bash(FILE *out)
{
	fputs("# bash completion of " PROGRAM ", made from its tables\n_kontain_installer()\n{\n"
	      "\tlocal word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} options\n"
	      "\tCOMPREPLY=()\n\tcase $before in\n",
	      out);
	for (size_t i = 0; i < kt_option_count; i++)
		if (is_path(&kt_options[i]))
			fprintf(out, "\t--%s) mapfile -t COMPREPLY < <(compgen -%c -- \"$word\"); return ;;\n",
				kt_options[i].name, kt_options[i].argument[0] == 'D' ? 'd' : 'f');
	fputs("\t-o | --output) mapfile -t COMPREPLY < <(compgen -W 'text json' -- \"$word\"); return ;;\n\tesac\n"
	      "\tif [ \"$COMP_CWORD\" = 1 ]; then\n\t\tmapfile -t COMPREPLY < <(compgen -W '",
	      out);
	list_commands(out);
	fputs(" --help --version' -- \"$word\")\n\t\treturn\n\tfi\n\tcase ${COMP_WORDS[1]} in\n", out);
	for (size_t i = 0; i < kt_command_count; i++) {
		fprintf(out, "\t%s) options='", kt_commands[i].name);
		for (size_t j = 0; j < kt_option_count; j++)
			if (kt_option_is_for(&kt_options[j], kt_commands[i].name))
				fprintf(out, "--%s ", kt_options[j].name);
		fputs("' ;;\n", out);
	}
	fputs("\tesac\n\tmapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$word\")\n}\n"
	      "complete -F _kontain_installer " PROGRAM "\n",
	      out);
}

/* In brackets and quotes of zsh's _arguments. */
static void zsh_text(FILE *out, const char *text)
{
	for (; *text != '\0'; text++)
		if (*text == '\'')
			fputs("'\\''", out);
		else if (strchr("[]:\\", *text) != NULL)
			fprintf(out, "\\%c", *text);
		else
			fputc(*text, out);
}

static void zsh_option(FILE *out, const struct kt_option *option)
{
	fprintf(out, " '--%s[", option->name);
	zsh_text(out, option->summary);
	fputc(']', out);
	if (is_path(option))
		fprintf(out, ":%s:_files%s", option->argument, option->argument[0] == 'D' ? " -/" : "");
	else if (option->argument != NULL && strchr(option->argument, '|') != NULL)
		fputs(":format:(text json)", out);
	else if (option->argument != NULL)
		fprintf(out, ":%s:", option->argument);
	fputc('\'', out);
}

void kt_help_zsh(FILE *out)
{
	fputs("#compdef " PROGRAM "\n# made from its tables\nlocal -a commands=(\n", out);
	for (size_t i = 0; i < kt_command_count; i++) {
		fprintf(out, "\t'%s:", kt_commands[i].name);
		zsh_text(out, kt_commands[i].summary);
		fputs("'\n", out);
	}
	fputs(")\nif ((CURRENT == 2)); then\n\t_describe command commands\n\treturn\nfi\ncase $words[2] in\n", out);
	for (size_t i = 0; i < kt_command_count; i++) {
		fprintf(out, "%s) _arguments", kt_commands[i].name);
		for (size_t j = 0; j < kt_option_count; j++)
			if (kt_option_is_for(&kt_options[j], kt_commands[i].name))
				zsh_option(out, &kt_options[j]);
		fputs(" ;;\n", out);
	}
	fputs("esac\n", out);
}

/* ---- the jobs ---- */

static const struct {
	unsigned number;
	const char *name;
} capabilities[] = {
	{CAP_CHOWN, "chown"},           {CAP_DAC_OVERRIDE, "dac_override"},
	{CAP_FOWNER, "fowner"},         {CAP_KILL, "kill"},
	{CAP_SETGID, "setgid"},         {CAP_SETUID, "setuid"},
	{CAP_SETPCAP, "setpcap"},       {CAP_SYS_MODULE, "sys_module"},
	{CAP_SYS_PTRACE, "sys_ptrace"}, {CAP_SYS_ADMIN, "sys_admin"},
	{CAP_MKNOD, "mknod"},
};

static void print_capabilities(FILE *out, uint64_t bits)
{
	const char *before = "";

	if (bits == 0)
		fputs("the runner's", out);
	for (size_t i = 0; i < sizeof capabilities / sizeof *capabilities; i++) {
		if (!(bits >> capabilities[i].number & 1))
			continue;
		fprintf(out, "%s%s", before, capabilities[i].name);
		before = " ";
		bits &= ~(UINT64_C(1) << capabilities[i].number);
	}
	if (bits != 0)
		fprintf(out, "%s%#llx", before, (unsigned long long)bits);
}

void kt_help_jobs(FILE *out)
{
	fputs("| job | what it does | arguments | answers | capabilities | files | at most "
	      "|\n|---|---|---|---|---|---|---|\n",
	      out);
	for (size_t i = 0; i < kt_job_count; i++) {
		const struct kt_job *job = &kt_jobs[i];

		fprintf(out, "| `%s` | %s | %s | %s | ", job->name, job->does,
			job->takes_version ? "a version" :
			job->takes_bundle  ? "a bundle" :
					     "nothing",
			job->answers);
		print_capabilities(out, job->capabilities);
		fprintf(out, " | %s | ",
			job->files == KT_JOB_FILES_READ ? "reads all, writes nothing but devices" : "all");
		if (job->timeout_max_ms != 0)
			fprintf(out, "%u s |\n", job->timeout_max_ms / 1000);
		else
			fputs("no deadline |\n", out);
	}
}
