/* The first process of every pod of the lab: it holds the pod's namespaces and does nothing, but goes when told to. */
#include <signal.h>
#include <unistd.h>

static void leave(int number)
{
	(void)number;
	_exit(0);
}

int main(void)
{
	/* As process 1 it gets only signals that it asks for; orphans, which come with a shared pid namespace, are
	 * collected by the kernel when SIGCHLD is ignored. */
	signal(SIGCHLD, SIG_IGN);
	signal(SIGTERM, leave);
	signal(SIGINT, leave);
	for (;;)
		pause();
}
