/* vector_pie.km: an interpreter that starts as a compiler's code does, by a vector register, and loads nothing. Where
 * KVM emulates it does not get beyond that. */
#include "payload.h"

int payload_main(int argc, char **argv, char **envp)
{
	(void)argc;
	(void)argv;
	(void)envp;
	__asm__ volatile("pxor %xmm0, %xmm0");
	say("vectors work\n");
	return 0;
}
