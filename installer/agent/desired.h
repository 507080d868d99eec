/* config and bundle -> kt_desired. */
#ifndef KT_AGENT_DESIRED_H
#define KT_AGENT_DESIRED_H

#include "jobs/installer.h"
#include "plan.h"

/* Looks at the bundle's manifest again only when its file has changed: a bundle of an image never does,
 * and a manifest of 5,000 files costs milliseconds to parse. */
struct kt_desired_cache {
	bool is_filled;
	unsigned long long device, inode, size;
	long long mtime_ns;
};

void kt_desired_read(const struct kt_installer *installer, struct kt_desired_cache *cache,
		     struct kt_desired *desired);

#endif
