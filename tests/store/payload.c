/* The smallest static program: stands in for bin/km where only the tree counts. Run, it stays until it is killed. */
static long call(long number, long one, long two, long three)
{
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(one), "S"(two), "d"(three)
			 : "rcx", "r11", "memory");
	return result;
}

void _start(void);
void _start(void)
{
	call(34 /* pause */, 0, 0, 0);
	call(60 /* exit */, 0, 0, 0);
}
