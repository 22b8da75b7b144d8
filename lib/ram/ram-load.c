/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ram/ram-load.h"

#include <inttypes.h>

#include "base/bytes.h"
#include "ram/guess-ahead.h"
#include "ram/received-pages.h"

/* Pages of zeros that are placed in one go, at most. */
#define MAX_ZEROS 512

/* -- setup */

bool vmmig__ram_load_setup(void *data, vmmig_error **error)
{
    struct vmmig__ram *ram = data;

    ram->load = (struct vmmig__ram_load){ .has_block_list = false };
    return vmmig__received_pages_start(ram->blocks, error);
}

void vmmig__ram_load_cleanup(void *data)
{
    struct vmmig__ram *ram = data;

    vmmig__received_pages_stop(ram->blocks);
}

/* -- block list */

static bool is_ignored(const struct vmmig__ram *ram,
                       const struct vmmig_block *block)
{
    return ram->settings.ignore_shared && vmmig__block_is_ignorable(block);
}

/* Adds the block to an error about it; always false. */
static bool note_block(vmmig_error **error, const char *name)
{
    if (error)
        vmmig__error_note(*error, "block", "%s", name);
    return false;
}

static bool check_listed_block(const struct vmmig__ram *ram,
                               struct vmmig_reader *in, const char *name,
                               uint64_t length_bytes, vmmig_error **error)
{
    const struct vmmig_block *block =
        vmmig__ram_blocks_find(ram->blocks, name);
    uint64_t guest_address;

    if (!block)
        return vmmig__reader_fail(in, error, VMMIG_ERROR_INCOMPATIBLE,
                                  "there is no block \"%s\" here", name);
    if (block->length_bytes != length_bytes)
        return vmmig__reader_fail(in, error, VMMIG_ERROR_INCOMPATIBLE,
                                  "block \"%s\" has 0x%" PRIx64
                                  " bytes there and 0x%" PRIx64 " here",
                                  name, length_bytes, block->length_bytes);
    if (!ram->settings.ignore_shared)
        return true;
    if (!vmmig_reader_get_u64(in, &guest_address, error))
        return false;
    if (is_ignored(ram, block) && guest_address != block->guest_address)
        return vmmig__reader_fail(in, error, VMMIG_ERROR_INCOMPATIBLE,
                                  "the shared block \"%s\" is at the guest "
                                  "address 0x%" PRIx64
                                  " there and at 0x%" PRIx64 " here",
                                  name, guest_address, block->guest_address);
    return true;
}

/* Every listed block is one of ours; now every one of ours must be listed. */
static bool check_complete(const struct vmmig__ram *ram,
                           struct vmmig_reader *in,
                           const struct vmmig__block_list *list,
                           vmmig_error **error)
{
    struct vmmig_block *const *blocks;
    uint32_t count;

    blocks = vmmig__ram_blocks_get(ram->blocks, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (g_hash_table_contains(list->names, blocks[i]->name))
            continue;
        vmmig__reader_fail(in, error, VMMIG_ERROR_INCOMPATIBLE,
                           "block \"%s\" is not among the blocks of 0x%" PRIx64
                           " bytes there; here they have 0x%" PRIx64,
                           blocks[i]->name, list->total_bytes,
                           vmmig__ram_blocks_bytes(ram->blocks));
        return note_block(error, blocks[i]->name);
    }
    return true;
}

static bool load_block_list(struct vmmig__ram *ram, struct vmmig_reader *in,
                            uint64_t total_bytes, vmmig_error **error)
{
    struct vmmig__block_list list;
    char name[VMMIG__NAME_BYTES];
    uint64_t length_bytes;
    bool ok = true;

    if (vmmig_reader_get_phase(in) != VMMIG_PHASE_SETUP)
        return vmmig__reader_fail(in, error, VMMIG_ERROR_PROTOCOL,
                                  "a list of blocks after the start");
    if (ram->load.has_block_list)
        return vmmig__reader_fail(in, error, VMMIG_ERROR_PROTOCOL,
                                  "a second list of blocks");
    vmmig__block_list_init(&list, total_bytes,
                           vmmig__ram_blocks_page_bytes(ram->blocks));
    while (ok && list.remaining_bytes > 0) {
        ok = vmmig__get_block_entry(in, &list, name, &length_bytes, error);
        if (ok && !check_listed_block(ram, in, name, length_bytes, error))
            ok = note_block(error, name);
    }
    ok = ok && check_complete(ram, in, &list, error);
    vmmig__block_list_clear(&list);
    ram->load.has_block_list = ok;
    return ok;
}

/* -- pages */

/* The block that a page record belongs to, and the page in it. */
static bool find_page(struct vmmig__ram *ram, struct vmmig_reader *in,
                      const struct vmmig__ram_word *word,
                      struct vmmig_block **ret_block, uint64_t *ret_page,
                      vmmig_error **error)
{
    struct vmmig_block *block = ram->load.last_block.block;
    char name[VMMIG__NAME_BYTES];

    if (!ram->load.has_block_list)
        return vmmig__reader_fail(in, error, VMMIG_ERROR_PROTOCOL,
                                  "a page before the list of blocks");
    if (word->is_continued) {
        if (!block)
            return vmmig__reader_fail(in, error, VMMIG_ERROR_PROTOCOL,
                                      "a page of the block of the last page, "
                                      "but it is the first one");
    } else {
        if (!vmmig__get_block_name(in, name, error))
            return false;
        block = vmmig__ram_blocks_find(ram->blocks, name);
        if (!block) {
            vmmig__reader_fail(in, error, VMMIG_ERROR_PROTOCOL,
                               "a page of block \"%s\", which is not among "
                               "the blocks",
                               name);
            return note_block(error, name);
        }
        if (is_ignored(ram, block)) {
            vmmig__reader_fail(in, error, VMMIG_ERROR_PROTOCOL,
                               "a page of the shared block \"%s\", which "
                               "x-ignore-shared leaves out",
                               name);
            return note_block(error, name);
        }
        ram->load.last_block.block = block;
    }
    if (word->offset_bytes >= block->length_bytes) {
        vmmig__reader_fail(in, error, VMMIG_ERROR_PROTOCOL,
                           "a page at 0x%" PRIx64
                           " of block \"%s\", which has 0x%" PRIx64 " bytes",
                           word->offset_bytes, block->name,
                           block->length_bytes);
        return note_block(error, block->name);
    }
    *ret_block = block;
    *ret_page =
        word->offset_bytes >> vmmig__ram_blocks_page_shift(ram->blocks);
    return true;
}

static bool fail_page(const struct vmmig__ram *ram,
                      const struct vmmig_block *block, uint64_t page,
                      vmmig_error **error)
{
    vmmig__prefix(error, "page at 0x%" PRIx64 " of block \"%s\": ",
                  page << vmmig__ram_blocks_page_shift(ram->blocks),
                  block->name);
    return note_block(error, block->name);
}

/* Places the pages of zeros that were put off. */
static bool place_zeros(struct vmmig__ram *ram, vmmig_error **error)
{
    struct vmmig__page_run zeros = ram->load.zeros;

    if (zeros.page_count == 0)
        return true;
    ram->load.zeros.page_count = 0;
    if (!ram->placer->zero(ram->placer->data, zeros.block, zeros.first_page,
                           zeros.page_count, error))
        return fail_page(ram, zeros.block, zeros.first_page, error);
    atomic_fetch_add_explicit(&ram->counters.zero_pages, zeros.page_count,
                              memory_order_relaxed);
    return true;
}

/* Whether the page is the next one of those that were put off. */
static bool goes_on(const struct vmmig__page_run *zeros,
                    const struct vmmig_block *block, uint64_t page)
{
    return zeros->page_count > 0 && zeros->page_count < MAX_ZEROS &&
           zeros->block == block &&
           zeros->first_page + zeros->page_count == page;
}

/* Pages of zeros come in runs, and are placed in runs: but not later than
 * before this thread waits for more of the stream. */
static bool load_zero_page(struct vmmig__ram *ram, struct vmmig_reader *in,
                           struct vmmig_block *block, uint64_t page,
                           vmmig_error **error)
{
    struct vmmig__page_run *zeros = &ram->load.zeros;

    if (!vmmig__get_zero_byte(in, error))
        return fail_page(ram, block, page, error);
    if (!goes_on(zeros, block, page)) {
        if (!place_zeros(ram, error))
            return false;
        *zeros = (struct vmmig__page_run){ .block = block, .first_page = page };
    }
    zeros->page_count++;
    return vmmig__reader_buffered(in) >= VMMIG__RAM_WORD_BYTES + 1 ||
           place_zeros(ram, error);
}

static bool load_plain_page(struct vmmig__ram *ram, struct vmmig_reader *in,
                            struct vmmig_block *block, uint64_t page,
                            vmmig_error **error)
{
    const struct vmmig__page_placer *placer = ram->placer;
    uint8_t *target = placer->target(placer->data, block, page, 1);

    if (!vmmig_reader_get_bytes(in, target,
                                vmmig__ram_blocks_page_bytes(ram->blocks),
                                error) ||
        !placer->landed(placer->data, block, page, 1, error))
        return false;
    atomic_fetch_add_explicit(&ram->counters.normal_pages, 1,
                              memory_order_relaxed);
    return true;
}

static bool load_page(struct vmmig__ram *ram, struct vmmig_reader *in,
                      const struct vmmig__ram_word *word, vmmig_error **error)
{
    struct vmmig_block *block;
    uint64_t page;
    bool ok;

    /* A name and a page have to be waited for; the page may also be one of
     * those that were put off. */
    if ((word->kind == VMMIG__RAM_PAGE || !word->is_continued) &&
        !place_zeros(ram, error))
        return false;
    if (!find_page(ram, in, word, &block, &page, error))
        return false;
    if (word->kind == VMMIG__RAM_ZERO)
        return load_zero_page(ram, in, block, page, error);
    if (vmmig__may_guess_ahead(ram, in, block, page))
        ok = vmmig__load_guessing_ahead(ram, in, block, &page, error);
    else
        ok = load_plain_page(ram, in, block, page, error);
    return ok || fail_page(ram, block, page, error);
}

/* -- one body */

/* Records that only a capability brings, which has not been agreed on. */
static const struct {
    uint64_t flag;
    const char *words;
} refusals[] = {
    { VMMIG__RAM_XBZRLE, "a page as the difference to its last content: the "
                         "source has the capability xbzrle on, which is not "
                         "supported here" },
    { VMMIG__RAM_COMPRESS_PAGE, "a compressed page: the source has the "
                                "capability compress on, which is not "
                                "supported here" },
    { VMMIG__RAM_MULTIFD_FLUSH, "a multifd sync: the source has the "
                                "capability multifd on, here it is off" },
    { VMMIG__RAM_HOOK, "a message of the RDMA transport, which is not "
                       "supported here" },
};

static bool refuse_word(const struct vmmig__ram *ram, struct vmmig_reader *in,
                        uint64_t word, vmmig_error **error)
{
    uint64_t flags = word & (vmmig__ram_blocks_page_bytes(ram->blocks) - 1);

    for (size_t i = 0; i < G_N_ELEMENTS(refusals); i++) {
        if ((flags & ~(uint64_t)VMMIG__RAM_CONTINUE) == refusals[i].flag)
            return vmmig__reader_fail(in, error, VMMIG_ERROR_INCOMPATIBLE,
                                      "%s", refusals[i].words);
    }
    return vmmig__reader_fail(in, error, VMMIG_ERROR_PROTOCOL,
                              "the RAM word 0x%" PRIx64
                              " has the unknown flags 0x%" PRIx64,
                              word, flags);
}

static bool check_end(const struct vmmig__ram *ram, struct vmmig_reader *in,
                      vmmig_error **error)
{
    if (ram->load.has_block_list)
        return true;
    return vmmig__reader_fail(in, error, VMMIG_ERROR_PROTOCOL,
                              "the RAM section has no list of blocks");
}

bool vmmig__ram_load(void *data, struct vmmig_reader *in, uint32_t version,
                     vmmig_error **error)
{
    struct vmmig__ram *ram = data;
    uint32_t page_bytes = vmmig__ram_blocks_page_bytes(ram->blocks);
    uint64_t start = vmmig__reader_get_offset(in);
    bool ok = true, is_over = false;

    if (version != VMMIG__RAM_SECTION_VERSION)
        return vmmig__reader_fail(in, error, VMMIG_ERROR_INCOMPATIBLE,
                                  "the RAM section has version %" PRIu32
                                  ", known is %d",
                                  version, VMMIG__RAM_SECTION_VERSION);
    while (ok && !is_over) {
        struct vmmig__ram_word word;
        uint64_t value;

        if (!vmmig_reader_get_u64(in, &value, error))
            return false;
        if (!vmmig__parse_ram_word(value, page_bytes, &word))
            return refuse_word(ram, in, value, error);
        switch (word.kind) {
        case VMMIG__RAM_EOS:
            ok = check_end(ram, in, error) && place_zeros(ram, error);
            is_over = true;
            break;
        case VMMIG__RAM_MEM_SIZE:
            ok = load_block_list(ram, in, word.offset_bytes, error);
            break;
        case VMMIG__RAM_ZERO:
        case VMMIG__RAM_PAGE:
            ok = load_page(ram, in, &word, error);
            break;
        default:
            ok = refuse_word(ram, in, value, error);
            break;
        }
    }
    atomic_fetch_add_explicit(&ram->counters.bytes,
                              vmmig__reader_get_offset(in) - start,
                              memory_order_relaxed);
    return ok;
}
