/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line of minivmm. One table has every option: its name, its
 * argument, its words in --help, and the function that takes the argument.
 * What depends on two options at once is judged at the end, in check().
 */
#include "command-line.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include <vmmigrate/vmmigrate.h>

#include "failure.h"

#define MAX_BLOCK_NAME_BYTES 255
#define MAX_DELAY_MS (UINT64_C(24) * 3600 * 1000)

struct option_row {
    const char *name;
    const char *argument; /* NULL: takes none */
    const char *help;     /* lines are separated by \n */
    bool (*take)(struct command_line *line, const char *value, GError **error);
};

struct choice {
    const char *name;
    int value;
};

bool parse_size(const char *text, uint64_t *ret_bytes)
{
    static const char units[] = "KMGT";
    const char *unit;
    unsigned int shift = 0;
    guint64 number;
    char *end;

    if (!g_ascii_isdigit(text[0]))
        return false;
    errno = 0;
    number = g_ascii_strtoull(text, &end, 10);
    if (errno != 0)
        return false;
    if (*end != '\0') {
        unit = strchr(units, g_ascii_toupper(*end));
        if (!unit || end[1] != '\0')
            return false;
        shift = 10 * (unsigned int)(unit - units + 1);
    }
    if (number > UINT64_MAX >> shift)
        return false;
    *ret_bytes = number << shift;
    return true;
}

static bool parse_number(const char *text, uint64_t maximum,
                         uint64_t *ret_number)
{
    guint64 number;
    char *end;

    if (!g_ascii_isdigit(text[0]))
        return false;
    errno = 0;
    number = g_ascii_strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || number > maximum)
        return false;
    *ret_number = number;
    return true;
}

static bool parse_choice(const char *text, const struct choice *choices,
                         const char *what, int *ret_value, GError **error)
{
    GString *names = g_string_new(NULL);
    bool found = false;

    for (; choices->name && !found; choices++) {
        found = strcmp(text, choices->name) == 0;
        if (found)
            *ret_value = choices->value;
        g_string_append_printf(names, "%s%s", names->len ? ", " : "",
                               choices->name);
    }
    if (!found)
        fail(error, "%s is one of %s, not '%s'", what, names->str, text);
    g_string_free(names, TRUE);
    return found;
}

/*
 * Splits "NAME,key=value,key=value" and hands each pair to `take`. The first
 * part goes to `*ret_first`, for the caller to free.
 */
static bool parse_list(const char *text, char **ret_first,
                       bool (*take)(void *data, const char *key,
                                    const char *value, GError **error),
                       void *data, GError **error)
{
    char **parts = g_strsplit(text, ",", -1);
    bool good = true;
    unsigned int i;

    for (i = 1; good && parts[0] && parts[i]; i++) {
        char *value = strchr(parts[i], '=');

        if (!value || value == parts[i]) {
            good = fail(error, "'%s' is not of the form KEY=VALUE", parts[i]);
        } else {
            *value = '\0';
            good = take(data, parts[i], value + 1, error);
        }
    }
    if (good)
        *ret_first = g_strdup(parts[0] ? parts[0] : "");
    g_strfreev(parts);
    return good;
}

static bool take_workload_pair(void *data, const char *key, const char *value,
                               GError **error)
{
    static const struct choice fills[] = {{"random", WORKLOAD_FILL_RANDOM},
                                          {"zero", WORKLOAD_FILL_ZERO},
                                          {"text", WORKLOAD_FILL_TEXT},
                                          {NULL, 0}};
    struct workload_config *config = data;
    uint64_t number;
    int choice;

    if (strcmp(key, "rate") == 0 || strcmp(key, "span") == 0) {
        if (!parse_size(value, &number))
            return fail(error, "%s=%s is no size such as 4096, 64M or 2G", key,
                        value);
        if (key[0] == 'r')
            config->rate_bytes_per_s = number;
        else
            config->span_bytes = number;
        return true;
    }
    if (strcmp(key, "write") == 0 || strcmp(key, "zero") == 0) {
        if (!parse_number(value, 100, &number))
            return fail(error, "%s=%s is not a percentage from 0 to 100", key,
                        value);
        if (key[0] == 'w')
            config->write_percent = (uint32_t)number;
        else
            config->zero_percent = (uint32_t)number;
        return true;
    }
    if (strcmp(key, "seed") == 0) {
        if (!parse_number(value, UINT64_MAX, &config->seed))
            return fail(error, "seed=%s is not a number", value);
        return true;
    }
    if (strcmp(key, "fill") == 0) {
        if (!parse_choice(value, fills, "fill", &choice, error))
            return false;
        config->fill = (uint32_t)choice;
        return true;
    }
    return fail(error,
                "a workload has no '%s', only rate, span, write, fill, "
                "zero and seed",
                key);
}

bool parse_workload(const char *text, struct workload_config *config,
                    GError **error)
{
    static const struct choice kinds[] = {{"idle", WORKLOAD_IDLE},
                                          {"sweep", WORKLOAD_SWEEP},
                                          {"random", WORKLOAD_RANDOM},
                                          {"zipf", WORKLOAD_ZIPF},
                                          {NULL, 0}};
    struct workload_config parsed = *config;
    char *name;
    int kind;
    bool good;

    if (!parse_list(text, &name, take_workload_pair, &parsed, error))
        return false;
    good = parse_choice(name, kinds, "the workload", &kind, error);
    g_free(name);
    if (good) {
        parsed.kind = (uint32_t)kind;
        *config = parsed;
    }
    return good;
}

static bool take_opaque_pair(void *data, const char *key, const char *value,
                             GError **error)
{
    struct opaque_section *section = data;
    uint64_t number;

    if (strcmp(key, "instance") == 0 || strcmp(key, "version") == 0) {
        if (!parse_number(value, UINT32_MAX, &number))
            return fail(error, "%s=%s is not a number of 32 bits", key, value);
        if (key[0] == 'i')
            section->instance_id = (uint32_t)number;
        else
            section->version = (uint32_t)number;
        return true;
    }
    if (strcmp(key, "bytes") == 0) {
        if (!parse_number(value, MAX_OPAQUE_BYTES, &number))
            return fail(error, "bytes=%s is not a number from 0 to %u", value,
                        MAX_OPAQUE_BYTES);
        section->length_bytes = (uint32_t)number;
        return true;
    }
    return fail(error,
                "a section has no '%s', only instance, version and bytes", key);
}

static void free_opaque(void *data)
{
    struct opaque_section *section = data;

    g_free(section->name);
    g_free(section);
}

/* The functions of the table. `value` is NULL for options without argument. */

static bool take_machine(struct command_line *line, const char *value,
                         GError **error)
{
    static const struct choice kinds[] = {{"kvm", MACHINE_KVM},
                                          {"soft", MACHINE_SOFT},
                                          {"none", MACHINE_NONE},
                                          {NULL, 0}};
    int kind;

    if (!parse_choice(value, kinds, "the machine", &kind, error))
        return false;
    line->machine = (enum machine_kind)kind;
    return true;
}

static bool take_memory(struct command_line *line, const char *value,
                        GError **error)
{
    uint64_t bytes;

    if (!parse_size(value, &bytes))
        return fail(error, "'%s' is no size such as 256M or 2G", value);
    if (bytes == 0 || bytes % WORKLOAD_PAGE_BYTES != 0 ||
        bytes > MAX_MEMORY_BYTES)
        return fail(error,
                    "memory is a multiple of %d bytes and at most %d TiB, "
                    "which %" G_GUINT64_FORMAT " bytes are not",
                    WORKLOAD_PAGE_BYTES, (int)(MAX_MEMORY_BYTES >> 40), bytes);
    line->memory_bytes = bytes;
    return true;
}

static bool take_vcpus(struct command_line *line, const char *value,
                       GError **error)
{
    uint64_t number;

    if (!parse_number(value, MAX_VCPUS, &number) || number == 0)
        return fail(error, "there can be 1 to %d vCPUs, not '%s'", MAX_VCPUS,
                    value);
    line->vcpu_count = (uint32_t)number;
    return true;
}

static bool take_ram(struct command_line *line, const char *value,
                     GError **error)
{
    static const struct choice kinds[] = {{"anon", GUEST_MEMORY_ANON},
                                          {"memfd", GUEST_MEMORY_MEMFD},
                                          {"hugetlb", GUEST_MEMORY_HUGETLB},
                                          {NULL, 0}};
    int kind;

    if (line->ram_file)
        return fail(error, "with --ram-file the file is the memory");
    if (!parse_choice(value, kinds, "the memory", &kind, error))
        return false;
    line->ram_kind = (enum guest_memory_kind)kind;
    return true;
}

static bool take_text(char **member, const char *value)
{
    g_free(*member);
    *member = g_strdup(value);
    return true;
}

static bool take_ram_file(struct command_line *line, const char *value,
                          GError **error)
{
    if (value[0] == '\0')
        return fail(error, "a path is missing");
    if (line->ram_kind != GUEST_MEMORY_MEMFD)
        return fail(error, "the memory cannot be a file and what --ram says");
    return take_text(&line->ram_file, value);
}

static bool take_ram_id(struct command_line *line, const char *value,
                        GError **error)
{
    size_t length_bytes = strlen(value);

    if (length_bytes == 0 || length_bytes > MAX_BLOCK_NAME_BYTES)
        return fail(error, "a block's name has 1 to %d bytes, not %zu",
                    MAX_BLOCK_NAME_BYTES, length_bytes);
    return take_text(&line->ram_id, value);
}

static bool take_workload(struct command_line *line, const char *value,
                          GError **error)
{
    line->has_workload = true;
    workload_config_init(&line->workload, DEFAULT_MEMORY_BYTES);
    return parse_workload(value, &line->workload, error);
}

static bool take_opaque(struct command_line *line, const char *value,
                        GError **error)
{
    struct opaque_section *section = g_new0(struct opaque_section, 1);

    if (!parse_list(value, &section->name, take_opaque_pair, section, error)) {
        free_opaque(section);
        return false;
    }
    if (section->name[0] == '\0' ||
        strlen(section->name) > MAX_BLOCK_NAME_BYTES) {
        fail(error, "a section's name has 1 to %d bytes", MAX_BLOCK_NAME_BYTES);
        free_opaque(section);
        return false;
    }
    g_ptr_array_add(line->opaque, section);
    return true;
}

static bool take_serial(struct command_line *line, const char *value,
                        GError **error)
{
    if (value[0] == '\0')
        return fail(error, "a path, stdio or none is missing");
    return take_text(&line->serial, value);
}

static bool take_qmp(struct command_line *line, const char *value,
                     GError **error)
{
    struct sockaddr_un address;

    if (!g_str_has_prefix(value, "unix:") || value[5] == '\0')
        return fail(error, "'%s' is not of the form unix:PATH", value);
    if (strlen(value + 5) >= sizeof address.sun_path)
        return fail(error,
                    "the path of a socket has at most %zu bytes, not %zu",
                    sizeof address.sun_path - 1, strlen(value + 5));
    return take_text(&line->qmp_path, value + 5);
}

static bool check_address(const char *value, GError **error)
{
    static const char *const schemes[] = {
        "tcp:", "unix:", "fd:", "file:", "exec:"};
    unsigned int i;

    for (i = 0; i < G_N_ELEMENTS(schemes); i++)
        if (g_str_has_prefix(value, schemes[i]) &&
            value[strlen(schemes[i])] != '\0')
            return true;
    return fail(error,
                "'%s' is none of tcp:HOST:PORT, unix:PATH, fd:N, file:PATH, "
                "exec:COMMAND",
                value);
}

static bool take_incoming(struct command_line *line, const char *value,
                          GError **error)
{
    if (strcmp(value, "defer") != 0 && !check_address(value, error))
        return false;
    return take_text(&line->incoming, value);
}

static bool take_paused(struct command_line *line, const char *value,
                        GError **error)
{
    line->paused = true;
    return true;
}

static bool take_uuid(struct command_line *line, const char *value,
                      GError **error)
{
    if (!g_uuid_string_is_valid(value))
        return fail(error,
                    "'%s' is not of the form "
                    "550e8400-e29b-41d4-a716-446655440000",
                    value);
    return take_text(&line->uuid, value);
}

/* "after" is ours and comes last; commas before it belong to the address. */
static bool take_migrate(struct command_line *line, const char *value,
                         GError **error)
{
    static const char separator[] = ",after=";
    const char *after = g_strrstr(value, separator);
    uint64_t number = 0;
    char *address;
    bool good;

    if (after &&
        !parse_number(after + strlen(separator), MAX_DELAY_MS, &number))
        return fail(error, "after=%s is not a time in ms of at most one day",
                    after + strlen(separator));
    address =
        after ? g_strndup(value, (gsize)(after - value)) : g_strdup(value);
    good = check_address(address, error) && take_text(&line->migrate, address);
    if (good)
        line->migrate_after_ms = (uint32_t)number;
    g_free(address);
    return good;
}

static bool take_set(struct command_line *line, const char *value,
                     GError **error)
{
    const char *equals = strchr(value, '=');
    char *joined;

    if (!equals || equals == value)
        return fail(error, "'%s' is not of the form OPTION=VALUE", value);
    joined = line->settings ? g_strconcat(line->settings, ",", value, NULL)
                            : g_strdup(value);
    g_free(line->settings);
    line->settings = joined;
    return true;
}

static bool take_progress(struct command_line *line, const char *value,
                          GError **error)
{
    line->progress = true;
    return true;
}

/* clang-format off */
static const struct option_row rows[] = {
    {"machine", "kvm|soft|none",
     "kvm: vCPUs of the kernel; soft: threads on plain memory;\n"
     "none: what QEMU's -M none has (default: kvm if it works, else soft)",
     take_machine},
    {"memory", "SIZE",
     "guest memory, such as 256M or 2G (default: as long as the file of\n"
     "--ram-file, else 256M)",
     take_memory},
    {"vcpus", "N", "number of vCPUs or workers (default: 1)", take_vcpus},
    {"ram", "anon|memfd|hugetlb",
     "what the memory is made of (default: memfd)",
     take_ram},
    {"ram-file", "PATH",
     "the memory is this file; what it contains is kept",
     take_ram_file},
    {"ram-id", "NAME", "name of the memory block (default: ram)", take_ram_id},
    {"workload", "NAME[,KEY=VALUE]...",
     "what the guest does: idle, sweep, random or zipf, with\n"
     "rate=BYTES/s span=SIZE write=PERCENT fill=random|zero|text\n"
     "zero=PERCENT seed=N; a guest that arrives brings its own\n"
     "(default: sweep,rate=16M; none: no work at all)",
     take_workload},
    {"opaque", "NAME[,instance=I][,version=V][,bytes=N]",
     "machine none: a device section to take, to keep and to send",
     take_opaque},
    {"serial", "FILE|stdio|none",
     "where the serial port writes to (default: stdio)",
     take_serial},
    {"qmp", "unix:PATH", "answer QMP commands on this socket", take_qmp},
    {"incoming", "ADDRESS|defer",
     "wait for a guest there, or until migrate-incoming says where",
     take_incoming},
    {"paused", NULL, "do not start the guest until told to", take_paused},
    {"uuid", "UUID", "of the virtual machine", take_uuid},
    {"migrate", "ADDRESS[,after=MS]",
     "migrate there by itself, and exit when that is done",
     take_migrate},
    {"set", "OPTION=VALUE", "any migration option; --set help lists them",
     take_set},
    {"progress", NULL, "show on stderr how a migration goes", take_progress},
    {"help", NULL, "show this and exit", NULL},
    {"version", NULL, "show the version and exit", NULL},
};
/* clang-format on */

static void print_help(void)
{
    unsigned int i;

    printf("Usage: minivmm [OPTION]...\n"
           "Runs a small virtual machine that can be migrated live.\n\n");
    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        char **lines = g_strsplit(rows[i].help, "\n", -1);
        char *help = g_strjoinv("\n        ", lines);

        printf("  --%s%s%s\n        %s\n", rows[i].name,
               rows[i].argument ? " " : "",
               rows[i].argument ? rows[i].argument : "", help);
        g_free(help);
        g_strfreev(lines);
    }
    printf("\nADDRESS: tcp:HOST:PORT, unix:PATH, fd:N, file:PATH[,offset=N] or "
           "exec:COMMAND\n"
           "Exit status: 0 all is well, 1 something failed, 2 wrong command "
           "line,\n3 the guest found wrong memory.\n");
}

static void print_settings(void)
{
    struct vmmig_option_info info = {.struct_size = sizeof info};
    uint32_t i;

    for (i = 0; vmmig_option_describe(i, &info); i++)
        printf("  %s=%s%s%s\n        %s\n", info.name, info.initially,
               info.unit[0] ? " " : "", info.unit, info.help);
}

static void print_version(void)
{
    uint32_t version = vmmig_version();

    printf("minivmm, with libvmmigrate %u.%u.%u\n", version >> 16,
           version >> 8 & 0xff, version & 0xff);
}

/* What no option can judge by itself. */
static bool check(struct command_line *line, GError **error)
{
    const char *wrong;
    uint64_t file_bytes;

    if (line->ram_file) {
        line->ram_kind = GUEST_MEMORY_FILE;
        if (line->memory_bytes == 0 &&
            guest_memory_find_file(line->ram_file, &file_bytes)) {
            if (file_bytes == 0 || file_bytes % WORKLOAD_PAGE_BYTES != 0 ||
                file_bytes > MAX_MEMORY_BYTES)
                return fail(error,
                            "--ram-file: %s has %" G_GUINT64_FORMAT " bytes, "
                            "which is not a multiple of %d",
                            line->ram_file, file_bytes, WORKLOAD_PAGE_BYTES);
            line->memory_bytes = file_bytes;
        }
    }
    if (line->memory_bytes == 0)
        line->memory_bytes = DEFAULT_MEMORY_BYTES;
    if (line->ram_kind == GUEST_MEMORY_HUGETLB &&
        line->memory_bytes % HUGE_PAGE_BYTES != 0)
        return fail(error,
                    "--ram: memory of huge pages is a multiple of 2 MiB, which "
                    "%" G_GUINT64_FORMAT " bytes are not",
                    line->memory_bytes);
    if (line->incoming && line->migrate)
        return fail(error, "--migrate: there is no guest yet with --incoming");
    if (line->migrate && line->paused && !line->qmp_path)
        return fail(error, "--paused: without --qmp the guest would never run");
    if (line->opaque->len > 0 && line->machine != MACHINE_NONE)
        return fail(error, "--opaque: only --machine none has such sections");

    line->workload.ram_bytes = line->memory_bytes;
    line->workload.worker_count = line->vcpu_count;
    wrong = workload_config_check(&line->workload);
    if (wrong)
        return fail(error, "--workload: %s", wrong);
    return true;
}

static void set_defaults(struct command_line *line)
{
    *line =
        (struct command_line){.vcpu_count = 1, .ram_kind = GUEST_MEMORY_MEMFD};
    line->ram_id = g_strdup("ram");
    line->serial = g_strdup("stdio");
    line->opaque = g_ptr_array_new_with_free_func(free_opaque);
    workload_config_init(&line->workload, DEFAULT_MEMORY_BYTES);
    line->workload.kind = WORKLOAD_SWEEP;
    line->workload.rate_bytes_per_s = UINT64_C(16) << 20;
}

/* getopt prints where we want one sentence; this is that sentence. */
static bool complain(char **argv, int result, GError **error)
{
    const char *argument = argv[optind - 1];

    if (result == ':')
        return fail(error, "%s needs an argument; see --help", argument);
    return fail(error, "%s is not an option, or takes no argument; see --help",
                argument);
}

enum command_line_result command_line_parse(struct command_line *line, int argc,
                                            char **argv, GError **error)
{
    struct option options[G_N_ELEMENTS(rows) + 1] = {{NULL, 0, NULL, 0}};
    int result, index = 0;
    unsigned int i;

    set_defaults(line);
    for (i = 0; i < G_N_ELEMENTS(rows); i++)
        options[i] = (struct option){
            .name = rows[i].name,
            .has_arg = rows[i].argument ? required_argument : no_argument};
    optind = 0;
    while ((result = getopt_long(argc, argv, "+:", options, &index)) != -1) {
        const struct option_row *row = &rows[index];
        GError *why = NULL;

        if (result != 0) {
            complain(argv, result, error);
            return COMMAND_LINE_WRONG;
        }
        if (strcmp(row->name, "help") == 0) {
            print_help();
            return COMMAND_LINE_SHOWN;
        }
        if (strcmp(row->name, "version") == 0) {
            print_version();
            return COMMAND_LINE_SHOWN;
        }
        if (strcmp(row->name, "set") == 0 && strcmp(optarg, "help") == 0) {
            print_settings();
            return COMMAND_LINE_SHOWN;
        }
        if (!row->take(line, optarg, &why)) {
            fail(error, "--%s: %s", row->name, why->message);
            g_error_free(why);
            return COMMAND_LINE_WRONG;
        }
    }
    if (optind < argc) {
        fail(error, "'%s' is not an option; see --help", argv[optind]);
        return COMMAND_LINE_WRONG;
    }
    return check(line, error) ? COMMAND_LINE_RUN : COMMAND_LINE_WRONG;
}

void command_line_clear(struct command_line *line)
{
    g_free(line->ram_file);
    g_free(line->ram_id);
    g_ptr_array_unref(line->opaque);
    g_free(line->serial);
    g_free(line->qmp_path);
    g_free(line->incoming);
    g_free(line->uuid);
    g_free(line->migrate);
    g_free(line->settings);
}
