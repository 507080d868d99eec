#include "kontain/base/signals.h"

#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>
#include <unistd.h>

int kt_signals_open(int *ret_fd, struct kt_error *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return kt_fail_errno(err, errno, KT_REASON_INTERNAL, "cannot set signals");
	*ret_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return *ret_fd < 0 ? kt_fail_errno(err, errno, KT_REASON_INTERNAL, "cannot take signals") : 0;
}

const char *kt_signals_take(int fd)
{
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return NULL;
	return info.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT";
}
