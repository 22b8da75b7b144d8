/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Byte strings made of tagged records; see kvm-record.h. Any thread.
 */
#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvm-record.h"

static const char magic[4] = {'K', 'V', 'M', '1'};

#define HEADER_BYTES 8 /* of a record */

static void append(struct kvm_record_writer *writer, const void *bytes,
                   size_t length_bytes)
{
    if (writer->out_of_memory)
        return;
    if (writer->room_bytes - writer->length_bytes < length_bytes) {
        size_t room_bytes = (writer->length_bytes + length_bytes) * 2;
        uint8_t *grown = realloc(writer->bytes, room_bytes);

        if (!grown) {
            writer->out_of_memory = true;
            return;
        }
        writer->bytes = grown;
        writer->room_bytes = room_bytes;
    }
    memcpy(writer->bytes + writer->length_bytes, bytes, length_bytes);
    writer->length_bytes += length_bytes;
}

void kvm_record_begin(struct kvm_record_writer *writer)
{
    *writer = (struct kvm_record_writer){.bytes = NULL};
    append(writer, magic, sizeof magic);
}

void kvm_record_put(struct kvm_record_writer *writer, const char *tag,
                    const void *payload, size_t length_bytes)
{
    uint32_t length = (uint32_t)length_bytes;

    append(writer, tag, 4);
    append(writer, &length, sizeof length);
    append(writer, payload, length_bytes);
}

bool kvm_record_finish(struct kvm_record_writer *writer, uint8_t **ret_bytes,
                       size_t *ret_length_bytes, vmmig_error **error)
{
    if (writer->out_of_memory) {
        kvm_record_discard(writer);
        return vmmig_error_check_errno(error, ENOMEM, "saving state of KVM");
    }
    *ret_bytes = writer->bytes;
    *ret_length_bytes = writer->length_bytes;
    writer->bytes = NULL;
    return true;
}

void kvm_record_discard(struct kvm_record_writer *writer)
{
    free(writer->bytes);
    writer->bytes = NULL;
}

/* A tag of a peer, fit for a message. */
static const char *printable(char tag[5])
{
    int i;

    for (i = 0; i < 4; i++)
        if (tag[i] < ' ' || tag[i] > '~')
            tag[i] = '?';
    return tag;
}

static bool is_known(const char *tags, const char *tag)
{
    for (; *tags; tags += 4)
        if (!memcmp(tags, tag, 4))
            return true;
    return false;
}

bool kvm_record_parse(const uint8_t *bytes, size_t length_bytes,
                      const char *known_tags, const char *what,
                      struct kvm_record_table *ret_table, vmmig_error **error)
{
    struct kvm_record_table table = {.count = 0};
    size_t at = sizeof magic;

    if (length_bytes > KVM_RECORD_MAX_BYTES)
        return kvm_fail(error, VMMIG_ERROR_PROTOCOL,
                        "%s: %zu bytes of state, %u are the limit", what,
                        length_bytes, KVM_RECORD_MAX_BYTES);
    if (length_bytes < sizeof magic || memcmp(bytes, magic, sizeof magic))
        return kvm_fail(error, VMMIG_ERROR_PROTOCOL,
                        "%s: this is no state of KVM, or of another version",
                        what);
    while (at < length_bytes) {
        struct kvm_record *record = &table.records[table.count];

        if (length_bytes - at < HEADER_BYTES)
            return kvm_fail(error, VMMIG_ERROR_PROTOCOL,
                            "%s: the state ends within a record's header",
                            what);
        if (table.count == KVM_RECORD_MAX_COUNT)
            return kvm_fail(error, VMMIG_ERROR_PROTOCOL,
                            "%s: more than %d records", what,
                            KVM_RECORD_MAX_COUNT);
        memcpy(record->tag, bytes + at, 4);
        memcpy(&record->length_bytes, bytes + at + 4, 4);
        record->payload = bytes + at + HEADER_BYTES;
        at += HEADER_BYTES;
        if (record->length_bytes > length_bytes - at)
            return kvm_fail(error, VMMIG_ERROR_PROTOCOL,
                            "%s: record %s has %u bytes, but %zu are left",
                            what, printable(record->tag), record->length_bytes,
                            length_bytes - at);
        if (!is_known(known_tags, record->tag))
            return kvm_fail(error, VMMIG_ERROR_INCOMPATIBLE,
                            "%s: record %s is unknown here", what,
                            printable(record->tag));
        if (kvm_record_find(&table, record->tag))
            return kvm_fail(error, VMMIG_ERROR_PROTOCOL,
                            "%s: record %s comes twice", what, record->tag);
        at += record->length_bytes;
        table.count++;
    }
    *ret_table = table;
    return true;
}

const struct kvm_record *kvm_record_find(const struct kvm_record_table *table,
                                         const char *tag)
{
    uint32_t i;

    for (i = 0; i < table->count; i++)
        if (!memcmp(table->records[i].tag, tag, 4))
            return &table->records[i];
    return NULL;
}

bool kvm_record_get(const struct kvm_record_table *table, const char *tag,
                    const char *what, void *ret_payload, size_t length_bytes,
                    vmmig_error **error)
{
    const struct kvm_record *record = kvm_record_find(table, tag);

    if (!record)
        return kvm_fail(error, VMMIG_ERROR_INCOMPATIBLE,
                        "%s: record %s is missing", what, tag);
    if (record->length_bytes != length_bytes)
        return kvm_fail(error, VMMIG_ERROR_INCOMPATIBLE,
                        "%s: record %s has %u bytes, %zu are expected", what,
                        tag, record->length_bytes, length_bytes);
    memcpy(ret_payload, record->payload, length_bytes);
    return true;
}

bool kvm_fail(vmmig_error **error, uint32_t code, const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return vmmig_error_set(error, code, text);
}

bool kvm_fail_errno(vmmig_error **error, const char *format, ...)
{
    int number = errno;
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    /* Zero would read as success. */
    return vmmig_error_check_errno(error, number ? number : EIO, text);
}
