/* SPDX-License-Identifier: MIT
 *
 * The tables that build_table.py makes, as bytes in read-only memory, which processes share and of
 * which only the pages in use are resident. src/context/vocabulary.h says how they are read.
 */
        .section .rodata.cx_bpe, "a", %progbits

        .balign 64
        .globl  cx_bpe_cl100k_base
        .hidden cx_bpe_cl100k_base
        .type   cx_bpe_cl100k_base, %object
cx_bpe_cl100k_base:
        .incbin "cl100k_base.table"
        .size   cx_bpe_cl100k_base, . - cx_bpe_cl100k_base

        .balign 64
        .globl  cx_bpe_o200k_base
        .hidden cx_bpe_o200k_base
        .type   cx_bpe_o200k_base, %object
cx_bpe_o200k_base:
        .incbin "o200k_base.table"
        .size   cx_bpe_o200k_base, . - cx_bpe_o200k_base

        .section .note.GNU-stack, "", %progbits
