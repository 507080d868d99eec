/* Only in builds with sanitizers. LeakSanitizer looks at its own process through ptrace, which the agent's filter
 * refuses: under a filter it stays off, everywhere else it is on. */
#include <sys/prctl.h>

int __lsan_is_turned_off(void);

int __lsan_is_turned_off(void)
{
	return prctl(PR_GET_SECCOMP) != 0;
}
