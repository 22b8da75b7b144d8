/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The state of an x86 vCPU; see kvm-vcpu.h, which also has the thread rules.
 *
 * The order of reading and writing is not free. Reading: the multiprocessor
 * state may settle a pending INIT and so change registers, so it comes before
 * them. Writing: CPUID decides which of the rest is legal; the special
 * registers hold the APIC's mode; MSRs come after what they refer to; the LAPIC
 * is in place before the deadline of its timer is set, for the kernel drops a
 * deadline that no timer in that mode waits for.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kvm-cpuid.h"
#include "kvm-record.h"
#include "kvm-vcpu.h"

#define MSR_TSC 0x10
#define MSR_FEATURE_CONTROL 0x3a
#define MSR_TSC_DEADLINE 0x6e0
#define MAX_MSRS 4096
#define LAPIC_CURRENT_COUNT 0x390

enum part_id {
    PART_CPUID,
    PART_TSC_KHZ,
    PART_SREGS,
    PART_SREGS2,
    PART_NESTED,
    PART_REGS,
    PART_XSAVE,
    PART_XCRS,
    PART_MSRS,
    PART_EVENTS,
    PART_MP_STATE,
    PART_LAPIC,
    PART_DEBUGREGS,
    PART_COUNT,
};

struct kvm_vcpu_facts {
    struct kvm_cpuid2 *supported;
    struct kvm_msr_list *msrs;
    uint32_t xsave_bytes;
    uint32_t nested_bytes;
    bool has_tsc_deadline;
    bool has[PART_COUNT];
};

/* One vCPU being saved or loaded. */
struct vcpu {
    const struct kvm_vcpu_facts *facts;
    int fd;
    char what[16]; /* "vCPU 3" */
};

struct part;
typedef bool (*save_fn)(const struct vcpu *vcpu, const struct part *part,
                        struct kvm_record_writer *writer, vmmig_error **error);
typedef bool (*load_fn)(const struct vcpu *vcpu, const struct part *part,
                        const struct kvm_record_table *table,
                        vmmig_error **error);

struct part {
    const char *tag;
    const char *name;
    save_fn save;
    load_fn load;
    /* Of parts that are one structure of fixed length. */
    unsigned long get, set;
    size_t length_bytes;
};

/* -- parts of fixed length ----------------------------------------------- */

union any_part {
    struct kvm_sregs sregs;
    struct kvm_sregs2 sregs2;
    struct kvm_regs regs;
    struct kvm_xcrs xcrs;
    struct kvm_vcpu_events events;
    struct kvm_mp_state mp_state;
    struct kvm_lapic_state lapic;
    struct kvm_debugregs debugregs;
};

static bool save_fixed(const struct vcpu *vcpu, const struct part *part,
                       struct kvm_record_writer *writer, vmmig_error **error)
{
    union any_part value;

    memset(&value, 0, sizeof value);
    if (ioctl(vcpu->fd, part->get, &value) < 0)
        return kvm_fail_errno(error, "%s: reading its %s", vcpu->what,
                              part->name);
    kvm_record_put(writer, part->tag, &value, part->length_bytes);
    return true;
}

static bool load_fixed(const struct vcpu *vcpu, const struct part *part,
                       const struct kvm_record_table *table,
                       vmmig_error **error)
{
    union any_part value;

    if (!kvm_record_get(table, part->tag, vcpu->what, &value,
                        part->length_bytes, error))
        return false;
    if (ioctl(vcpu->fd, part->set, &value) < 0)
        return kvm_fail_errno(error, "%s: writing its %s", vcpu->what,
                              part->name);
    return true;
}

/* -- CPUID --------------------------------------------------------------- */

static struct kvm_cpuid2 *cpuid_new(void)
{
    struct kvm_cpuid2 *cpuid = calloc(
        1, sizeof *cpuid + KVM_CPUID_MAX_ENTRIES * sizeof cpuid->entries[0]);

    if (cpuid)
        cpuid->nent = KVM_CPUID_MAX_ENTRIES;
    return cpuid;
}

static bool save_cpuid(const struct vcpu *vcpu, const struct part *part,
                       struct kvm_record_writer *writer, vmmig_error **error)
{
    struct kvm_cpuid2 *cpuid = cpuid_new();
    bool ok = cpuid && !ioctl(vcpu->fd, KVM_GET_CPUID2, cpuid);

    if (!ok)
        kvm_fail_errno(error, "%s: reading its CPUID", vcpu->what);
    else
        kvm_record_put(writer, part->tag, cpuid->entries,
                       cpuid->nent * sizeof cpuid->entries[0]);
    free(cpuid);
    return ok;
}

static bool load_cpuid(const struct vcpu *vcpu, const struct part *part,
                       const struct kvm_record_table *table,
                       vmmig_error **error)
{
    const struct kvm_record *record = kvm_record_find(table, part->tag);
    struct kvm_cpuid2 *cpuid, *present;
    char missing[384];
    bool ok = false;

    if (!record)
        return kvm_fail(error, VMMIG_ERROR_INCOMPATIBLE,
                        "%s: record %s is missing", vcpu->what, part->tag);
    if (record->length_bytes % sizeof cpuid->entries[0] ||
        record->length_bytes / sizeof cpuid->entries[0] > KVM_CPUID_MAX_ENTRIES)
        return kvm_fail(error, VMMIG_ERROR_PROTOCOL,
                        "%s: a CPUID of %u bytes, %zu are the limit",
                        vcpu->what, record->length_bytes,
                        KVM_CPUID_MAX_ENTRIES * sizeof cpuid->entries[0]);
    cpuid = cpuid_new();
    present = cpuid_new();
    if (!cpuid || !present || ioctl(vcpu->fd, KVM_GET_CPUID2, present) < 0) {
        kvm_fail_errno(error, "%s: reading its CPUID", vcpu->what);
    } else {
        /* Some kernels add to what they say they support. */
        const struct kvm_cpuid2 *const have[] = {vcpu->facts->supported,
                                                 present};

        cpuid->nent = record->length_bytes / sizeof cpuid->entries[0];
        memcpy(cpuid->entries, record->payload, record->length_bytes);
        if (!kvm_cpuid_covers(have, 2, cpuid, missing, sizeof missing))
            kvm_fail(error, VMMIG_ERROR_INCOMPATIBLE,
                     "%s: the processor here lacks %s", vcpu->what, missing);
        else if (ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid) < 0)
            kvm_fail_errno(error, "%s: writing its CPUID", vcpu->what);
        else
            ok = true;
    }
    free(cpuid);
    free(present);
    return ok;
}

/* -- the TSC's frequency ------------------------------------------------- */

static bool save_tsc_khz(const struct vcpu *vcpu, const struct part *part,
                         struct kvm_record_writer *writer, vmmig_error **error)
{
    int khz = ioctl(vcpu->fd, KVM_GET_TSC_KHZ);
    uint32_t value = khz > 0 ? (uint32_t)khz : 0;

    if (khz < 0)
        return kvm_fail_errno(error, "%s: reading its TSC frequency",
                              vcpu->what);
    kvm_record_put(writer, part->tag, &value, sizeof value);
    return true;
}

/* Some hosts refuse even the frequency they have, so it is set only when it
 * differs; some report a frequency that they refused, so it is put back. */
static bool load_tsc_khz(const struct vcpu *vcpu, const struct part *part,
                         const struct kvm_record_table *table,
                         vmmig_error **error)
{
    int here = ioctl(vcpu->fd, KVM_GET_TSC_KHZ);
    uint32_t wanted;

    if (!kvm_record_get(table, part->tag, vcpu->what, &wanted, sizeof wanted,
                        error))
        return false;
    if (here < 0)
        return kvm_fail_errno(error, "%s: reading its TSC frequency",
                              vcpu->what);
    if (wanted == (uint32_t)here ||
        !ioctl(vcpu->fd, KVM_SET_TSC_KHZ, (unsigned long)wanted))
        return true;
    ioctl(vcpu->fd, KVM_SET_TSC_KHZ, (unsigned long)here);
    return kvm_fail(error, VMMIG_ERROR_INCOMPATIBLE,
                    "%s: a TSC of %u kHz, but it runs at %d here and cannot "
                    "be scaled",
                    vcpu->what, wanted, here);
}

/* -- parts whose length the kernel decides ------------------------------- */

static bool save_xsave(const struct vcpu *vcpu, const struct part *part,
                       struct kvm_record_writer *writer, vmmig_error **error)
{
    uint32_t length = vcpu->facts->xsave_bytes;
    void *area = calloc(1, length);
    bool ok = area && !ioctl(vcpu->fd,
                             length > sizeof(struct kvm_xsave) ? KVM_GET_XSAVE2
                                                               : KVM_GET_XSAVE,
                             area);

    if (!ok)
        kvm_fail_errno(error, "%s: reading its %s", vcpu->what, part->name);
    else
        kvm_record_put(writer, part->tag, area, length);
    free(area);
    return ok;
}

static bool load_xsave(const struct vcpu *vcpu, const struct part *part,
                       const struct kvm_record_table *table,
                       vmmig_error **error)
{
    const struct kvm_record *record = kvm_record_find(table, part->tag);
    uint32_t length = vcpu->facts->xsave_bytes;
    void *area;
    bool ok;

    if (!record || record->length_bytes > length ||
        record->length_bytes < sizeof(struct kvm_xsave))
        return kvm_fail(error, VMMIG_ERROR_INCOMPATIBLE,
                        "%s: %u bytes of extended state (record %s), %zu to "
                        "%u are possible here",
                        vcpu->what, record ? record->length_bytes : 0,
                        part->tag, sizeof(struct kvm_xsave), length);
    area = calloc(1, length);
    if (area)
        memcpy(area, record->payload, record->length_bytes);
    ok = area && !ioctl(vcpu->fd, KVM_SET_XSAVE, area);
    if (!ok)
        kvm_fail_errno(error, "%s: writing its %s", vcpu->what, part->name);
    free(area);
    return ok;
}

static bool save_nested(const struct vcpu *vcpu, const struct part *part,
                        struct kvm_record_writer *writer, vmmig_error **error)
{
    struct kvm_nested_state *state = calloc(1, vcpu->facts->nested_bytes);
    bool ok;

    if (state)
        state->size = vcpu->facts->nested_bytes;
    ok = state && !ioctl(vcpu->fd, KVM_GET_NESTED_STATE, state);
    if (!ok)
        kvm_fail_errno(error, "%s: reading its %s", vcpu->what, part->name);
    else
        kvm_record_put(writer, part->tag, state, state->size);
    free(state);
    return ok;
}

static bool load_nested(const struct vcpu *vcpu, const struct part *part,
                        const struct kvm_record_table *table,
                        vmmig_error **error)
{
    const struct kvm_record *record = kvm_record_find(table, part->tag);
    struct kvm_nested_state *state;
    bool ok;

    if (!record || record->length_bytes < sizeof *state ||
        record->length_bytes > vcpu->facts->nested_bytes)
        return kvm_fail(error, VMMIG_ERROR_INCOMPATIBLE,
                        "%s: %u bytes of nested state (record %s), %zu to %u "
                        "are possible here",
                        vcpu->what, record ? record->length_bytes : 0,
                        part->tag, sizeof *state, vcpu->facts->nested_bytes);
    state = calloc(1, vcpu->facts->nested_bytes);
    if (state) {
        memcpy(state, record->payload, record->length_bytes);
        /* How much the kernel may read: not a number of the peer's. */
        state->size = record->length_bytes;
    }
    ok = state && !ioctl(vcpu->fd, KVM_SET_NESTED_STATE, state);
    if (!ok)
        kvm_fail_errno(error, "%s: writing its %s", vcpu->what, part->name);
    free(state);
    return ok;
}

/* -- MSRs ---------------------------------------------------------------- */

static struct kvm_msrs *msrs_new(uint32_t count)
{
    return calloc(1, sizeof(struct kvm_msrs) +
                         count * sizeof(struct kvm_msr_entry));
}

/* Every MSR that KVM lists and this vCPU has. */
static bool save_msrs(const struct vcpu *vcpu, const struct part *part,
                      struct kvm_record_writer *writer, vmmig_error **error)
{
    const struct kvm_msr_list *list = vcpu->facts->msrs;
    struct kvm_msrs *batch = msrs_new(list->nmsrs);
    struct kvm_msr_entry *known = calloc(list->nmsrs + 1, sizeof *known);
    uint32_t done = 0, kept = 0, i;
    bool ok = batch && known;

    while (ok && done < list->nmsrs) {
        int count;

        batch->nmsrs = list->nmsrs - done;
        for (i = 0; i < batch->nmsrs; i++)
            batch->entries[i] =
                (struct kvm_msr_entry){.index = list->indices[done + i]};
        count = ioctl(vcpu->fd, KVM_GET_MSRS, batch);
        if (count < 0) {
            ok = false;
            break;
        }
        memcpy(known + kept, batch->entries, (size_t)count * sizeof known[0]);
        kept += (uint32_t)count;
        /* The one behind them is listed, but not for this vCPU. */
        done += (uint32_t)count + ((uint32_t)count < batch->nmsrs);
    }
    if (!ok)
        kvm_fail_errno(error, "%s: reading its %s", vcpu->what, part->name);
    else
        kvm_record_put(writer, part->tag, known, kept * sizeof known[0]);
    free(batch);
    free(known);
    return ok;
}

static bool find_msrs(const struct vcpu *vcpu, const struct part *part,
                      const struct kvm_record_table *table,
                      struct kvm_msrs **ret_msrs, vmmig_error **error)
{
    const struct kvm_record *record = kvm_record_find(table, part->tag);
    struct kvm_msrs *msrs;
    uint32_t count;

    if (!record)
        return kvm_fail(error, VMMIG_ERROR_INCOMPATIBLE,
                        "%s: record %s is missing", vcpu->what, part->tag);
    count = record->length_bytes / sizeof msrs->entries[0];
    if (record->length_bytes % sizeof msrs->entries[0] || count > MAX_MSRS)
        return kvm_fail(error, VMMIG_ERROR_PROTOCOL,
                        "%s: %u bytes of MSRs, %zu are the limit", vcpu->what,
                        record->length_bytes,
                        MAX_MSRS * sizeof msrs->entries[0]);
    msrs = msrs_new(count);
    if (!msrs)
        return kvm_fail_errno(error, "%s: its %s", vcpu->what, part->name);
    msrs->nmsrs = count;
    memcpy(msrs->entries, record->payload, record->length_bytes);
    *ret_msrs = msrs;
    return true;
}

static bool load_msrs(const struct vcpu *vcpu, const struct part *part,
                      const struct kvm_record_table *table, vmmig_error **error)
{
    struct kvm_msrs *msrs, *batch;
    uint32_t done = 0;
    bool ok;

    if (!find_msrs(vcpu, part, table, &msrs, error))
        return false;
    batch = msrs_new(msrs->nmsrs);
    ok = batch || kvm_fail_errno(error, "%s: its %s", vcpu->what, part->name);
    while (ok && done < msrs->nmsrs) {
        const struct kvm_msr_entry *refused;
        int count;

        batch->nmsrs = msrs->nmsrs - done;
        memcpy(batch->entries, msrs->entries + done,
               batch->nmsrs * sizeof batch->entries[0]);
        count = ioctl(vcpu->fd, KVM_SET_MSRS, batch);
        if (count < 0) {
            ok = kvm_fail_errno(error, "%s: writing its %s", vcpu->what,
                                part->name);
            break;
        }
        done += (uint32_t)count;
        if (done == msrs->nmsrs)
            break;
        /* One that this host does not know, and the guest does not use. */
        refused = &msrs->entries[done++];
        if (refused->data)
            ok = kvm_fail(error, VMMIG_ERROR_INCOMPATIBLE,
                          "%s: MSR 0x%x = 0x%" PRIx64 " is refused here",
                          vcpu->what, refused->index, (uint64_t)refused->data);
    }
    free(batch);
    free(msrs);
    return ok;
}

/* One of them by itself, at a special moment; nothing if it was not saved. */
static bool load_one_msr(const struct vcpu *vcpu, const struct part *part,
                         const struct kvm_record_table *table, uint32_t index,
                         vmmig_error **error)
{
    struct kvm_msrs *msrs;
    uint32_t i;
    int count = 1;

    if (!find_msrs(vcpu, part, table, &msrs, error))
        return false;
    for (i = 0; i < msrs->nmsrs; i++) {
        if (msrs->entries[i].index != index || !msrs->entries[i].data)
            continue;
        msrs->entries[0] = msrs->entries[i];
        msrs->nmsrs = 1;
        count = ioctl(vcpu->fd, KVM_SET_MSRS, msrs);
        break;
    }
    free(msrs);
    if (count < 0)
        return kvm_fail_errno(error, "%s: writing MSR 0x%x", vcpu->what, index);
    return count == 1 ||
           kvm_fail(error, VMMIG_ERROR_INCOMPATIBLE,
                    "%s: MSR 0x%x is refused here", vcpu->what, index);
}

static bool load_feature_control(const struct vcpu *vcpu,
                                 const struct part *part,
                                 const struct kvm_record_table *table,
                                 vmmig_error **error)
{
    return load_one_msr(vcpu, part, table, MSR_FEATURE_CONTROL, error);
}

static bool load_deadline(const struct vcpu *vcpu, const struct part *part,
                          const struct kvm_record_table *table,
                          vmmig_error **error)
{
    return load_one_msr(vcpu, part, table, MSR_TSC_DEADLINE, error);
}

/* -- the order ----------------------------------------------------------- */

#define FIXED(get, set, type) save_fixed, load_fixed, get, set, sizeof(type)

/* clang-format off */
static const struct part parts[PART_COUNT] = {
    [PART_CPUID] = { "CPID", "CPUID", save_cpuid, load_cpuid, 0, 0, 0 },
    [PART_TSC_KHZ] = { "TSCK", "TSC frequency", save_tsc_khz, load_tsc_khz, 0,
                       0, 0 },
    [PART_SREGS] = { "SREG", "special registers",
                     FIXED(KVM_GET_SREGS, KVM_SET_SREGS, struct kvm_sregs) },
    [PART_SREGS2] = { "SRG2", "special registers (2)",
                      FIXED(KVM_GET_SREGS2, KVM_SET_SREGS2,
                            struct kvm_sregs2) },
    [PART_NESTED] = { "NEST", "nested state", save_nested, load_nested, 0, 0,
                      0 },
    [PART_REGS] = { "REGS", "registers",
                    FIXED(KVM_GET_REGS, KVM_SET_REGS, struct kvm_regs) },
    [PART_XSAVE] = { "XSAV", "extended state", save_xsave, load_xsave, 0, 0,
                     0 },
    [PART_XCRS] = { "XCRS", "extended control registers",
                    FIXED(KVM_GET_XCRS, KVM_SET_XCRS, struct kvm_xcrs) },
    [PART_MSRS] = { "MSRS", "MSRs", save_msrs, load_msrs, 0, 0, 0 },
    [PART_EVENTS] = { "EVNT", "pending events",
                      FIXED(KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS,
                            struct kvm_vcpu_events) },
    [PART_MP_STATE] = { "MPST", "multiprocessor state",
                        FIXED(KVM_GET_MP_STATE, KVM_SET_MP_STATE,
                              struct kvm_mp_state) },
    [PART_LAPIC] = { "LAPC", "LAPIC",
                     FIXED(KVM_GET_LAPIC, KVM_SET_LAPIC,
                           struct kvm_lapic_state) },
    [PART_DEBUGREGS] = { "DBGR", "debug registers",
                         FIXED(KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS,
                               struct kvm_debugregs) },
};
/* clang-format on */

static const char known_tags[] =
    "CPIDTSCKSREGSRG2NESTREGSXSAVXCRSMSRSEVNTMPSTLAPCDBGR";

static const enum part_id save_order[] = {
    PART_CPUID, PART_TSC_KHZ, PART_EVENTS,    PART_MP_STATE, PART_REGS,
    PART_XSAVE, PART_XCRS,    PART_SREGS,     PART_SREGS2,   PART_MSRS,
    PART_LAPIC, PART_NESTED,  PART_DEBUGREGS,
};

static const struct {
    enum part_id id;
    load_fn load; /* NULL: the part's own */
} load_order[] = {
    {PART_CPUID, NULL},
    {PART_MSRS, load_feature_control}, /* nested state needs it */
    {PART_SREGS, NULL},
    {PART_SREGS2, NULL},
    {PART_NESTED, NULL},
    {PART_TSC_KHZ, NULL},
    {PART_REGS, NULL},
    {PART_XSAVE, NULL},
    {PART_XCRS, NULL},
    {PART_MSRS, NULL},
    {PART_EVENTS, NULL},
    {PART_MP_STATE, NULL},
    {PART_LAPIC, NULL},
    {PART_MSRS, load_deadline},
    {PART_DEBUGREGS, NULL},
};

static void vcpu_init(struct vcpu *vcpu, const struct kvm_vcpu_facts *facts,
                      int fd, uint32_t index)
{
    vcpu->facts = facts;
    vcpu->fd = fd;
    snprintf(vcpu->what, sizeof vcpu->what, "vCPU %u", index);
}

bool kvm_vcpu_save(const struct kvm_vcpu_facts *facts, int vcpu_fd,
                   uint32_t index, uint8_t **ret_bytes,
                   size_t *ret_length_bytes, vmmig_error **error)
{
    struct kvm_record_writer writer;
    struct vcpu vcpu;
    size_t i;

    vcpu_init(&vcpu, facts, vcpu_fd, index);
    kvm_record_begin(&writer);
    for (i = 0; i < sizeof save_order / sizeof save_order[0]; i++) {
        const struct part *part = &parts[save_order[i]];

        if (facts->has[save_order[i]] &&
            !part->save(&vcpu, part, &writer, error)) {
            kvm_record_discard(&writer);
            return false;
        }
    }
    return kvm_record_finish(&writer, ret_bytes, ret_length_bytes, error);
}

/* What one side has and the other has not is an error with its name. */
static bool check_parts(const struct vcpu *vcpu,
                        const struct kvm_record_table *table,
                        vmmig_error **error)
{
    uint32_t id;

    for (id = 0; id < PART_COUNT; id++) {
        bool is_sent = kvm_record_find(table, parts[id].tag) != NULL;

        if (is_sent && !vcpu->facts->has[id])
            return kvm_fail(error, VMMIG_ERROR_INCOMPATIBLE,
                            "%s: the kernel here has no %s (record %s)",
                            vcpu->what, parts[id].name, parts[id].tag);
        if (!is_sent && vcpu->facts->has[id])
            return kvm_fail(error, VMMIG_ERROR_INCOMPATIBLE,
                            "%s: %s (record %s) are missing", vcpu->what,
                            parts[id].name, parts[id].tag);
    }
    return true;
}

bool kvm_vcpu_load(const struct kvm_vcpu_facts *facts, int vcpu_fd,
                   uint32_t index, const uint8_t *bytes, size_t length_bytes,
                   vmmig_error **error)
{
    struct kvm_record_table table;
    struct vcpu vcpu;
    size_t i;

    vcpu_init(&vcpu, facts, vcpu_fd, index);
    if (!kvm_record_parse(bytes, length_bytes, known_tags, vcpu.what, &table,
                          error) ||
        !check_parts(&vcpu, &table, error))
        return false;
    for (i = 0; i < sizeof load_order / sizeof load_order[0]; i++) {
        const struct part *part = &parts[load_order[i].id];
        load_fn load = load_order[i].load ? load_order[i].load : part->load;

        if (facts->has[load_order[i].id] && !load(&vcpu, part, &table, error))
            return false;
    }
    return true;
}

/* -- comparison ---------------------------------------------------------- */

static bool compare_msrs(const struct kvm_record *a, const struct kvm_record *b,
                         vmmig_error **error)
{
    uint32_t at;

    for (at = 0; at + sizeof(struct kvm_msr_entry) <= a->length_bytes;
         at += sizeof(struct kvm_msr_entry)) {
        struct kvm_msr_entry x, y;

        memcpy(&x, a->payload + at, sizeof x);
        memcpy(&y, b->payload + at, sizeof y);
        if (x.index != y.index || (x.data != y.data && x.index != MSR_TSC))
            return kvm_fail(error, VMMIG_ERROR_INCOMPATIBLE,
                            "MSR 0x%x = 0x%" PRIx64 ", but 0x%x = 0x%" PRIx64,
                            x.index, (uint64_t)x.data, y.index,
                            (uint64_t)y.data);
    }
    return true;
}

static bool compare_bytes(const struct kvm_record *a,
                          const struct kvm_record *b, vmmig_error **error)
{
    bool is_lapic = !strcmp(a->tag, parts[PART_LAPIC].tag);
    uint32_t i;

    for (i = 0; i < a->length_bytes; i++)
        if (a->payload[i] != b->payload[i] &&
            !(is_lapic && i / 4 == LAPIC_CURRENT_COUNT / 4))
            return kvm_fail(error, VMMIG_ERROR_INCOMPATIBLE,
                            "record %s differs from byte %u on", a->tag, i);
    return true;
}

bool kvm_vcpu_compare(const uint8_t *a, size_t a_bytes, const uint8_t *b,
                      size_t b_bytes, vmmig_error **error)
{
    struct kvm_record_table first, second;
    uint32_t i;

    if (!kvm_record_parse(a, a_bytes, known_tags, "first", &first, error) ||
        !kvm_record_parse(b, b_bytes, known_tags, "second", &second, error))
        return false;
    if (first.count != second.count)
        return kvm_fail(error, VMMIG_ERROR_INCOMPATIBLE, "%u records, but %u",
                        first.count, second.count);
    for (i = 0; i < first.count; i++) {
        const struct kvm_record *x = &first.records[i];
        const struct kvm_record *y = kvm_record_find(&second, x->tag);

        if (!y || x->length_bytes != y->length_bytes)
            return kvm_fail(error, VMMIG_ERROR_INCOMPATIBLE,
                            "record %s is missing or of another length",
                            x->tag);
        if (!strcmp(x->tag, parts[PART_MSRS].tag) ? !compare_msrs(x, y, error)
                                                  : !compare_bytes(x, y, error))
            return false;
    }
    return true;
}

/* -- what the kernel has ------------------------------------------------- */

static struct kvm_msr_list *list_msrs(int kvm_fd)
{
    struct kvm_msr_list probe = {.nmsrs = 0}, *list;

    /* Fails with E2BIG, having said how many there are. */
    if (ioctl(kvm_fd, KVM_GET_MSR_INDEX_LIST, &probe) < 0 && errno != E2BIG)
        return NULL;
    if (probe.nmsrs > MAX_MSRS) {
        errno = E2BIG;
        return NULL;
    }
    list = calloc(1, sizeof *list + probe.nmsrs * sizeof list->indices[0]);
    if (!list)
        return NULL;
    list->nmsrs = probe.nmsrs;
    if (ioctl(kvm_fd, KVM_GET_MSR_INDEX_LIST, list) < 0) {
        free(list);
        return NULL;
    }
    return list;
}

struct kvm_vcpu_facts *kvm_vcpu_facts_new(int kvm_fd, int vm_fd,
                                          bool has_irqchip, vmmig_error **error)
{
    struct kvm_vcpu_facts *facts = calloc(1, sizeof *facts);
    bool *has;
    int value;

    if (!facts) {
        kvm_fail_errno(error, "asking what KVM can do");
        return NULL;
    }
#define HAS(capability) (ioctl(vm_fd, KVM_CHECK_EXTENSION, capability) > 0)
    has = facts->has;
    has[PART_CPUID] = HAS(KVM_CAP_EXT_CPUID);
    has[PART_TSC_KHZ] = HAS(KVM_CAP_GET_TSC_KHZ);
    has[PART_SREGS2] = HAS(KVM_CAP_SREGS2);
    has[PART_SREGS] = !has[PART_SREGS2];
    has[PART_REGS] = true;
    has[PART_XSAVE] = HAS(KVM_CAP_XSAVE);
    has[PART_XCRS] = HAS(KVM_CAP_XCRS);
    has[PART_MSRS] = true;
    has[PART_EVENTS] = HAS(KVM_CAP_VCPU_EVENTS);
    has[PART_MP_STATE] = has_irqchip && HAS(KVM_CAP_MP_STATE);
    has[PART_LAPIC] = has_irqchip;
    has[PART_DEBUGREGS] = HAS(KVM_CAP_DEBUGREGS);
    facts->has_tsc_deadline = has_irqchip && HAS(KVM_CAP_TSC_DEADLINE_TIMER);

    value = ioctl(vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_NESTED_STATE);
    facts->nested_bytes = value > 0 ? (uint32_t)value : 0;
    has[PART_NESTED] = value > 0;
    value = ioctl(vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);
    facts->xsave_bytes = sizeof(struct kvm_xsave);
    if (value > (int)facts->xsave_bytes)
        facts->xsave_bytes = (uint32_t)value;
#undef HAS

    facts->supported = cpuid_new();
    facts->msrs = list_msrs(kvm_fd);
    if (!facts->supported || !facts->msrs ||
        ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, facts->supported) < 0)
        kvm_fail_errno(error, "asking KVM for its CPUID and MSRs");
    else if (!has[PART_CPUID] || !has[PART_XSAVE] || !has[PART_EVENTS])
        vmmig_error_set(error, VMMIG_ERROR_SYSTEM,
                        "this kernel's KVM cannot hand over the whole state "
                        "of a vCPU (CPUID, XSAVE or pending events)");
    else
        return facts;
    kvm_vcpu_facts_free(facts);
    return NULL;
}

void kvm_vcpu_facts_free(struct kvm_vcpu_facts *facts)
{
    if (!facts)
        return;
    free(facts->supported);
    free(facts->msrs);
    free(facts);
}

uint32_t kvm_vcpu_get_supported(const struct kvm_vcpu_facts *facts,
                                uint32_t leaf, uint32_t subleaf, uint32_t reg)
{
    return kvm_cpuid_get(facts->supported, leaf, subleaf, reg);
}

bool kvm_vcpu_set_cpuid(const struct kvm_vcpu_facts *facts, int vcpu_fd,
                        uint32_t index, vmmig_error **error)
{
    struct kvm_cpuid2 *cpuid = cpuid_new();
    bool ok;
    uint32_t i;

    if (!cpuid)
        return kvm_fail_errno(error, "vCPU %u: its CPUID", index);
    cpuid->nent = facts->supported->nent;
    memcpy(cpuid->entries, facts->supported->entries,
           cpuid->nent * sizeof cpuid->entries[0]);
    for (i = 0; i < cpuid->nent; i++) {
        struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

        switch (entry->function) {
        case 0x1:
            entry->ebx = (entry->ebx & 0x00ffffff) | index << 24;
            if (facts->has_tsc_deadline)
                entry->ecx |= UINT32_C(1) << 24;
            break;
        case 0xb:
        case 0x1f:
            entry->edx = index; /* the x2APIC id */
            break;
        }
    }
    ok = !ioctl(vcpu_fd, KVM_SET_CPUID2, cpuid);
    if (!ok)
        kvm_fail_errno(error, "vCPU %u: writing its CPUID", index);
    free(cpuid);
    return ok;
}
