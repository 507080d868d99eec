#include "kontain/node/node.h"

const char *const kt_device_names[KT_DEVICE_COUNT] = {"kvm", "kontain", "kkm"};
