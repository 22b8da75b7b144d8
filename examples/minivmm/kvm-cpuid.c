/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names and comparison of CPUID bits; see kvm-cpuid.h.
 */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "kvm-cpuid.h"

enum { EAX, EBX, ECX, EDX };

#define BIT(n) (UINT32_C(1) << (n))

struct feature_word {
    uint32_t leaf, subleaf, reg;
    /* Not a promise to the guest: set by its own control registers, by the
     * topology, or by the VMM whatever the processor can. */
    uint32_t ignored;
    /* From bit 0 on; "-" has no name. */
    const char *names;
};

/* clang-format off */
static const struct feature_word words[] = {
    { 0x1, 0, EDX, BIT(9) | BIT(28),
      "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov "
      "pat pse36 pn clflush - ds acpi mmx fxsr sse sse2 ss ht tm ia64 pbe" },
    { 0x1, 0, ECX, BIT(3) | BIT(21) | BIT(24) | BIT(27) | BIT(31),
      "sse3 pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 ssse3 cid sdbg "
      "fma cx16 xtpr pdcm - pcid dca sse4_1 sse4_2 x2apic movbe popcnt "
      "tsc_deadline aes xsave osxsave avx f16c rdrand hypervisor" },
    { 0x7, 0, EBX, 0,
      "fsgsbase tsc_adjust sgx bmi1 hle avx2 fdp_excptn_only smep bmi2 erms "
      "invpcid rtm cqm zero_fcs_fds mpx rdt_a avx512f avx512dq rdseed adx "
      "smap avx512ifma - clflushopt clwb intel_pt avx512pf avx512er "
      "avx512cd sha avx512bw avx512vl" },
    { 0x7, 0, ECX, BIT(4) | UINT32_C(0x003e0000),
      "prefetchwt1 avx512vbmi umip pku ospke waitpkg avx512_vbmi2 cet_ss "
      "gfni vaes vpclmulqdq avx512_vnni avx512_bitalg tme avx512_vpopcntdq "
      "- la57 - - - - - rdpid key_locker bus_lock_detect cldemote - "
      "movdiri movdir64b enqcmd sgx_lc pks" },
    { 0x7, 0, EDX, 0,
      "- sgx_keys avx512_4vnniw avx512_4fmaps fsrm uintr - - "
      "avx512_vp2intersect srbds_ctrl md_clear rtm_always_abort - "
      "tsx_force_abort serialize hybrid tsxldtrk - pconfig arch_lbr cet_ibt "
      "- amx_bf16 avx512_fp16 amx_tile amx_int8 spec_ctrl stibp flush_l1d "
      "arch_capabilities core_capabilities ssbd" },
    { 0x7, 1, EAX, 0,
      "sha512 sm3 sm4 rao_int avx_vnni avx512_bf16 lass cmpccxadd "
      "archperfmonext - fzrm fsrs fsrc - - - - fred lkgs wrmsrns nmi_src "
      "amx_fp16 hreset avx_ifma - - lam msrlist" },
    { 0x7, 1, EDX, 0,
      "- - - - avx_vnni_int8 avx_ne_convert - - amx_complex - "
      "avx_vnni_int16 - - - prefetchi - - - cet_sss avx10" },
    { 0xd, 0, EAX, 0,
      "xsave:x87 xsave:sse xsave:avx xsave:bndregs xsave:bndcsr "
      "xsave:opmask xsave:zmm_hi256 xsave:hi16_zmm xsave:pt xsave:pkru "
      "xsave:pasid xsave:cet_u xsave:cet_s xsave:hdc xsave:uintr xsave:lbr "
      "xsave:hwp xsave:tilecfg xsave:tiledata" },
    { 0xd, 1, EAX, 0, "xsaveopt xsavec xgetbv1 xsaves xfd" },
    { 0x80000001, 0, ECX, BIT(1),
      "lahf_lm cmp_legacy svm extapic cr8_legacy abm sse4a misalignsse "
      "3dnowprefetch osvw ibs xop skinit wdt - lwp fma4 tce - nodeid_msr - "
      "tbm topoext perfctr_core perfctr_nb - bpext ptsc perfctr_llc mwaitx" },
    { 0x80000001, 0, EDX, BIT(9),
      "fpu vme de pse tsc msr pae mce cx8 apic - syscall mtrr pge mca cmov "
      "pat pse36 - mp nx - mmxext mmx fxsr fxsr_opt pdpe1gb rdtscp - lm "
      "3dnowext 3dnow" },
    { 0x80000007, 0, EDX, ~BIT(8), "- - - - - - - - invariant_tsc" },
    { 0x80000008, 0, EBX, 0,
      "clzero irperf xsaveerptr - rdpru - - - - wbnoinvd - - ibpb - ibrs "
      "amd_stibp ibrs_always stibp_always ibrs_preferred ibrs_same_mode - "
      "- - - amd_ssbd virt_ssbd amd_no_ssb cppc psfd" },
    { 0x40000001, 0, EAX, 0,
      "kvmclock kvm_nop_io_delay kvm_mmu kvmclock2 kvm_asyncpf "
      "kvm_steal_time kvm_pv_eoi kvm_pv_unhalt - kvm_pv_tlb_flush "
      "kvm_asyncpf_vmexit kvm_pv_ipi kvm_poll_control kvm_pv_sched_yield "
      "kvm_asyncpf_int kvm_msi_ext_dest_id kvm_map_gpa_range "
      "kvm_migration_control - - - - - - kvmclock_stable" },
};
/* clang-format on */

static const char *const reg_names[] = {"eax", "ebx", "ecx", "edx"};

uint32_t kvm_cpuid_get(const struct kvm_cpuid2 *cpuid, uint32_t leaf,
                       uint32_t subleaf, uint32_t reg)
{
    uint32_t i;

    for (i = 0; i < cpuid->nent; i++) {
        const struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

        if (entry->function != leaf ||
            (entry->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX
                 ? entry->index != subleaf
                 : subleaf != 0))
            continue;
        return reg == EAX   ? entry->eax
               : reg == EBX ? entry->ebx
               : reg == ECX ? entry->ecx
                            : entry->edx;
    }
    return 0;
}

struct list {
    char *text;
    size_t room, length;
    bool is_full;
};

__attribute__((format(printf, 2, 3))) static void
list_add(struct list *list, const char *format, ...)
{
    char item[96];
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = snprintf(item, sizeof item, "%s", list->length ? ", " : "");
    vsnprintf(item + length, sizeof item - (size_t)length, format, arguments);
    va_end(arguments);
    if (list->is_full ||
        strlen(item) + sizeof ", ..." > list->room - list->length) {
        if (!list->is_full)
            strcpy(list->text + list->length, ", ...");
        list->is_full = true;
        return;
    }
    strcpy(list->text + list->length, item);
    list->length += strlen(item);
}

static void list_add_bit(struct list *list, const struct feature_word *word,
                         uint32_t bit)
{
    const char *name = word->names;
    uint32_t skip;
    size_t length;

    for (skip = bit; skip && name; skip--) {
        name = strchr(name, ' ');
        name += !!name;
    }
    length = name ? strcspn(name, " ") : 0;
    if (!length || *name == '-')
        list_add(list, "CPUID 0x%x.%u %s bit %u", word->leaf, word->subleaf,
                 reg_names[word->reg], bit);
    else
        list_add(list, "%.*s (CPUID 0x%x.%u %s bit %u)", (int)length, name,
                 word->leaf, word->subleaf, reg_names[word->reg], bit);
}

bool kvm_cpuid_covers(const struct kvm_cpuid2 *const *have, size_t have_count,
                      const struct kvm_cpuid2 *want, char *ret_names,
                      size_t names_bytes)
{
    struct list list = {.text = ret_names, .room = names_bytes};
    uint32_t address_bits = 0, wanted_bits;
    size_t i, j;

    for (i = 0; i < sizeof words / sizeof words[0]; i++) {
        const struct feature_word *word = &words[i];
        uint32_t missing, bit;

        missing = kvm_cpuid_get(want, word->leaf, word->subleaf, word->reg) &
                  ~word->ignored;
        for (j = 0; j < have_count; j++)
            missing &=
                ~kvm_cpuid_get(have[j], word->leaf, word->subleaf, word->reg);
        for (bit = 0; bit < 32; bit++)
            if (missing & BIT(bit))
                list_add_bit(&list, word, bit);
    }
    for (j = 0; j < have_count; j++) {
        uint32_t bits = kvm_cpuid_get(have[j], 0x80000008, 0, EAX) & 0xff;

        address_bits = bits > address_bits ? bits : address_bits;
    }
    wanted_bits = kvm_cpuid_get(want, 0x80000008, 0, EAX) & 0xff;
    if (wanted_bits > address_bits)
        list_add(&list,
                 "physical addresses of %u bits (CPUID 0x80000008.0 "
                 "eax; %u here)",
                 wanted_bits, address_bits);
    return list.length == 0;
}
