/* Three system calls without a libc. km alone puts its name behind the release, so output and exit status together
 * cannot be had without it. Nothing here is known to the kernel it runs on before it asks. */
#include "payload.h"

void payload_main(void)
{
	payload_tell("integer");
	payload_exit(KT_PAYLOAD_STATUS);
}
