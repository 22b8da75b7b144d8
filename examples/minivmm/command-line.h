/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What minivmm was asked to do. Parsed once, before any thread starts; read
 * only from then on.
 */
#ifndef MINIVMM_COMMAND_LINE_H
#define MINIVMM_COMMAND_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "guest-memory.h"
#include "workload.h"

#define DEFAULT_MEMORY_BYTES (UINT64_C(256) << 20)
#define MAX_MEMORY_BYTES (UINT64_C(1) << 40)
#define MAX_VCPUS WORKLOAD_MAX_WORKERS
#define MAX_OPAQUE_BYTES (UINT32_C(64) << 20)

enum machine_kind {
    MACHINE_DEFAULT, /* kvm where it works, else soft */
    MACHINE_KVM,
    MACHINE_SOFT,
    MACHINE_NONE,
};

/* A device section that is taken, kept and sent as bytes. */
struct opaque_section {
    char *name;
    uint32_t instance_id;
    uint32_t version;
    uint32_t length_bytes;
};

struct command_line {
    enum machine_kind machine;
    uint64_t memory_bytes;
    uint32_t vcpu_count;
    enum guest_memory_kind ram_kind;
    char *ram_file; /* set exactly with GUEST_MEMORY_FILE */
    char *ram_id;
    bool has_workload; /* false: the machine's own idea of one */
    struct workload_config workload;
    GPtrArray *opaque; /* of struct opaque_section */
    char *serial;      /* "stdio", "none" or a path */
    char *qmp_path;    /* NULL: no QMP */
    char *incoming;    /* an address, "defer", or NULL: a new guest */
    bool paused;
    char *uuid;    /* NULL: none */
    char *migrate; /* NULL: only when told to */
    uint32_t migrate_after_ms;
    char *settings; /* migration options, as vmmig_options_parse() takes them */
    bool progress;
};

enum command_line_result {
    COMMAND_LINE_RUN,
    COMMAND_LINE_SHOWN, /* --help, --version: printed, nothing to run */
    COMMAND_LINE_WRONG, /* *error says why, in one sentence */
};

/* Fills `line` whatever it returns; command_line_clear() empties it. */
enum command_line_result command_line_parse(struct command_line *line, int argc,
                                            char **argv, GError **error);

void command_line_clear(struct command_line *line);

/* "256M", "2G", "4096": bytes, with K, M, G or T as powers of 1024. */
bool parse_size(const char *text, uint64_t *ret_bytes);

/* "zipf,rate=10M,write=50"; members that are not named stay as they are. */
bool parse_workload(const char *text, struct workload_config *config,
                    GError **error);

#endif
