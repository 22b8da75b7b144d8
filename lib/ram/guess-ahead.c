/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ram/guess-ahead.h"

#include <string.h>
#include <sys/mman.h>

#include "base/bytes.h"
#include "ram/received-pages.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

enum {
    FIRST_GUESS = 16,
    MAX_GUESS = 256,  /* 1 MiB of common pages; two parts of a read for each */
    MAX_BACKOFF = 64, /* reads into the reader's buffer between two guesses */
};

/* A unit is a word and its page. */
struct guess {
    struct vmmig__ram *ram;
    struct vmmig_reader *in;
    struct vmmig_block *block;
    uint32_t page_bytes;
    uint64_t page;  /* of the unit that is being read */
    uint64_t at;    /* bytes of it that are there, its word included */
    uint64_t ahead; /* units after it that the present read may fill */
    uint64_t populated_until; /* a page; what comes before is mapped */
    uint64_t right; /* words that were guessed right so far */
    uint64_t wrong_bytes; /* that had to be taken back */
    uint8_t words[MAX_GUESS + 1][VMMIG__RAM_WORD_BYTES];
};

static uint64_t unit_bytes(const struct guess *guess)
{
    return VMMIG__RAM_WORD_BYTES + guess->page_bytes;
}

static uint8_t *page_memory(const struct guess *guess, uint64_t page)
{
    return guess->block->host + page * guess->page_bytes;
}

bool vmmig__may_guess_ahead(struct vmmig__ram *ram, struct vmmig_reader *in,
                            const struct vmmig_block *block, uint64_t page)
{
    struct vmmig__ram_load *load = &ram->load;

    if (!ram->placer->in_place || ram->settings.other_channels)
        return false;
    if (vmmig__reader_buffered(in) >=
        vmmig__ram_blocks_page_bytes(ram->blocks))
        return false;
    if (page + 1 == block->page_count ||
        !vmmig__received_pages_missing(block, page + 1, 1))
        return false;
    /* What the reader buffers meanwhile costs a copy, a wrong guess two. */
    if (load->guess_pause > 0) {
        load->guess_pause--;
        return false;
    }
    return true;
}

/* Where the next bytes go: the rest of the unit, then `ahead` more units. */
static uint32_t make_parts(struct guess *guess, struct iovec *parts)
{
    uint32_t count = 0;

    for (uint64_t i = 0; i <= guess->ahead; i++) {
        uint64_t at = i == 0 ? guess->at : 0;
        uint64_t in_page = 0;

        if (at < VMMIG__RAM_WORD_BYTES)
            parts[count++] = (struct iovec){ guess->words[i] + at,
                                             VMMIG__RAM_WORD_BYTES - at };
        else
            in_page = at - VMMIG__RAM_WORD_BYTES;
        parts[count++] =
            (struct iovec){ page_memory(guess, guess->page + i) + in_page,
                            guess->page_bytes - in_page };
    }
    return count;
}

static bool word_is_right(const struct guess *guess, uint64_t unit)
{
    return vmmig__load_u64(guess->words[unit]) ==
           ((guess->page + unit) * guess->page_bytes | VMMIG__RAM_PAGE |
            VMMIG__RAM_CONTINUE);
}

/*
 * The word of @unit is not the one that was guessed: it and what follows, up to
 * @at bytes of unit @last, goes back to the reader.
 */
static void take_back(struct guess *guess, uint64_t unit, uint64_t last,
                      uint64_t at)
{
    uint64_t length = (last - unit) * unit_bytes(guess) + at, done = 0;
    uint8_t *bytes = g_malloc(length);

    for (uint64_t i = unit; done < length; i++) {
        uint64_t word = MIN(length - done, VMMIG__RAM_WORD_BYTES);
        uint64_t rest = MIN(length - done - word, guess->page_bytes);
        uint8_t *page = page_memory(guess, guess->page + i);

        memcpy(bytes + done, guess->words[i], word);
        if (rest > 0) {
            memcpy(bytes + done + word, page, rest);
            memset(page, 0, rest);
        }
        done += word + rest;
    }
    vmmig__reader_unread(guess->in, bytes, length);
    g_free(bytes);
    guess->wrong_bytes = length;
}

static bool land(struct guess *guess, uint64_t first, uint64_t count,
                 vmmig_error **error)
{
    struct vmmig__ram *ram = guess->ram;

    if (count == 0)
        return true;
    atomic_fetch_add_explicit(&ram->counters.normal_pages, count,
                              memory_order_relaxed);
    return ram->placer->landed(ram->placer->data, guess->block, first, count,
                               error);
}

/*
 * @length more bytes are there. Lands the pages that are complete, goes on to
 * the unit that is not; *ret_is_over when a word was not as guessed, or when
 * nothing more was guessed.
 */
static bool take_stock(struct guess *guess, uint64_t length, bool *ret_is_over,
                       vmmig_error **error)
{
    uint64_t total = guess->at + length;
    uint64_t last = total / unit_bytes(guess), at = total % unit_bytes(guess);
    bool was_known = guess->at >= VMMIG__RAM_WORD_BYTES;
    uint64_t first = guess->page;

    *ret_is_over = false;
    for (uint64_t i = was_known ? 1 : 0; i <= last; i++) {
        if (i == last && at < VMMIG__RAM_WORD_BYTES)
            break;
        if (!word_is_right(guess, i)) {
            take_back(guess, i, last, at);
            *ret_is_over = true;
            last = i;
            at = 0;
            break;
        }
        guess->right++;
    }
    if (last > 0 && at > 0)
        memcpy(guess->words[0], guess->words[last],
               MIN(at, VMMIG__RAM_WORD_BYTES));
    guess->page += last;
    guess->at = at;
    return land(guess, first, last, error);
}

/* How many pages after @page may be guessed: those up to the end of the block
 * and up to the next one that was received. */
static uint64_t guessable(const struct guess *guess)
{
    uint64_t next = guess->page + 1;
    uint64_t count = MIN((uint64_t)guess->ram->load.guess_pages,
                         guess->block->page_count - next);

    return vmmig__received_pages_missing(guess->block, next, count);
}

/* Whether to go on between two units. */
static bool may_go_on(const struct guess *guess)
{
    return guess->page < guess->block->page_count &&
           vmmig__received_pages_missing(guess->block, guess->page, 1);
}

/* What was guessed right saved one copy, what was wrong cost two. */
static void learn(struct guess *guess)
{
    struct vmmig__ram_load *load = &guess->ram->load;

    if (guess->wrong_bytes <= guess->right * guess->page_bytes / 4) {
        load->guess_backoff = 0;
        return;
    }
    load->guess_pages = MAX(load->guess_pages / 4, FIRST_GUESS / 4);
    load->guess_backoff = CLAMP(load->guess_backoff * 2, 1, MAX_BACKOFF);
    load->guess_pause = load->guess_backoff;
}

/*
 * Lets the kernel map what the next read may fill, in one call: a fault for each
 * page, inside of the read, costs as much as the copy. Where it cannot, or will
 * not, the faults come as they always did.
 */
static void populate(struct guess *guess)
{
    uint64_t first = MAX(guess->page, guess->populated_until);
    uint64_t limit = guess->page + guess->ahead + 1;

    if (first >= limit)
        return;
    madvise(page_memory(guess, first), (limit - first) * guess->page_bytes,
            MADV_POPULATE_WRITE);
    guess->populated_until = limit;
}

bool vmmig__load_guessing_ahead(struct vmmig__ram *ram,
                                struct vmmig_reader *in,
                                struct vmmig_block *block, uint64_t *page,
                                vmmig_error **error)
{
    struct iovec parts[2 * (MAX_GUESS + 1)];
    struct guess guess;
    bool is_over = false;

    guess.ram = ram;
    guess.in = in;
    guess.block = block;
    guess.page_bytes = vmmig__ram_blocks_page_bytes(ram->blocks);
    guess.page = *page;
    guess.at = VMMIG__RAM_WORD_BYTES; /* its word has been read */
    guess.populated_until = 0;
    guess.right = 0;
    guess.wrong_bytes = 0;
    if (ram->load.guess_pages == 0)
        ram->load.guess_pages = FIRST_GUESS;
    while (!is_over) {
        uint64_t length, at = guess.at;
        uint32_t count;

        guess.ahead = guessable(&guess);
        populate(&guess);
        count = make_parts(&guess, parts);
        if (!vmmig__reader_read_ahead(in, parts, count, &length, error) ||
            !take_stock(&guess, length, &is_over, error)) {
            *page = guess.page;
            return false;
        }
        if (!is_over && at + length == (guess.ahead + 1) * unit_bytes(&guess))
            ram->load.guess_pages = MIN(ram->load.guess_pages * 2, MAX_GUESS);
        if (guess.at == 0 && !may_go_on(&guess))
            is_over = true;
    }
    learn(&guess);
    return true;
}
