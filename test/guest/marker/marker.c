/*
 * The init of the benchmark's root. Its first act is to mark the moment in
 * the kernel's log; then the init that reports takes its place. It has no C
 * library, so that nothing of its own start-up is measured.
 */
static long call(long n, const void *a, const void *b, const void *c)
{
	long r;

	__asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return r;
}

__attribute__((used)) static void start(long *stack)
{
	static const char mark[] = "REAL-INIT\n";
	static const char next[] = "/usr/sbin/report-init";
	char **argv = (char **)(stack + 1);
	long fd = call(2 /* open */, "/dev/kmsg", (void *)1 /* O_WRONLY */, 0);

	call(1 /* write */, (void *)fd, mark, (void *)(sizeof(mark) - 1));
	call(59 /* execve */, next, argv, argv + *stack + 1);
	call(60 /* exit */, (void *)1, 0, 0);
}

__asm__(".globl _start\n_start:\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall start\n");
