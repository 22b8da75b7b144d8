/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Mappings of guest memory; see guest-memory.h. */
#include "guest-memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "failure.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif

static bool make_memfd(struct guest_memory *memory, const char *name,
                       unsigned int flags, uint64_t length_bytes,
                       GError **error)
{
    memory->fd = memfd_create(name, MFD_CLOEXEC | flags);
    if (memory->fd < 0)
        return fail_errno(error, errno, "creating the memory '%s'", name);
    if (ftruncate(memory->fd, (off_t)length_bytes) < 0)
        return fail_errno(error, errno,
                          "sizing the memory '%s' to %" G_GUINT64_FORMAT
                          " bytes",
                          name, length_bytes);
    return true;
}

/* A new file is ours to size; it is removed again if that fails. */
static bool create_file(struct guest_memory *memory, const char *path,
                        uint64_t length_bytes, GError **error)
{
    memory->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (memory->fd < 0)
        return fail_errno(error, errno, "creating %s", path);
    if (ftruncate(memory->fd, (off_t)length_bytes) < 0) {
        int saved = errno;

        unlink(path);
        return fail_errno(error, saved,
                          "sizing %s to %" G_GUINT64_FORMAT " bytes", path,
                          length_bytes);
    }
    return true;
}

static bool open_file(struct guest_memory *memory, const char *path,
                      uint64_t length_bytes, GError **error)
{
    struct stat status;

    memory->shared = true;
    memory->fd = open(path, O_RDWR | O_CLOEXEC);
    if (memory->fd < 0 && errno == ENOENT)
        return create_file(memory, path, length_bytes, error);
    if (memory->fd < 0)
        return fail_errno(error, errno, "opening %s", path);
    if (fstat(memory->fd, &status) < 0)
        return fail_errno(error, errno, "asking for the size of %s", path);
    if (!S_ISREG(status.st_mode))
        return fail(error, "%s is not a regular file", path);
    if ((uint64_t)status.st_size != length_bytes)
        return fail(error,
                    "%s has %" G_GUINT64_FORMAT " bytes, but the guest has "
                    "%" G_GUINT64_FORMAT " bytes of memory",
                    path, (uint64_t)status.st_size, length_bytes);
    memory->has_content = true;
    return true;
}

static bool open_backing(struct guest_memory *memory,
                         enum guest_memory_kind kind, const char *name,
                         const char *path, uint64_t length_bytes,
                         GError **error)
{
    switch (kind) {
    case GUEST_MEMORY_ANON:
        return true;
    case GUEST_MEMORY_MEMFD:
        return make_memfd(memory, name, 0, length_bytes, error);
    case GUEST_MEMORY_HUGETLB:
        return make_memfd(memory, name, MFD_HUGETLB | MFD_HUGE_2MB,
                          length_bytes, error);
    case GUEST_MEMORY_FILE:
        return open_file(memory, path, length_bytes, error);
    }
    g_return_val_if_reached(false);
}

/* Maps what a file has already, in one go, so that neither the guest nor a
 * migration takes a fault for each piece of it. Holes stay holes; where it cannot
 * be done the faults come as ever. */
static void map_existing(const struct guest_memory *memory)
{
    off_t length = (off_t)memory->length_bytes, end = 0;

    while (end < length) {
        off_t data = lseek(memory->fd, end, SEEK_DATA);

        if (data < 0 || data >= length)
            return;
        end = lseek(memory->fd, data, SEEK_HOLE);
        end = end < 0 || end > length ? length : end;
        if (madvise((char *)memory->address + data, (size_t)(end - data),
                    MADV_POPULATE_READ) < 0)
            return;
    }
}

bool guest_memory_map(struct guest_memory *memory, enum guest_memory_kind kind,
                      const char *name, const char *path, uint64_t length_bytes,
                      GError **error)
{
    struct guest_memory made = GUEST_MEMORY_INIT;
    int flags =
        kind == GUEST_MEMORY_ANON ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    void *address;

    if (!open_backing(&made, kind, name, path, length_bytes, error)) {
        guest_memory_unmap(&made);
        return false;
    }
    address =
        mmap(NULL, length_bytes, PROT_READ | PROT_WRITE, flags, made.fd, 0);
    if (address == MAP_FAILED) {
        fail_errno(error, errno, "mapping %" G_GUINT64_FORMAT " bytes of %s",
                   length_bytes,
                   kind == GUEST_MEMORY_FILE      ? path
                   : kind == GUEST_MEMORY_HUGETLB ? "huge pages"
                                                  : "memory");
        guest_memory_unmap(&made);
        return false;
    }
    made.address = address;
    made.length_bytes = length_bytes;
    if (kind == GUEST_MEMORY_FILE)
        map_existing(&made);
    *memory = made;
    return true;
}

void guest_memory_unmap(struct guest_memory *memory)
{
    if (memory->address)
        munmap(memory->address, memory->length_bytes);
    if (memory->fd >= 0)
        close(memory->fd);
    *memory = (struct guest_memory)GUEST_MEMORY_INIT;
}

struct vmmig_block_config
guest_memory_describe(const struct guest_memory *memory)
{
    struct vmmig_block_config config = {
        .struct_size = sizeof config,
        .host_address = memory->address,
        .length_bytes = memory->length_bytes,
    };

    if (memory->fd >= 0) {
        config.flags |= VMMIG_BLOCK_FD;
        config.fd = memory->fd;
    }
    if (memory->shared)
        config.flags |= VMMIG_BLOCK_SHARED;
    return config;
}

bool guest_memory_find_file(const char *path, uint64_t *ret_length_bytes)
{
    struct stat status;

    if (stat(path, &status) < 0 || !S_ISREG(status.st_mode))
        return false;
    *ret_length_bytes = (uint64_t)status.st_size;
    return true;
}
