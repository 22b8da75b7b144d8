/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/host-table.h"

#include <string.h>
#include <unistd.h>

#include "base/struct-copy.h"

enum { DEFAULT_PAGE_BYTES = 4096, LARGEST_PAGE_BYTES = 1 << 30 };

/* "00010203-0405-0607-0809-0a0b0c0d0e0f" to 16 bytes, as written. */
static bool parse_uuid(const char *text, uint8_t uuid[16])
{
    size_t at = 0;

    for (size_t i = 0; i < 16; i++) {
        int high, low;

        if (i == 4 || i == 6 || i == 8 || i == 10) {
            if (text[at++] != '-')
                return false;
        }
        high = g_ascii_xdigit_value(text[at]);
        low = high < 0 ? -1 : g_ascii_xdigit_value(text[at + 1]);
        if (low < 0)
            return false;
        uuid[i] = (uint8_t)(high << 4 | low);
        at += 2;
    }
    return text[at] == '\0';
}

static bool check(struct vmmig__host *host, vmmig_error **error)
{
    struct vmmig_host *table = &host->table;
    long kernel_page_bytes = sysconf(_SC_PAGESIZE);

    if (!table->stop_guest || !table->start_guest)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "vmmig_host: stop_guest and start_guest must be "
                           "there");
    if (!table->lock != !table->unlock)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "vmmig_host: lock and unlock come together");
    if (!table->acquire_ownership && table->release_ownership)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "vmmig_host: release_ownership needs "
                           "acquire_ownership, to undo it");
    if (table->vcpu_count > 0 && (!table->save_vcpu || !table->load_vcpu))
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "vmmig_host: %u vCPUs, but not both save_vcpu and "
                           "load_vcpu",
                           (unsigned)table->vcpu_count);
    if (table->page_bytes == 0)
        table->page_bytes = DEFAULT_PAGE_BYTES;
    if ((table->page_bytes & (table->page_bytes - 1)) != 0 ||
        table->page_bytes < (unsigned long)kernel_page_bytes ||
        table->page_bytes > LARGEST_PAGE_BYTES)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "vmmig_host: page_bytes is %u; it must be a power "
                           "of two from %ld to %d",
                           (unsigned)table->page_bytes, kernel_page_bytes,
                           LARGEST_PAGE_BYTES);
    if (host->machine_name[0] == '\0' || strlen(host->machine_name) > 255)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "vmmig_host: machine_name must have 1 to 255 "
                           "bytes");
    if (host->has_uuid && !parse_uuid(table->uuid, host->uuid))
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "vmmig_host: \"%s\" is not a uuid", table->uuid);
    return true;
}

bool vmmig__host_init(struct vmmig__host *host, const struct vmmig_host *table,
                      void *data, vmmig_free_fn free_data, vmmig_error **error)
{
    memset(host, 0, sizeof *host);
    if (!vmmig__copy_struct(&host->table, sizeof host->table, table,
                            "vmmig_host", error))
        goto fail;
    host->machine_name = g_strdup(
        host->table.machine_name ? host->table.machine_name : "none");
    host->has_uuid = host->table.uuid != NULL;
    if (!check(host, error))
        goto fail;
    host->table.machine_name = host->machine_name;
    host->table.uuid = NULL;
    host->data = data;
    host->free_data = free_data;
    host->log = (struct vmmig__log){host->table.log, data};
    host->hook = (struct vmmig__thread_hook){host->table.thread_hook, data};
    host->queue = vmmig__host_queue_new(&host->hook);
    return true;
fail:
    g_free(host->machine_name);
    if (free_data)
        free_data(data);
    return false;
}

void vmmig__host_destroy(struct vmmig__host *host)
{
    vmmig__host_queue_free(host->queue);
    g_free(host->machine_name);
    if (host->free_data)
        host->free_data(host->data);
}
