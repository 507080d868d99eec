/* The module is asked who it is and nothing more: it is not KVM, so the guests of the KVM checks are not for it, and
 * only km knows how to run one there. What counts is the proof under km.
 *
 * It registers a misc device with a number that the kernel chooses (kontainapp/kkm, kkm_main.c), says who it is on any
 * processor, and refuses every other question on one that it does not support. */
#include "kkm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "device.h"
#include "kontain/base/own.h"
#include "kontain/node/node.h"

#define IDENTITY_ASK    _IO(KVMIO, 0xff)
#define IDENTITY_ANSWER 0x6b6b6d
#define MISC_MAJOR      10

/* A link is left to what it leads to: km in its view, and a payload in its pod, get the node itself. */
static bool is_there(int folder, struct kt_kkm *kkm)
{
	struct stat info;

	/* the order of km, which looks for KVM between the two; here there is none */
	for (size_t i = 1; i < KT_DEVICE_COUNT; i++) {
		if (fstatat(folder, kt_device_names[i], &info, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISCHR(info.st_mode) ||
		    major(info.st_rdev) != MISC_MAJOR)
			continue;
		(void)snprintf(kkm->node, sizeof(kkm->node), "%s", kt_device_names[i]);
		kkm->number = info.st_rdev;
		kkm->mode = info.st_mode;
		return true;
	}
	return false;
}

static int ask(int fd, const char *name, struct kt_kkm *kkm, struct kt_error *err)
{
	if (ioctl(fd, IDENTITY_ASK, 0UL) != IDENTITY_ANSWER)
		return kt_fail(err, ENOTTY, KT_REASON_KKM_FAILED, "%s does not answer as Kontain's own module", name);
	kkm->api_version = ioctl(fd, KVM_GET_API_VERSION, 0UL);
	if (kkm->api_version < 0)
		return kt_fail_errno(err, errno, KT_REASON_KKM_FAILED,
				     "Kontain's own module answers on %s, but does not support this processor", name);
	if (kkm->api_version != KVM_API_VERSION)
		return kt_fail(err, EPROTO, KT_REASON_KKM_FAILED,
			       "Kontain's own module speaks API version %d on %s, and km needs %d", kkm->api_version,
			       name, KVM_API_VERSION);
	return 0;
}

int kt_kkm_find(const char *host, const char *dev, struct kt_kkm *ret_kkm, struct kt_error *err)
{
	KT_OWN(kt_close_fd) int folder = open(dev, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat info;
	char name[64];

	*ret_kkm = (struct kt_kkm){.api_version = -1};
	if (folder < 0 || !is_there(folder, ret_kkm))
		return kt_fail(err, ENOENT, KT_REASON_DEVICE_MISSING, "Kontain's own module has no device in %s", dev);
	kt_device_name(host, dev, ret_kkm->node, name, sizeof(name));

	KT_OWN(kt_close_fd) int fd = openat(folder, ret_kkm->node, O_RDWR | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return kt_fail_errno(err, errno,
				     errno == EACCES || errno == EPERM ? KT_REASON_PERMISSION_DENIED :
									 KT_REASON_KKM_FAILED,
				     "cannot open %s", name);
	if (fstat(fd, &info) < 0 || !S_ISCHR(info.st_mode) || info.st_rdev != ret_kkm->number)
		return kt_fail(err, ESTALE, KT_REASON_KKM_FAILED, "%s changed while it was opened", name);
	return ask(fd, name, ret_kkm, err);
}
