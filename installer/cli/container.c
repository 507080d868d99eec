/* In the agent's container the runner is process 1, and whoever is let in (kubectl exec) runs the same program. Nobody
 * but root can write its command line, as that lies in its own memory; the agent, which is another user, cannot. On a
 * host process 1 is another program, and nothing is taken. */
#include "container.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kontain/base/own.h"
#include "kontain/base/proc.h"

/* Is process 1 of our proc the same program file as this one, and root's? */
static bool is_ours(void)
{
	KT_OWN(kt_close_fd) int proc = kt_proc_open("");
	struct stat process, first, own;

	return proc >= 0 && fstatat(proc, "1", &process, 0) == 0 && process.st_uid == 0 &&
	       fstatat(proc, "1/exe", &first, 0) == 0 && fstatat(proc, "self/exe", &own, 0) == 0 &&
	       first.st_dev == own.st_dev && first.st_ino == own.st_ino;
}

bool kt_container_agent(struct kt_container_agent *ret_agent)
{
	struct kt_container_agent *agent = ret_agent;
	int size;

	agent->argc = 0;
	if (getpid() == 1 || !is_ours())
		return false;
	size = kt_proc_read("", "1/cmdline", agent->text, sizeof(agent->text));
	if (size <= 0 || size == (int)sizeof(agent->text) - 1 || agent->text[size - 1] != '\0')
		return false;
	for (char *word = agent->text; word < agent->text + size; word += strlen(word) + 1) {
		if (agent->argc == KT_CONTAINER_WORDS_MAX)
			return false;
		agent->argv[agent->argc++] = word;
	}
	agent->argv[agent->argc] = NULL;
	return agent->argc >= 2 && strcmp(agent->argv[1], "run") == 0;
}
