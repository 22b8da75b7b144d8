/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pages straight from the channel into guest memory, many in one system call.
 *
 * Most records of a first round are pages that follow each other: a word and a
 * page, a word and a page. So when a page has to be waited for, one read goes
 * to [page][word][page][word]..., and only then it is seen whether the words
 * are what was guessed. Where one is not, everything from it on goes back to
 * the reader, and the pages it landed in are zeroed. They have not been
 * received yet: no page that counts is ever touched.
 */
#ifndef VMMIG_RAM_GUESS_AHEAD_H
#define VMMIG_RAM_GUESS_AHEAD_H

#include "ram/ram.h"

/* Whether it is worth a guess after this page, whose word has been read. */
bool vmmig__may_guess_ahead(struct vmmig__ram *ram, struct vmmig_reader *in,
                            const struct vmmig_block *block, uint64_t page);

/* Reads *@page and as many of the following ones as follow indeed. After a
 * failure *@page is the one that was being read. */
bool vmmig__load_guessing_ahead(struct vmmig__ram *ram,
                                struct vmmig_reader *in,
                                struct vmmig_block *block, uint64_t *page,
                                vmmig_error **error)
    __attribute__((warn_unused_result));

#endif
