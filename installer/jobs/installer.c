#include "installer.h"

int kt_exit_status(const struct kt_error *err)
{
	switch (err->reason) {
	case KT_REASON_LOCKED:
		return KT_EXIT_LOCKED;
	case KT_REASON_IN_USE:
		return KT_EXIT_IN_USE;
	default:
		return KT_EXIT_FAILED;
	}
}
