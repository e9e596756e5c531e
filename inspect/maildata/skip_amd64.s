#include "textflag.h"

// breakOf has, at the place of an octet's low four bits, the octet with these bits that is
// a break (NUL, LF, CR), else 0, which is no octet with these bits.
DATA breakOf<>+0(SB)/8, $0x0000000000000000 // 0: NUL
DATA breakOf<>+8(SB)/8, $0x00000d00000a0000 // 10: LF, 13: CR
GLOBL breakOf<>(SB), RODATA|NOPTR, $16

DATA dot<>+0(SB)/1, $0x2e
GLOBL dot<>(SB), RODATA|NOPTR, $1

DATA lf<>+0(SB)/1, $0x0a
GLOBL lf<>(SB), RODATA|NOPTR, $1

// MASKS makes, of the 64 octets at Y3 and Y4, masks with a bit for each octet, the first
// lowest: AX breaks, DX dots, BX LFs.
#define MASKS \
	VPSHUFB   Y3, Y0, Y5;  \ // the break with the octet's low bits; 0 where its top bit is set
	VPSHUFB   Y4, Y0, Y6;  \
	VPCMPEQB  Y3, Y5, Y5;  \ // is it the octet itself?
	VPCMPEQB  Y4, Y6, Y6;  \
	VPCMPEQB  Y3, Y1, Y7;  \ // is the octet a dot?
	VPCMPEQB  Y4, Y1, Y8;  \
	VPCMPEQB  Y3, Y2, Y9;  \ // an LF?
	VPCMPEQB  Y4, Y2, Y10; \
	VPMOVMSKB Y5, AX;      \ // the answers for the first 32 octets
	VPMOVMSKB Y6, R13;     \ // and for the next
	SHLQ      $32, R13;    \ // above them
	ORQ       R13, AX;     \
	VPMOVMSKB Y7, DX;      \ // the dots likewise
	VPMOVMSKB Y8, R13;     \
	SHLQ      $32, R13;    \
	ORQ       R13, DX;     \
	VPMOVMSKB Y9, BX;      \ // and the LFs
	VPMOVMSKB Y10, R13;    \
	SHLQ      $32, R13;    \
	ORQ       R13, BX

// JUDGE jumps to stop if the octets of the masks matter, else moves the place of the last
// LF on. It leaves in DX the dots that stand behind a break. Of several LFs only the first
// can be far from the one before it: limit is no less than a block.
#define JUDGE(stop) \
	LEAQ    (R11)(AX*2), R13; \ // the octets behind a break; R11: is the block behind one?
	ANDQ    R13, DX;          \ // the dots among them
	LEAQ    (R12)(DX*2), R13; \ // the octets behind such a dot; R12: is the block behind one?
	ORQ     R10, R13;         \ // if all breaks matter, any octet
	TESTQ   AX, R13;          \ // is one of them a break?
	JNZ     stop;             \
	TZCNTQ  BX, R13;          \ // the first LF, 64 if there is none
	ADDQ    DI, R13;          \
	SUBQ    R8, R13;          \ // its distance from the last LF
	CMPQ    R13, R9;          \
	JGT     stop;             \ // the line has reached the limit before it
	BSRQ    BX, R13;          \ // the last LF; the zero flag says that there is none
	LEAQ    (DI)(R13*1), R13; \ // its place (the flags stay)
	CMOVQNE R13, R8

// func passBlocks(b []byte, lastLF, limit int, breaks uint64) (n, last int)
//
// SI b, CX its length, DI the block's place, R8 the last LF's place, R9 limit, R10 breaks.
// R11 is 1 if the octet before the block is a break, R12 if it is a dot behind one.
TEXT ·passBlocks(SB), NOSPLIT, $0-64
	MOVQ b_base+0(FP), SI
	MOVQ b_len+8(FP), CX
	MOVQ lastLF+24(FP), R8
	MOVQ limit+32(FP), R9
	MOVQ breaks+40(FP), R10
	VBROADCASTI128 breakOf<>(SB), Y0
	VPBROADCASTB   dot<>(SB), Y1
	VPBROADCASTB   lf<>(SB), Y2
	XORL DI, DI                   // the first block
	XORL R11, R11                 // is behind no break, as skip says
	XORL R12, R12

	PCALIGN $32
loop:
	LEAQ 64(DI), AX
	CMPQ AX, CX
	JGT  rest                     // fewer than 64 octets are left
	VMOVDQU (SI)(DI*1), Y3
	VMOVDQU 32(SI)(DI*1), Y4
	MASKS
	JUDGE(stop)
	SHRQ $63, AX                  // is the last octet a break?
	MOVQ AX, R11
	SHRQ $63, DX                  // a dot behind one?
	MOVQ DX, R12
	ADDQ $64, DI
	JMP  loop                     // the next block

rest:
	CMPQ DI, CX
	JEQ  stop                     // nothing is left
	VMOVDQU -64(SI)(CX*1), Y3     // the last 64 octets, of which some were passed
	VMOVDQU -32(SI)(CX*1), Y4
	MASKS
	LEAQ 64(DI), R13
	SUBQ CX, R13                  // so many of them
	SHRXQ R13, AX, AX             // make the masks those of a block that begins at DI
	SHRXQ R13, DX, DX             // and has zeros behind the end
	SHRXQ R13, BX, BX
	JUDGE(stop)
	MOVQ CX, DI                   // all of b was passed

stop:
	VZEROUPPER                    // or later SSE code is slow
	MOVQ DI, n+48(FP)
	MOVQ R8, last+56(FP)
	RET
