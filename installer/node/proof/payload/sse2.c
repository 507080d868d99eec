/* What every compiled program does: vector registers, and a time stamp where the guest's CPU offers it. A KVM that only
 * emulates ends here. */
#include "payload.h"

#include <cpuid.h>
#include <emmintrin.h>

/* CPUID Fn8000_0001 EDX, bit 27 (AMD APM vol. 3, appendix E) */
static int has_rdtscp(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(0x80000001, &a, &b, &c, &d) && (d >> 27 & 1);
}

void payload_main(void)
{
	static const unsigned addends[4] = {1, 2, 3, 4};
	unsigned sums[4], low = 1, high = 0, cpu;
	__m128i ones, sum = _mm_loadu_si128((const __m128i *)addends);

	/* as text, because a compiler adds constants itself and leaves no instruction to prove anything */
	__asm__ volatile("pxor %0, %0\n\t"
			 "pcmpeqd %0, %0\n\t"
			 "paddd %0, %1"
			 : "=&x"(ones), "+x"(sum));
	_mm_storeu_si128((__m128i *)sums, sum);
	if (has_rdtscp())
		__asm__ volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(cpu));
	/* each lane got -1 added */
	if (sums[0] != 0 || sums[1] != 1 || sums[2] != 2 || sums[3] != 3 || (low | high) == 0)
		payload_exit(KT_PAYLOAD_WRONG_SUMS);
	payload_tell("sse2");
	payload_exit(KT_PAYLOAD_STATUS);
}
