/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's work; see workload.h. Runs on vCPUs of the kvm machine (without
 * any C library) and on threads of minivmm.
 *
 * Guest memory is read by a migration while workers write it. That is no
 * mistake: what was read in the middle of a write is read again, because the
 * writer marks the page afterwards. GUEST_MEMORY keeps ThreadSanitizer from
 * reporting it.
 */
#include "workload.h"

#define GUEST_MEMORY __attribute__((no_sanitize("thread")))

#define PAGE_WORDS (WORKLOAD_PAGE_BYTES / sizeof(uint64_t))
#define PAGE_TAG UINT64_C(0x4755455300000000) /* in front of the page number \
                                               */

#define LEDGER_MAGIC UINT64_C(0x524547444c4d4956) /* "VIMLDGER" */
#define LEDGER_VERSION 1
#define MAX_RAM_BYTES (UINT64_C(1) << 40) /* page numbers fit in 28 bits */

/* A page's entry in the ledger is the pass it was written in. 0: not written
 * since the start. With ENTRY_BUSY it may hold the pass before, this one or a
 * mixture; ENTRY_BUSY alone says that nothing is known. */
#define ENTRY_BUSY UINT32_C(0x80000000)

#define BEAT_INTERVAL_NS 100000
#define WAIT_NS 1000000    /* waits are no longer, so that the heart beats */
#define CREDIT_NS 20000000 /* what a late worker may make up for */
#define LINES_PER_WORKER 16

/* Stalls are counted by length, in four classes to the octave of nanoseconds;
 * the last one begins at a quarter of an hour. */
#define STALL_CLASSES 160

struct worker {
    uint64_t random;
    uint64_t cursor; /* next page of its share, in a sweep */
    uint64_t visits;
    uint64_t filled; /* pages of its share */
    uint64_t due_ns; /* when the next visit may begin */
    uint64_t pages_checked;
    uint64_t errors;
    uint64_t stall_max_ns;
    uint32_t lines;
    uint32_t reserved;
    uint32_t stalls[STALL_CLASSES];
    uint8_t padding[1024 - 9 * 8 - STALL_CLASSES * 4];
};

struct ledger {
    uint64_t magic;
    uint32_t version;
    uint32_t serial_lock;
    struct workload_config config;
    uint64_t last_beat_ns;
    uint64_t blackout_ns;
    uint32_t workers_filled;
    uint8_t padding[4096 - 16 - sizeof(struct workload_config) - 20];
    struct worker workers[WORKLOAD_MAX_WORKERS];
    uint32_t entries[]; /* one for each page of RAM */
};

_Static_assert(sizeof(struct worker) == 1024, "workers[] would move");
_Static_assert(offsetof(struct ledger, workers) == 4096,
               "the ledger's layout is known to both sides");

/* One worker at work. The configuration is a copy: a ledger may come from a
 * peer, and is checked once. */
struct run {
    const struct workload *workload;
    struct ledger *ledger;
    struct worker *state;
    struct workload_config config;
    uint32_t worker;
    uint64_t first_page, page_count; /* its share of the span */
    uint64_t visit_ns;               /* by the rate; 0: no limit */
};

#define LOAD(place) __atomic_load_n(&(place), __ATOMIC_RELAXED)
#define STORE(place, value) __atomic_store_n(&(place), value, __ATOMIC_RELAXED)

/* -- numbers ------------------------------------------------------------- */

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static uint64_t next_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    return mix(*state);
}

/* -- what a page holds --------------------------------------------------- */

struct content {
    uint64_t base;
    uint32_t fill;
    uint32_t pass;
    uint64_t tag;
    bool is_zero;
};

/* Eight letters each; little can be said with them, and much compressed. */
static const char dictionary[32][9] = {
    "migrate ", "memory  ",  "machine ", "running ", "stopped ", "channel ",
    "packets ", "virtual ",  "dirty   ", "pages   ", "kernel  ", "thread  ",
    "address ", "section ",  "offset  ", "version ", "device  ", "state   ",
    "source  ", "arrives ",  "guest   ", "leaves  ", "nothing ", "changed ",
    "while   ", "it was  ",  "on the  ", "way, and", " then   ", "another ",
    "begins. ", "\n       ",
};

static struct content content_of(const struct workload_config *config,
                                 uint64_t page, uint32_t pass)
{
    uint64_t base = mix(config->seed + mix(page << 32 | pass));

    return (struct content){
        .base = base,
        .fill = config->fill,
        .pass = pass,
        .tag = PAGE_TAG | page,
        .is_zero = (base >> 32) % 100 < config->zero_percent,
    };
}

/* Word `index` of the page. One multiplication is enough for bytes that no
 * compressor can shorten, and fast enough to fill memory by. */
static inline uint64_t content_word(const struct content *content,
                                    uint64_t index)
{
    uint64_t x;

    if (content->is_zero)
        return 0;
    if (index == 0)
        return content->tag;
    if (index == 1)
        return content->pass;
    if (content->fill == WORKLOAD_FILL_ZERO)
        return 0;
    x = content->base + index * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 32)) * UINT64_C(0xd6e8feb86659fd93);
    x ^= x >> 29;
    if (content->fill == WORKLOAD_FILL_TEXT)
        __builtin_memcpy(&x, dictionary[x >> 59], sizeof x);
    return x;
}

GUEST_MEMORY static void write_words(uint64_t *words,
                                     const struct content *content)
{
    uint64_t index;

    /* Three loops, so that each has nothing to decide. */
    if (content->is_zero || content->fill == WORKLOAD_FILL_ZERO) {
        for (index = 2; index < PAGE_WORDS; index++)
            words[index] = 0;
    } else {
        struct content random = *content;

        random.is_zero = false;
        for (index = 2; index < PAGE_WORDS; index++)
            words[index] = content_word(&random, index);
    }
    words[0] = content_word(content, 0);
    words[1] = content_word(content, 1);
}

/* Number and pass, and of the rest every `stride`th word from `offset` on. A
 * page that should be all zero is looked at as a whole. */
GUEST_MEMORY static bool words_match(const uint64_t *words,
                                     const struct content *content,
                                     uint64_t offset, uint64_t stride)
{
    uint64_t wrong = 0, index;

    if (content->is_zero) {
        for (index = 0; index < PAGE_WORDS; index++)
            wrong |= words[index];
        return !wrong;
    }
    if (words[0] != content->tag || words[1] != content->pass)
        return false;
    for (index = offset; index < PAGE_WORDS; index += stride)
        wrong |= words[index] ^ content_word(content, index);
    return !wrong;
}

/* -- marking ------------------------------------------------------------- */

static void mark(const struct workload *workload, uint32_t area,
                 uint64_t offset_bytes, uint64_t length_bytes)
{
    if (workload->hooks->mark_written)
        workload->hooks->mark_written(workload->data, area, offset_bytes,
                                      length_bytes);
}

static void mark_ledger(const struct run *run, const void *start,
                        uint64_t length_bytes)
{
    mark(run->workload, WORKLOAD_LEDGER,
         (uint64_t)((const char *)start - (const char *)run->ledger),
         length_bytes);
}

/* -- the serial port ----------------------------------------------------- */

struct line {
    char text[160];
    size_t length;
};

static void put_text(struct line *line, const char *text)
{
    while (*text && line->length < sizeof line->text)
        line->text[line->length++] = *text++;
}

static void put_number(struct line *line, uint64_t number, uint32_t base)
{
    char digits[24], *next = digits + sizeof digits;

    *--next = '\0';
    do {
        *--next = "0123456789abcdef"[number % base];
        number /= base;
    } while (number);
    put_text(line, next);
}

static bool should_stop(const struct run *run)
{
    const struct workload_hooks *hooks = run->workload->hooks;

    return hooks->should_stop &&
           hooks->should_stop(run->workload->data, run->worker);
}

/* The lock is in the ledger: a vCPU may be stopped in the middle of a line,
 * and goes on with it elsewhere. A thread is never stopped there, but its
 * ledger may come from a peer that says so: a stop ends the wait. */
static void emit(const struct run *run, const struct line *line)
{
    uint32_t *lock = &run->ledger->serial_lock;

    while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE)) {
        if (should_stop(run))
            return;
#ifdef __x86_64__
        __builtin_ia32_pause();
#endif
    }
    run->workload->hooks->emit(run->workload->data, line->text, line->length);
    __atomic_store_n(lock, 0, __ATOMIC_RELEASE);
    mark_ledger(run, lock, sizeof *lock);
}

GUEST_MEMORY static void report_corrupt(const struct run *run, uint64_t page,
                                        const struct content *expected)
{
    const struct workload_config *config = &run->config;
    struct worker *state = run->state;
    const uint64_t *words =
        (const uint64_t *)run->workload->ram + page * PAGE_WORDS;
    uint64_t address = page * WORKLOAD_PAGE_BYTES;
    struct line line = {.length = 0};

    STORE(state->errors, state->errors + 1);
    if (state->lines >= LINES_PER_WORKER)
        return;
    STORE(state->lines, state->lines + 1);
    if (config->hole_bytes && address >= config->hole_offset)
        address += config->hole_bytes;
    put_text(&line, WORKLOAD_CORRUPT_PREFIX);
    put_number(&line, address, 16);
    put_text(&line, " expected pass ");
    put_number(&line, expected->pass, 10);
    put_text(&line,
             expected->is_zero ? " (zero), found tag 0x" : ", found tag 0x");
    put_number(&line, words[0], 16);
    put_text(&line, " pass 0x");
    put_number(&line, words[1], 16);
    if (state->lines == LINES_PER_WORKER)
        put_text(&line, ", more are only counted");
    put_text(&line, "\n");
    emit(run, &line);
}

static void report_registers(const struct run *run)
{
    struct worker *state = run->state;
    struct line line = {.length = 0};

    STORE(state->errors, state->errors + 1);
    put_text(&line, WORKLOAD_CORRUPT_PREFIX "0 no memory, but registers of "
                                            "worker ");
    put_number(&line, run->worker, 10);
    put_text(&line, "\n");
    emit(run, &line);
}

/* -- time ---------------------------------------------------------------- */

static uint64_t now_ns(const struct run *run)
{
    return run->workload->hooks->now_ns(run->workload->data, run->worker);
}

/* The heart is the machine's, not the worker's: it stands still only when no
 * worker runs. It starts when the fill is done, whose first touches are slow
 * for reasons of their own. */
GUEST_MEMORY static void beat(const struct run *run, uint64_t now)
{
    struct ledger *ledger = run->ledger;
    uint64_t last = LOAD(ledger->last_beat_ns), longest;

    if (LOAD(ledger->workers_filled) < run->config.worker_count ||
        now < last + BEAT_INTERVAL_NS ||
        !__atomic_compare_exchange_n(&ledger->last_beat_ns, &last, now, false,
                                     __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        return;
    longest = LOAD(ledger->blackout_ns);
    while (last && now - last > longest &&
           !__atomic_compare_exchange_n(&ledger->blackout_ns, &longest,
                                        now - last, false, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED))
        ;
    mark_ledger(run, &ledger->last_beat_ns, 16);
}

static uint32_t stall_class(uint64_t duration_ns)
{
    uint32_t octave = 63 - (uint32_t)__builtin_clzll(duration_ns | 4);
    uint32_t class = octave * 4 + ((duration_ns >> (octave - 2)) & 3);

    return class < STALL_CLASSES ? class : STALL_CLASSES - 1;
}

/* The middle of what the class holds. */
static uint64_t stall_length_ns(uint32_t class)
{
    uint32_t octave = class / 4 < 2 ? 2 : class / 4;

    return (UINT64_C(9) + 2 * (class & 3)) << (octave - 2) >> 1;
}

static void count_stall(struct worker *state, uint64_t duration_ns)
{
    uint32_t *class = &state->stalls[stall_class(duration_ns)];

    STORE(*class, *class + 1);
    if (duration_ns > state->stall_max_ns)
        STORE(state->stall_max_ns, duration_ns);
}

/* -- steps --------------------------------------------------------------- */

GUEST_MEMORY static void write_page(const struct run *run, uint64_t page,
                                    uint32_t pass)
{
    uint64_t *words = (uint64_t *)run->workload->ram + page * PAGE_WORDS;
    uint32_t *entry = &run->ledger->entries[page];
    struct content content = content_of(&run->config, page, pass);

    /* Whoever looks between these stores finds that he cannot know. */
    __atomic_store_n(entry, pass | ENTRY_BUSY, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    write_words(words, &content);
    __atomic_store_n(entry, pass, __ATOMIC_RELEASE);
    mark(run->workload, WORKLOAD_RAM, page * WORKLOAD_PAGE_BYTES,
         WORKLOAD_PAGE_BYTES);
    mark_ledger(run, entry, sizeof *entry);
}

GUEST_MEMORY static void visit(const struct run *run, uint64_t page, bool write,
                               uint64_t now)
{
    struct worker *state = run->state;
    const uint64_t *words =
        (const uint64_t *)run->workload->ram + page * PAGE_WORDS;
    uint32_t *entry = &run->ledger->entries[page];
    uint32_t value = LOAD(*entry), pass = value & ~ENTRY_BUSY;
    uint64_t later;

    (void)LOAD(words[0]);
    later = now_ns(run);
    if (later - now >= WORKLOAD_STALL_NS && later > now)
        count_stall(state, later - now);

    if (pass && value == pass) {
        struct content expected = content_of(&run->config, page, pass);

        /* One word of each cache line, another one in each pass. */
        STORE(state->pages_checked, state->pages_checked + 1);
        if (!words_match(words, &expected, pass % 8, 8)) {
            report_corrupt(run, page, &expected);
            if (!write) {
                STORE(*entry, ENTRY_BUSY);
                mark_ledger(run, entry, sizeof *entry);
            }
        }
    }
    if (write)
        write_page(run, page, pass == ~ENTRY_BUSY ? 1 : pass + 1);
}

/* Rank r of n with a chance of 1/r: first an octave, then a rank within it,
 * taken as often as the curve is high there. */
static uint64_t zipf_rank(uint64_t *random, uint64_t n)
{
    uint32_t octaves = 64 - (uint32_t)__builtin_clzll(n);

    for (;;) {
        uint64_t value = next_random(random);
        uint64_t start = UINT64_C(1) << value % octaves;
        uint64_t rank = start + (value >> 8 & (start - 1));

        if (rank <= n && (next_random(random) >> 32) * rank < start << 32)
            return rank;
    }
}

/* Ranks are scattered over the share, or hot pages would be neighbours. The
 * prime is larger than any share, so no two ranks meet. */
#define SCATTER UINT64_C(4294967291)

static uint64_t choose_page(const struct run *run)
{
    struct worker *state = run->state;
    uint64_t random = state->random, page = 0;

    switch (run->config.kind) {
    case WORKLOAD_SWEEP:
        page = state->cursor % run->page_count;
        STORE(state->cursor, page + 1);
        break;
    case WORKLOAD_RANDOM:
        page = next_random(&random) % run->page_count;
        break;
    case WORKLOAD_ZIPF:
        page = (zipf_rank(&random, run->page_count) - 1) * SCATTER %
               run->page_count;
        break;
    }
    STORE(state->random, random);
    return run->first_page + page;
}

/* Whoever waits asks each time, others every so many visits. */
static void check_registers(const struct run *run)
{
    const struct workload_hooks *hooks = run->workload->hooks;

    if (hooks->is_intact &&
        !hooks->is_intact(run->workload->data, run->worker)) {
        report_registers(run);
        mark_ledger(run, run->state, sizeof *run->state);
    }
}

static void wait_up_to(const struct run *run, uint64_t duration_ns)
{
    check_registers(run);
    if (run->workload->hooks->wait)
        run->workload->hooks->wait(run->workload->data, run->worker,
                                   duration_ns < WAIT_NS ? duration_ns
                                                         : WAIT_NS);
}

GUEST_MEMORY static void fill_step(const struct run *run)
{
    struct ledger *ledger = run->ledger;
    struct worker *state = run->state;

    if (state->filled < run->page_count) {
        uint64_t page = run->first_page + state->filled;

        /* RAM begins as zeros: a page that should be zero costs nothing. */
        if (content_of(&run->config, page, 1).is_zero) {
            STORE(ledger->entries[page], 1);
            mark_ledger(run, &ledger->entries[page], sizeof(uint32_t));
        } else {
            write_page(run, page, 1);
        }
        STORE(state->filled, state->filled + 1);
    }
    if (state->filled >= run->page_count) {
        struct line ready = {.length = 0};

        STORE(state->filled, UINT64_MAX);
        if (__atomic_add_fetch(&ledger->workers_filled, 1, __ATOMIC_ACQ_REL) ==
            run->config.worker_count) {
            put_text(&ready, WORKLOAD_READY_LINE);
            emit(run, &ready);
        }
        mark_ledger(run, &ledger->workers_filled, sizeof(uint32_t));
    }
    mark_ledger(run, state, sizeof *state);
}

GUEST_MEMORY static void step(const struct run *run)
{
    struct worker *state = run->state;
    uint64_t now, random;
    bool write;

    if (state->filled != UINT64_MAX) {
        fill_step(run);
        return;
    }
    now = now_ns(run);
    beat(run, now);
    if (run->config.kind == WORKLOAD_IDLE || !run->page_count) {
        wait_up_to(run, WAIT_NS);
        return;
    }
    if (run->visit_ns) {
        if (state->due_ns > now) {
            /* A clock that was set back must not stop the work for long. */
            if (state->due_ns - now > run->visit_ns + CREDIT_NS)
                STORE(state->due_ns, now + run->visit_ns);
            /* A full wait: what it is too long for is made up afterwards. */
            wait_up_to(run, WAIT_NS);
            return;
        }
        STORE(state->due_ns, (now - state->due_ns > CREDIT_NS ? now - CREDIT_NS
                                                              : state->due_ns) +
                                 run->visit_ns);
    }
    random = state->random;
    write = next_random(&random) % 100 < run->config.write_percent;
    STORE(state->random, random);
    visit(run, choose_page(run), write, now);
    /* However many pages are chosen at random, some are never seen. So one more
     * is looked at in turn, and a pass is what it says. */
    if (run->config.kind != WORKLOAD_SWEEP)
        visit(run, run->first_page + state->visits % run->page_count, false,
              now_ns(run));
    STORE(state->visits, state->visits + 1);
    if (state->visits % 64 == 0)
        check_registers(run);
    mark_ledger(run, state, sizeof *state);
}

/* -- what the VMM calls -------------------------------------------------- */

void workload_config_init(struct workload_config *config, uint64_t ram_bytes)
{
    *config = (struct workload_config){
        .kind = WORKLOAD_IDLE,
        .fill = WORKLOAD_FILL_RANDOM,
        .write_percent = 100,
        .worker_count = 1,
        .seed = 1,
        .ram_bytes = ram_bytes,
    };
}

const char *workload_config_check(const struct workload_config *config)
{
    if (config->kind > WORKLOAD_ZIPF)
        return "no such workload";
    if (config->fill > WORKLOAD_FILL_TEXT)
        return "no such fill";
    if (config->write_percent > 100 || config->zero_percent > 100)
        return "a percentage is above 100";
    if (!config->worker_count || config->worker_count > WORKLOAD_MAX_WORKERS)
        return "the number of workers is not within 1 and 64";
    if (config->flags & ~(uint32_t)WORKLOAD_KEEP)
        return "unknown flags";
    if (!config->ram_bytes || config->ram_bytes > MAX_RAM_BYTES ||
        config->ram_bytes % WORKLOAD_PAGE_BYTES)
        return "RAM is not a number of pages up to 1 TiB";
    if (config->span_bytes > config->ram_bytes ||
        config->span_bytes % WORKLOAD_PAGE_BYTES)
        return "the span is not a number of pages within RAM";
    return NULL;
}

uint64_t workload_ledger_bytes(uint64_t ram_bytes)
{
    uint64_t entries = ram_bytes / WORKLOAD_PAGE_BYTES;

    return (sizeof(struct ledger) + entries * sizeof(uint32_t) +
            WORKLOAD_PAGE_BYTES - 1) &
           ~(uint64_t)(WORKLOAD_PAGE_BYTES - 1);
}

void workload_prepare(const struct workload *workload,
                      const struct workload_config *config)
{
    struct ledger *ledger = workload->ledger;
    uint32_t worker;

    ledger->config = *config;
    for (worker = 0; worker < config->worker_count; worker++) {
        ledger->workers[worker].random = mix(config->seed ^ (worker + 1));
        if (config->flags & WORKLOAD_KEEP)
            ledger->workers[worker].filled = UINT64_MAX;
    }
    if (config->flags & WORKLOAD_KEEP)
        ledger->workers_filled = config->worker_count;
    ledger->version = LEDGER_VERSION;
    ledger->magic = LEDGER_MAGIC;
    mark(workload, WORKLOAD_LEDGER, 0, offsetof(struct ledger, entries));
}

GUEST_MEMORY bool workload_get_config(const struct workload *workload,
                                      struct workload_config *ret_config)
{
    const struct ledger *ledger = workload->ledger;
    struct workload_config config;

    if (workload->ledger_bytes < sizeof *ledger ||
        ledger->magic != LEDGER_MAGIC || ledger->version != LEDGER_VERSION)
        return false;
    config = ledger->config;
    if (workload_config_check(&config) ||
        config.ram_bytes != workload->ram_bytes ||
        workload->ledger_bytes < workload_ledger_bytes(config.ram_bytes))
        return false;
    *ret_config = config;
    return true;
}

GUEST_MEMORY const char *workload_check_ledger(const struct workload *workload,
                                               uint32_t worker_count)
{
    const struct ledger *ledger = workload->ledger;
    struct workload_config config;

    if (workload->ledger_bytes < sizeof *ledger ||
        ledger->magic != LEDGER_MAGIC)
        return "the ledger is none";
    if (ledger->version != LEDGER_VERSION)
        return "the ledger is of another version";
    if (ledger->config.ram_bytes != workload->ram_bytes)
        return "the ledger belongs to RAM of another size";
    if (!workload_get_config(workload, &config))
        return "the ledger's configuration is impossible";
    if (config.worker_count != worker_count)
        return "the ledger belongs to another number of workers";
    return NULL;
}

static bool begin_run(struct run *run, const struct workload *workload,
                      uint32_t worker)
{
    struct workload_config *config = &run->config;
    uint64_t pages;

    if (!workload_get_config(workload, config) ||
        worker >= config->worker_count)
        return false;
    run->workload = workload;
    run->ledger = workload->ledger;
    run->state = &run->ledger->workers[worker];
    run->worker = worker;
    pages = (config->span_bytes ? config->span_bytes : config->ram_bytes) /
            WORKLOAD_PAGE_BYTES;
    run->first_page = pages * worker / config->worker_count;
    run->page_count =
        pages * (worker + 1) / config->worker_count - run->first_page;
    run->visit_ns = 0;
    if (config->rate_bytes_per_s) {
        run->visit_ns = WORKLOAD_PAGE_BYTES * UINT64_C(1000000000) *
                        config->worker_count / config->rate_bytes_per_s;
        run->visit_ns += !run->visit_ns;
    }
    return true;
}

bool workload_fill(const struct workload *workload, uint32_t worker)
{
    struct run run;

    if (!begin_run(&run, workload, worker))
        return false;
    while (run.state->filled != UINT64_MAX)
        fill_step(&run);
    return true;
}

bool workload_run(const struct workload *workload, uint32_t worker)
{
    struct run run;

    if (!begin_run(&run, workload, worker))
        return false;
    while (!should_stop(&run))
        step(&run);
    return true;
}

static uint64_t stall_quantile(const uint64_t *classes,
                               const struct workload_counters *counters,
                               uint64_t percent)
{
    uint64_t seen = 0, length;
    uint32_t class;

    for (class = 0; class < STALL_CLASSES - 1; class ++) {
        seen += classes[class];
        if (seen * 100 >= counters->stalls * percent)
            break;
    }
    length = stall_length_ns(class);
    return length < counters->stall_max_ns ? length : counters->stall_max_ns;
}

GUEST_MEMORY void workload_get_counters(const struct workload *workload,
                                        struct workload_counters *ret_counters)
{
    const struct ledger *ledger = workload->ledger;
    struct workload_counters counters = {.passes = UINT64_MAX};
    uint64_t classes[STALL_CLASSES] = {0};
    struct workload_config config;
    uint64_t pages, first = 0, end;
    uint32_t worker, class;

    if (!workload_get_config(workload, &config)) {
        *ret_counters = (struct workload_counters){.passes = 0};
        return;
    }
    pages = (config.span_bytes ? config.span_bytes : config.ram_bytes) /
            WORKLOAD_PAGE_BYTES;
    for (worker = 0; worker < config.worker_count; worker++, first = end) {
        const struct worker *state = &ledger->workers[worker];
        uint64_t filled = LOAD(state->filled), rounds;

        end = pages * (worker + 1) / config.worker_count;
        counters.pages_checked += LOAD(state->pages_checked);
        counters.errors += LOAD(state->errors);
        counters.filled_pages += filled < end - first ? filled : end - first;
        for (class = 0; class < STALL_CLASSES; class ++) {
            classes[class] += LOAD(state->stalls[class]);
            counters.stalls += LOAD(state->stalls[class]);
        }
        if (LOAD(state->stall_max_ns) > counters.stall_max_ns)
            counters.stall_max_ns = LOAD(state->stall_max_ns);
        if (end == first)
            continue;
        rounds = LOAD(state->visits) / (end - first);
        if (rounds < counters.passes)
            counters.passes = rounds;
    }
    if (counters.passes == UINT64_MAX)
        counters.passes = 0;
    counters.blackout_ns = LOAD(ledger->blackout_ns);
    counters.filled = LOAD(ledger->workers_filled) >= config.worker_count;
    if (counters.stalls) {
        counters.stall_p50_ns = stall_quantile(classes, &counters, 50);
        counters.stall_p99_ns = stall_quantile(classes, &counters, 99);
    }
    *ret_counters = counters;
}

GUEST_MEMORY uint64_t workload_audit(const struct workload *workload,
                                     uint64_t *ret_first_offset)
{
    const struct ledger *ledger = workload->ledger;
    struct workload_config config;
    uint64_t wrong = 0, page;

    if (!workload_get_config(workload, &config))
        return 0;
    for (page = 0; page < config.ram_bytes / WORKLOAD_PAGE_BYTES; page++) {
        const uint64_t *words =
            (const uint64_t *)workload->ram + page * PAGE_WORDS;
        uint32_t entry = LOAD(ledger->entries[page]);
        struct content expected;

        if (entry & ENTRY_BUSY || (!entry && config.flags & WORKLOAD_KEEP))
            continue;
        expected = content_of(&config, page, entry);
        expected.is_zero |= !entry;
        if (words_match(words, &expected, 2, 1))
            continue;
        if (!wrong++ && ret_first_offset)
            *ret_first_offset = page * WORKLOAD_PAGE_BYTES;
    }
    return wrong;
}
