/* kontain-gcc, kontain-g++: the host's compiler, whose link is led to Kontain's libraries. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "kontain/base/own.h"
#include "request.h"
#include "tree.h"

static const char help[] =
	"kontain-gcc, kontain-g++ " KONTAIN_VERSION "\n"
	"\n"
	"usage: kontain-gcc [OPTION]... [ARGUMENT OF THE COMPILER]...\n"
	"\n"
	"Compiles with the host's gcc (else clang; KONTAIN_CC and KONTAIN_CXX name another) and links against the\n"
	"libraries of Kontain. Everything that is not listed here is passed on to the compiler, unchanged and in "
	"order.\n"
	"\n"
	"  -kontain         a payload for km (default): linked against runtime/\n"
	"  -alpine          a program that also runs without km: linked against alpine-lib/\n"
	"  -static          default; by custom named .km (of -alpine .native.km)\n"
	"  -dynamic         by custom named .kmd (.native.kmd)\n"
	"  -shared          a library, .so\n"
	"  --prefix DIR     where the program will find its libraries (default: /opt/kontain)\n"
	"  --tree DIR       where these libraries lie now, as an unpacked bundle (default: the prefix)\n"
	"  --pin VERSION    of -dynamic: names the interpreter of this version of the runtime, which an upgrade does "
	"not\n"
	"                   replace; keep it on the nodes with: kontain-installer pin runtime/VERSION\n"
	"  -kv              prints what was decided and the compiler's command\n"
	"  --help           this text; the compiler's own: gcc --help\n"
	"\n"
	"Of contrary options the later one counts. Exit status: 1 when the libraries or the compiler are missing, 2 "
	"for a\n"
	"wrong option, else the compiler's.";

static int refused(const struct kt_cc_request *request, const char *name, const struct kt_error *err, int status)
{
	fprintf(stderr, "%s: %s\n", request->name ? request->name : name, err->text);
	return status;
}

static void warnings_print(const struct kt_cc_request *request)
{
	if (request->replaced_target)
		fprintf(stderr, "%s: warning: %s and -%s contradict each other, -%s counts as the later one\n",
			request->name, request->replaced_target, kt_cc_target_names[request->target],
			kt_cc_target_names[request->target]);
	if (request->replaced_kind)
		fprintf(stderr, "%s: warning: %s and -%s contradict each other, -%s counts as the later one\n",
			request->name, request->replaced_kind, kt_cc_kind_names[request->kind],
			kt_cc_kind_names[request->kind]);
}

static void decision_print(const struct kt_cc_request *request, const struct kt_cc_tree *tree,
			   const struct kt_cc_command *command)
{
	static const char *const suffixes[KT_CC_TARGETS][KT_CC_KINDS] = {{".km", ".kmd", ".so"},
									 {".native.km", ".native.kmd", ".so"}};
	static const char *const pies[] = {"not asked for", "-pie", "-no-pie", "-static-pie"};
	KT_OWN(kt_free_mem) char *text = kt_cc_command_print(command);

	fprintf(stderr,
		"compiler  %s\n"
		"target    %s\n"
		"kind      %s, by custom named *%s\n"
		"prefix    %s\n"
		"tree      %s\n"
		"gcc       %s%s\n"
		"pie       %s\n"
		"links     %s\n"
		"command   %s\n",
		command->words[0], kt_cc_target_names[request->target], kt_cc_kind_names[request->kind],
		suffixes[request->target][request->kind], request->prefix, request->tree,
		tree->gcc[0] ? "alpine-lib/" : "the compiler's own", tree->gcc, pies[request->pie],
		kt_cc_links(request) ? "yes" : "no", text ? text : "");
}

int main(int argc, char *argv[])
{
	KT_OWN(kt_cc_request_done) struct kt_cc_request request = {.name = NULL};
	KT_OWN(kt_cc_command_done) struct kt_cc_command command = {.words = NULL};
	struct kt_cc_tree tree = {.gcc = ""};
	struct kt_error err = {.code = 0};
	char compiler[4096];

	if (kt_cc_read(argc, argv, &request, &err) < 0)
		return refused(&request, "kontain-gcc", &err, err.code == EINVAL ? 2 : 1);
	if (request.is_help)
		return puts(help) < 0;
	warnings_print(&request);
	if (kt_cc_find_compiler(&request, compiler, sizeof(compiler), &err) < 0 ||
	    kt_cc_tree_look(&request, &tree, &err) < 0 ||
	    kt_cc_command_make(&request, &tree, compiler, &command, &err) < 0)
		return refused(&request, "kontain-gcc", &err, 1);
	if (request.is_verbose)
		decision_print(&request, &tree, &command);
	(void)fflush(NULL);
	(void)execv(compiler, command.words);
	fprintf(stderr, "%s: cannot run %s: %s\n", request.name, compiler, strerror(errno));
	return 1;
}
