/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Byte strings made of tagged records, in which kvm-vcpu.c and kvm-machine.c
 * save what KVM gives them.
 *
 *   string  "KVM1", then records
 *   record  tag (4 letters), length (u32, of the payload), payload
 *
 * Payloads are KVM's own structures, so numbers are the host's: x86 is
 * little-endian. Both sides know each record by name; one that is missing and
 * one that is unknown are errors that name it.
 *
 * A writer or a table belongs to one thread. A writer keeps its first failure
 * (only memory can run out), which kvm_record_finish() reports.
 */
#ifndef KVM_RECORD_H
#define KVM_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmmigrate/error.h>

/* No state of a machine or a vCPU is near it; a longer one is refused. */
#define KVM_RECORD_MAX_BYTES (1u << 20)
#define KVM_RECORD_MAX_COUNT 32

struct kvm_record {
    char tag[5];
    const uint8_t *payload; /* in the string, so not aligned */
    uint32_t length_bytes;
};

struct kvm_record_table {
    struct kvm_record records[KVM_RECORD_MAX_COUNT];
    uint32_t count;
};

struct kvm_record_writer {
    uint8_t *bytes;
    size_t length_bytes, room_bytes;
    bool out_of_memory;
};

void kvm_record_begin(struct kvm_record_writer *writer);
void kvm_record_put(struct kvm_record_writer *writer, const char *tag,
                    const void *payload, size_t length_bytes);
/* Hands the string over, to be freed with free(). */
bool kvm_record_finish(struct kvm_record_writer *writer, uint8_t **ret_bytes,
                       size_t *ret_length_bytes, vmmig_error **error);
/* For a caller that will not finish. */
void kvm_record_discard(struct kvm_record_writer *writer);

/*
 * Splits a string that may come from a peer. `known_tags` are the tags that the
 * caller understands, one after the other ("CPIDREGS"); any other is refused,
 * and so is a tag that comes twice. `what` is for messages: "vCPU 3".
 */
bool kvm_record_parse(const uint8_t *bytes, size_t length_bytes,
                      const char *known_tags, const char *what,
                      struct kvm_record_table *ret_table, vmmig_error **error)
    __attribute__((warn_unused_result));

/* NULL where there is none. */
const struct kvm_record *kvm_record_find(const struct kvm_record_table *table,
                                         const char *tag);

/* Copies the payload, which must be there and have exactly this length. */
bool kvm_record_get(const struct kvm_record_table *table, const char *tag,
                    const char *what, void *ret_payload, size_t length_bytes,
                    vmmig_error **error) __attribute__((warn_unused_result));

/* vmmig_error_set() with a format; always false. */
bool kvm_fail(vmmig_error **error, uint32_t code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with ": " and the meaning of errno behind it, code SYSTEM. */
bool kvm_fail_errno(vmmig_error **error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
