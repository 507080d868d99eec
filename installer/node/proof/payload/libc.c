/* What the linker must see so that dynamic.c may call a libc.so. Never run and never shipped: the node's own takes its
 * place. In assembly, as a compiler has its own opinion on what these do. */
__asm__(".globl uname, getpid, write, _exit\n"
	".type uname, @function\n"
	".type getpid, @function\n"
	".type write, @function\n"
	".type _exit, @function\n"
	"uname:\n"
	"getpid:\n"
	"write:\n"
	"_exit:\n"
	"	ud2\n");
