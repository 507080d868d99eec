/* The loop of kontain-device-plugin: offers the kubelet what state.json says that this node can do. */
#ifndef KONTAIN_PLUGIN_PLUGIN_H
#define KONTAIN_PLUGIN_PLUGIN_H

#include "kontain/base/error.h"
#include "kontain/base/landlock.h"
#include "plugin/options.h"

/* Runs until SIGTERM or SIGINT, which it takes for itself: 0. landlock: for the log. */
int kt_plugin_run(const struct kt_plugin_options *options, const char *landlock, struct kt_error *err);

#endif
