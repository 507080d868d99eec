/* By itself: programs that know versions and nothing else of a state are not linked with what reads one. */
#include <string.h>

#include "kontain/contract/state.h"

bool kt_version_is_valid(const char *version)
{
	static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	static const char rest[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t length = strlen(version);

	return length > 0 && length < KT_VERSION_MAX && strchr(first, version[0]) && strspn(version, rest) == length;
}
