#include "textflag.h"

#define SYS_READ 0
#define SYS_OPEN 2
#define SYS_CLOSE 3
#define SYS_ACCESS 21
#define SYS_EXIT 60
#define SYS_PRCTL 157
#define PR_SET_TIMERSLACK 29
#define TIMERSLACK 200000 // ns, see entry.go
#define PR_SET_THP_DISABLE 41
#define O_CLOEXEC 0x80000

// What lies on the stack while a name is looked for: a newline and the list;
// the directory of what is loaded, without an end; the name between two
// newlines, as it would stand in the list, or between a slash and the end of a
// path. LISTSIZE is MaxNames with that newline and one byte more, which shows a
// longer list.
#define LISTSIZE 16385
#define LOADED 16386
#define NAME 16408
#define NAMESIZE 128
#define FRAME 16544

DATA names<>+0(SB)/8, $"/etc/fir"
DATA names<>+8(SB)/8, $"stlight/"
DATA names<>+16(SB)/8, $"crypto-n"
DATA names<>+24(SB)/8, $"ames\x00\x00\x00\x00"
GLOBL names<>(SB), RODATA|NOPTR, $32

DATA loaded<>+0(SB)/8, $"/etc/fir"
DATA loaded<>+8(SB)/8, $"stlight/"
DATA loaded<>+16(SB)/8, $"loaded\x00\x00"
GLOBL loaded<>(SB), RODATA|NOPTR, $24

// The kernel begins here, with argc, argv … on the stack and nothing else.
TEXT ·start(SB), NOSPLIT|NOFRAME, $0
	MOVL $SYS_PRCTL, AX
	MOVL $PR_SET_THP_DISABLE, DI
	MOVL $1, SI
	XORL DX, DX
	XORL R10, R10
	XORL R8, R8
	SYSCALL
	MOVL $SYS_PRCTL, AX
	MOVL $PR_SET_TIMERSLACK, DI
	MOVL $TIMERSLACK, SI
	SYSCALL

	// Is this what the kernel calls, /sbin/modprobe -q -- NAME, and the name
	// crypto-… or md-level…?
	CMPQ 0(SP), $4
	JNE  main
	MOVQ 8(SP), BX
	MOVQ $0x6f6d2f6e6962732f, AX // "/sbin/mo"
	CMPQ AX, 0(BX)
	JNE  main
	CMPL 8(BX), $0x6f727064  // "dpro"
	JNE  main
	CMPL 11(BX), $0x0065626f // "obe\0"
	JNE  main
	MOVQ 32(SP), R12
	MOVL $1, R10             // md
	MOVQ $0x6c6576656c2d646d, AX // "md-level"
	CMPQ AX, 0(R12)
	JEQ  name
	XORL R10, R10            // crypto
	CMPL 0(R12), $0x70797263 // "cryp"
	JNE  main
	CMPL 3(R12), $0x2d6f7470 // "pto-"
	JNE  main

name:
	// The name, as the list spells it. R13 is its length with both newlines.
	SUBQ $FRAME, SP
	MOVB $'\n', NAME(SP)
	MOVL $1, R13

copy:
	MOVBLZX (R12), AX
	CMPL    AX, $0
	JEQ     copied
	CMPL    R13, $(NAMESIZE-1)
	JEQ     back
	CMPL    AX, $'[' // within brackets '-' stays
	JEQ     back
	CMPL    AX, $'-'
	JNE     put
	MOVL    $'_', AX

put:
	LEAQ NAME(SP), DI
	MOVB AX, (DI)(R13*1)
	INCQ R13
	INCQ R12
	JMP  copy

copied:
	LEAQ NAME(SP), DI
	TESTL R10, R10
	JNE  level
	MOVB $'\n', (DI)(R13*1)
	INCQ R13

	// The list. R14 is its length with the newline before it.
	MOVL $SYS_OPEN, AX
	LEAQ names<>(SB), DI
	MOVL $O_CLOEXEC, SI
	XORL DX, DX
	SYSCALL
	CMPQ AX, $0
	JLT  back
	MOVQ AX, BX
	MOVB $'\n', 0(SP)
	MOVL $SYS_READ, AX
	MOVQ BX, DI
	LEAQ 1(SP), SI
	MOVL $(LISTSIZE-1), DX
	SYSCALL
	MOVQ AX, R14
	MOVL $SYS_CLOSE, AX
	MOVQ BX, DI
	SYSCALL
	CMPQ R14, $0
	JLE  back
	CMPQ R14, $(LISTSIZE-1)
	JEQ  back
	LEAQ (SP)(R14*1), DI
	CMPB (DI), $'\n'
	JNE  back
	INCQ R14

	// Each line, from the newline before it: SI is where it begins, R15 where
	// the last one that is long enough may begin.
	MOVQ SP, SI
	LEAQ (SP)(R14*1), R15
	SUBQ R13, R15

line:
	CMPQ SI, R15
	JHI  missing
	LEAQ NAME(SP), DI
	XORL CX, CX

byte:
	MOVB (SI)(CX*1), AX
	CMPB AX, (DI)(CX*1)
	JNE  next
	INCQ CX
	CMPQ CX, R13
	JNE  byte

back:
	ADDQ $FRAME, SP

main:
	JMP _rt0_amd64_linux(SB)

next:
	INCQ SI
	CMPQ SI, R15
	JHI  missing
	CMPB (SI), $'\n'
	JNE  next
	JMP  line

missing:
	MOVL $1, DI

exit:
	MOVL $SYS_EXIT, AX
	SYSCALL
	INT  $3

	// Is there a file of that name?
level:
	MOVB $0, (DI)(R13*1)
	MOVB $'/', NAME(SP)
	MOVQ loaded<>+0(SB), AX
	MOVQ AX, LOADED(SP)
	MOVQ loaded<>+8(SB), AX
	MOVQ AX, (LOADED+8)(SP)
	MOVL loaded<>+16(SB), AX
	MOVL AX, (LOADED+16)(SP)
	MOVW loaded<>+20(SB), AX
	MOVW AX, (LOADED+20)(SP)
	MOVL $SYS_ACCESS, AX
	LEAQ LOADED(SP), DI
	XORL SI, SI
	SYSCALL
	CMPQ AX, $0
	JNE  back
	XORL DI, DI
	JMP  exit
