/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the guest does all day: it fills memory, rewrites it in a pattern and
 * a pace that can be chosen, and checks every page before it touches it.
 *
 * One source, compiled twice: into the freestanding guest of the kvm machine,
 * and into minivmm itself for machines without a vCPU, whose workers are
 * threads. It therefore needs nothing but <stdint.h> and friends, and reaches
 * its surroundings through struct workload_hooks.
 *
 * Two areas of memory:
 *
 *   RAM      pages of WORKLOAD_PAGE_BYTES. Page n of the block carries n, the
 *            pass that wrote it and content that follows from both, or is all
 *            zero where the pass declares it so.
 *   ledger   workload_ledger_bytes() long: the configuration, one record for
 *            each worker, the counters, and for each page of RAM the pass that
 *            must be found in it. Everything a worker knows is in here, so
 *            whoever moves both areas has moved the work: a worker may be
 *            stopped between any two steps and continued elsewhere by
 *            workload_run() with the same arguments.
 *
 * Threads: each worker (0 <= worker < worker_count) is run by one thread or
 * vCPU at a time; workers share nothing but the serial lock and the heartbeat.
 * The readers of counters may be any thread, at any time; what they see of one
 * worker may be a step old. Migration reads both areas while workers write
 * them: workers therefore mark what they wrote after they wrote it.
 */
#ifndef MINIVMM_WORKLOAD_H
#define MINIVMM_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORKLOAD_PAGE_BYTES 4096
#define WORKLOAD_MAX_WORKERS 64

enum {
    WORKLOAD_IDLE = 0,   /* fills its span, then only the heart beats */
    WORKLOAD_SWEEP = 1,  /* page after page, round after round */
    WORKLOAD_RANDOM = 2, /* each page as likely as the next */
    WORKLOAD_ZIPF = 3,   /* the page of rank r with a chance of 1/r */
};

/* What a page holds behind its number and pass. */
enum {
    WORKLOAD_FILL_RANDOM = 0, /* cannot be compressed */
    WORKLOAD_FILL_ZERO = 1,   /* zeros, but the page is no zero page */
    WORKLOAD_FILL_TEXT = 2,   /* words of one dictionary */
};

enum {
    /* RAM has a content already that is to be kept: no fill. A page is checked
     * from the first time on that a worker has written it. */
    WORKLOAD_KEEP = 1,
};

/* All in fixed-width numbers without padding: it lives in the ledger. */
struct workload_config {
    uint32_t kind;
    uint32_t fill;
    uint32_t write_percent; /* of the visits that rewrite; others only check */
    uint32_t zero_percent;  /* of the writes that leave an all-zero page */
    uint32_t worker_count;  /* the span is split among them */
    uint32_t flags;
    uint64_t seed;
    uint64_t rate_bytes_per_s; /* of all workers together; 0: no limit */
    uint64_t ram_bytes;        /* a multiple of WORKLOAD_PAGE_BYTES */
    uint64_t span_bytes;       /* worked on, from the start of RAM; 0: all */
    /* Only for what is printed: from this offset on, guest addresses are
     * hole_bytes higher than offsets into RAM. 0 and 0: no hole. */
    uint64_t hole_offset;
    uint64_t hole_bytes;
};

/* Where an area was written; see mark_written. */
enum { WORKLOAD_RAM = 1, WORKLOAD_LEDGER = 2 };

struct workload_hooks {
    /* Nanoseconds of the machine's monotonic clock: it goes on, and never
     * back, when the machine moves; the time of the move itself counts. */
    uint64_t (*now_ns)(void *data, uint32_t worker);
    /* Whole lines for the serial port, one call at a time. */
    void (*emit)(void *data, const char *text, size_t length_bytes);
    /* May return early. NULL: only with rate 0 and never for idle. */
    void (*wait)(void *data, uint32_t worker, uint64_t duration_ns);
    /* Called after the stores; `area` is WORKLOAD_RAM or WORKLOAD_LEDGER.
     * NULL where somebody else sees the writes (KVM's dirty log). */
    void (*mark_written)(void *data, uint32_t area, uint64_t offset_bytes,
                         uint64_t length_bytes);
    /* Asked between steps, each a few microseconds unless its memory has to be
     * fetched. NULL: never. */
    bool (*should_stop)(void *data, uint32_t worker);
    /* Asked now and then: whether what moves with a worker beside memory (the
     * registers of a vCPU) is as it was; it also repairs it. NULL: it is. */
    bool (*is_intact)(void *data, uint32_t worker);
};

struct workload {
    void *ram;
    void *ledger;
    uint64_t ram_bytes; /* as the VMM knows it, not as the ledger says */
    uint64_t ledger_bytes;
    const struct workload_hooks *hooks;
    void *data; /* for the hooks */
};

struct workload_counters {
    uint64_t passes; /* complete rounds over the span, by the slowest worker:
                        every page was checked. A sweep rewrites, as
                        configured, what it checks; random and zipf choose a
                        page for each that is checked in turn */
    uint64_t pages_checked;
    uint64_t errors;       /* pages found wrong, each also printed */
    uint64_t blackout_ns;  /* longest gap between two beats of the machine */
    uint64_t filled_pages; /* by the fill; passes stay 0 until it is done */
    bool filled;
    /* Touches of a page that took longer than WORKLOAD_STALL_NS: it was
     * somewhere else, or the worker was not running. */
    uint64_t stalls;
    uint64_t stall_p50_ns;
    uint64_t stall_p99_ns;
    uint64_t stall_max_ns;
};

#define WORKLOAD_STALL_NS 10000

/* A default in every member, so that options only set what they name:
 * idle, one worker, random fill, every visit writes, no limit. */
void workload_config_init(struct workload_config *config, uint64_t ram_bytes);

/* NULL, or what is wrong with it, in words. */
const char *workload_config_check(const struct workload_config *config);

/* How long the ledger of so much RAM must be (page aligned). */
uint64_t workload_ledger_bytes(uint64_t ram_bytes);

/*
 * Prepares a new guest: `config` must have passed its check and the ledger be
 * all zero; so must RAM, but with WORKLOAD_KEEP. A destination never calls it:
 * what it needs arrives with the ledger.
 */
void workload_prepare(const struct workload *workload,
                      const struct workload_config *config);

/*
 * The fill of one worker at once, for a VMM that would rather not wait for the
 * guest to touch all of its memory for the first time. Before the worker runs;
 * different workers at the same time. Whoever is last prints the ready line.
 * False as workload_run().
 */
bool workload_fill(const struct workload *workload, uint32_t worker);

/*
 * Whether this ledger, possibly written by a peer, fits these areas and this
 * number of workers: NULL, or what is wrong. workload_run() asks too, and no
 * number in a ledger makes a worker leave its areas.
 */
const char *workload_check_ledger(const struct workload *workload,
                                  uint32_t worker_count);

/* Works until should_stop(); false if the ledger is none, or there is no such
 * worker. */
bool workload_run(const struct workload *workload, uint32_t worker);

/* Any thread; also on a copy of a ledger. */
void workload_get_counters(const struct workload *workload,
                           struct workload_counters *ret_counters);

/* The configuration in the ledger; false where there is none. */
bool workload_get_config(const struct workload *workload,
                         struct workload_config *ret_config);

/*
 * Checks all of RAM against the ledger, every byte: for tests and tools, while
 * no worker runs. Returns the number of wrong pages; `ret_first_offset`
 * (nullable) is set when there is one.
 */
uint64_t workload_audit(const struct workload *workload,
                        uint64_t *ret_first_offset);

/*
 * A line that a worker prints about a wrong page starts with this, followed by
 * the guest address in hex.
 */
#define WORKLOAD_CORRUPT_PREFIX "CORRUPT gpa=0x"
/* Printed once, when the fill is done. */
#define WORKLOAD_READY_LINE "READY\n"

#endif
