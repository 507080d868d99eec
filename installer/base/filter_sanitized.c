/* Only in builds with sanitizers. LeakSanitizer looks at its own process at the end, by a helper that shares its memory
 * and stops it through ptrace. With this a filter guards little, so confinement is tested with the release build. */
#include <sys/syscall.h>

#include "kontain/base/filter.h"
#include "kontain/base/landlock.h"

/* clang-format off */
static const struct kt_filter_rule sanitizer[] = {
	{.call = SYS_clone}, {.call = SYS_ptrace}, {.call = SYS_wait4},
	{.call = SYS_prctl}, {.call = SYS_kill},   {.call = SYS_arch_prctl}, {.call = SYS_getdents},
};
/* clang-format on */

const struct kt_filter_table kt_filter_sanitizer = KT_FILTER_TABLE(sanitizer);

const struct kt_landlock_place kt_landlock_sanitizer[] = {
	{"/proc", KT_LANDLOCK_READ}, /* its own mappings and threads */
	{"/usr", KT_LANDLOCK_READ},  /* names for a report */
	{"/tmp", KT_LANDLOCK_WRITE}, /* the tests have their reports there */
};
const size_t kt_landlock_sanitizer_count = sizeof(kt_landlock_sanitizer) / sizeof(kt_landlock_sanitizer[0]);
