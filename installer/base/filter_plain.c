/* In builds without sanitizers: nothing is allowed for their sake. */
#include "kontain/base/filter.h"
#include "kontain/base/landlock.h"

const struct kt_filter_table kt_filter_sanitizer = {NULL, 0};

const struct kt_landlock_place kt_landlock_sanitizer[1];
const size_t kt_landlock_sanitizer_count = 0;
