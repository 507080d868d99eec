/* A signal to the monitor is for its payload, which takes it when it next leaves the guest. So a payload that spins and
 * asks for nothing is not ended by SIGTERM: km's is not, and whoever ends one has to know. Payloads here have no
 * handlers of their own: what is not ignored by default ends them. */
#include "signals.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "monitor.h"

#define CORE_PATH "./kmcore"

static const int forwarded[] = {SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE, SIGALRM, SIGVTALRM, SIGPROF};
static const int with_core[] = {SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS};

static volatile sig_atomic_t waiting[NSIG];

static void remember(int number)
{
	waiting[number] = 1;
}

void signals_forward(void)
{
	struct sigaction action = {.sa_handler = remember};

	for (size_t i = 0; i < sizeof(forwarded) / sizeof(forwarded[0]); i++)
		(void)sigaction(forwarded[i], &action, NULL);
	(void)signal(SIGWINCH, SIG_IGN);
}

int signals_take(void)
{
	for (size_t i = 0; i < sizeof(forwarded) / sizeof(forwarded[0]); i++)
		if (waiting[forwarded[i]])
			return forwarded[i];
	return 0;
}

static bool leaves_core(int number)
{
	for (size_t i = 0; i < sizeof(with_core) / sizeof(with_core[0]); i++)
		if (with_core[i] == number)
			return true;
	return false;
}

void signals_die(const struct guest *guest, int number)
{
	struct rlimit none = {0, 0};
	const char *core = "";
	sigset_t all;

	if (leaves_core(number)) {
		core = " (core dumped)";
		if (guest_dump(guest, CORE_PATH) < 0) {
			message("Cannot open corefile '%s': %s", CORE_PATH, strerror(errno));
			core = "";
		}
	}
	message("guest: %s%s", strsignal(number), core);
	/* the kernel's core of the monitor itself would hold the guest a second time */
	(void)setrlimit(RLIMIT_CORE, &none);
	(void)signal(number, SIG_DFL);
	sigfillset(&all);
	(void)sigprocmask(SIG_UNBLOCK, &all, NULL);
	(void)raise(number);
	monitor_abort();
}
