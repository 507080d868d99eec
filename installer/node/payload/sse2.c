/* What every compiled program does: vector registers, and a time stamp. A KVM that only emulates ends here. */
#include "payload.h"

#include <emmintrin.h>

void payload_main(void)
{
	static const unsigned addends[4] = {1, 2, 3, 4};
	unsigned sums[4], low, high, cpu;
	__m128i zero = _mm_setzero_si128();
	__m128i sum = _mm_add_epi32(_mm_loadu_si128((const __m128i *)addends), _mm_cmpeq_epi32(zero, zero));

	_mm_storeu_si128((__m128i *)sums, sum);
	__asm__ volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(cpu));
	/* each lane got -1 added */
	if (sums[0] != 0 || sums[1] != 1 || sums[2] != 2 || sums[3] != 3 || (low | high) == 0)
		payload_exit(KT_PAYLOAD_STATUS + 1);
	payload_tell("sse2");
	payload_exit(KT_PAYLOAD_STATUS);
}
