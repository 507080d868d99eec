#ifndef KT_STORE_NAMES_H
#define KT_STORE_NAMES_H

#include "layout.h"

/* BundleInvalid names the first file or link in the bundle's folder that its manifest does not. */
int kt_names_check(const struct kt_bundle *bundle, struct kt_error *err);

#endif
