/* The pod's projected token and CA. The token is read again for every request: the kubelet rotates it. */
#ifndef KONTAIN_KUBE_CREDENTIALS_H
#define KONTAIN_KUBE_CREDENTIALS_H

#include <stddef.h>

#include "kontain/base/error.h"

#define KT_CREDENTIALS_FOLDER "/var/run/secrets/kubernetes.io/serviceaccount"
#define KT_TOKEN_BYTES_MAX    (16 * 1024)

/* An owned header line "Authorization: Bearer ..."; end it with kt_credentials_forget. */
int kt_credentials_header(const char *folder, char **ret_header, struct kt_error *err);
/* Wipes and frees. For KT_OWN. */
void kt_credentials_forget(char **header);

#endif
