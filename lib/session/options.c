/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session/options.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum fixed { ANYTIME, FROM_START };

struct row {
    const char *name;
    uint32_t type;
    uint64_t minimum, maximum;
    const char *unit;
    const char *choices; /* of a text, separated by '|' */
    uint64_t number;     /* default of a truth value or a number */
    const char *text;    /* default of a text */
    enum fixed fixed;
    const char *help;
};

static const struct row rows[] = {
#define BOOL(identifier, name, initially, fixed, help)                         \
    {name, VMMIG_OPTION_BOOL, 0, 0, "", NULL, initially, NULL, fixed, help},
#define UINT(identifier, name, minimum, maximum, unit, initially, fixed, help) \
    {name, VMMIG_OPTION_UINT, minimum, maximum, unit, NULL,                    \
     initially, NULL, fixed, help},
#define TEXT(identifier, name, choices, initially, fixed, help)                \
    {name, VMMIG_OPTION_STRING, 0, 0, "", choices, 0, initially, fixed,        \
     help ": " choices},
#include "session/options.def"
#undef BOOL
#undef UINT
#undef TEXT
};

/* What `peer` presets: one row per older peer that needs something else than
 * our defaults. docs/wire-format.md, chapter 6, has the reasons. */
enum ack { ACK_NONE, ACK_LEGACY, ACK_MODERN };

static const struct preset {
    const char *peer;
    bool send_switchover_start;
    enum ack ack;
} presets[] = {
    {"auto", false, ACK_MODERN},      {"qemu-7.2", false, ACK_NONE},
    {"qemu-8.0", false, ACK_NONE},    {"qemu-8.1", false, ACK_LEGACY},
    {"qemu-9", false, ACK_LEGACY},    {"qemu-10", true, ACK_LEGACY},
    {"qemu-11", true, ACK_MODERN},
};

struct value {
    uint64_t number;
    char *text;
    bool by_name; /* set by its name, so no preset applies */
};

struct vmmig_options {
    struct vmmig__mutex lock;
    struct value values[VMMIG__OPTION_COUNT]; /* lock: lock */
    bool fixed;                               /* lock: lock */
};

static struct vmmig_options *options_new(void)
{
    struct vmmig_options *options = g_new0(struct vmmig_options, 1);

    vmmig__mutex_init(&options->lock, VMMIG__RANK_OPTIONS, "options");
    return options;
}

struct vmmig_options *vmmig__options_new(void)
{
    struct vmmig_options *options = options_new();

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        options->values[i].number = rows[i].number;
        options->values[i].text = g_strdup(rows[i].text);
    }
    return options;
}

static void copy_values(struct value *to, const struct value *from)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        to[i] = from[i];
        to[i].text = g_strdup(from[i].text);
    }
}

static void clear_values(struct value *values)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        g_free(values[i].text);
}

struct vmmig_options *vmmig__options_copy(struct vmmig_options *options)
{
    struct vmmig_options *copy = options_new();

    vmmig__mutex_lock(&options->lock);
    copy_values(copy->values, options->values);
    vmmig__mutex_unlock(&options->lock);
    return copy;
}

void vmmig__options_free(struct vmmig_options *options)
{
    if (!options)
        return;
    clear_values(options->values);
    vmmig__mutex_destroy(&options->lock);
    g_free(options);
}

/* The preset in force. */
static const struct preset *preset_of(const struct value *values)
{
    for (size_t i = 0; i < G_N_ELEMENTS(presets); i++) {
        if (strcmp(presets[i].peer, values[VMMIG__OPTION_PEER].text) == 0)
            return &presets[i];
    }
    return &presets[0];
}

static uint64_t number_now(const struct value *values, size_t option)
{
    if (!values[option].by_name) {
        const struct preset *preset = preset_of(values);

        if (option == VMMIG__OPTION_SEND_SWITCHOVER_START)
            return preset->send_switchover_start;
        if (option == VMMIG__OPTION_SWITCHOVER_ACK_LEGACY)
            return preset->ack == ACK_LEGACY;
    }
    return values[option].number;
}

/* Whether all values make sense together. */
static bool check_combination(const struct value *values, vmmig_error **error)
{
    const char *peer = values[VMMIG__OPTION_PEER].text;

    if (!number_now(values, VMMIG__OPTION_SWITCHOVER_ACK))
        return true;
    if (!number_now(values, VMMIG__OPTION_RETURN_PATH))
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "switchover-ack needs return-path");
    if (preset_of(values)->ack == ACK_NONE)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "switchover-ack does not work with peer=%s, which "
                           "does not know it",
                           peer);
    return true;
}

static uint64_t get_number(struct vmmig_options *options, size_t option)
{
    uint64_t number;

    vmmig__mutex_lock(&options->lock);
    number = number_now(options->values, option);
    vmmig__mutex_unlock(&options->lock);
    return number;
}

bool vmmig__options_get_bool(struct vmmig_options *options,
                             enum vmmig__option option)
{
    return get_number(options, option) != 0;
}

uint64_t vmmig__options_get_uint(struct vmmig_options *options,
                                 enum vmmig__option option)
{
    return get_number(options, option);
}

bool vmmig__options_text_is(struct vmmig_options *options,
                            enum vmmig__option option, const char *text)
{
    bool equal;

    vmmig__mutex_lock(&options->lock);
    equal = strcmp(options->values[option].text, text) == 0;
    vmmig__mutex_unlock(&options->lock);
    return equal;
}

bool vmmig__options_is_set_by_name(struct vmmig_options *options,
                                   enum vmmig__option option)
{
    bool by_name;

    vmmig__mutex_lock(&options->lock);
    by_name = options->values[option].by_name;
    vmmig__mutex_unlock(&options->lock);
    return by_name;
}

bool vmmig__options_check(struct vmmig_options *options, vmmig_error **error)
{
    bool ok;

    vmmig__mutex_lock(&options->lock);
    ok = check_combination(options->values, error);
    vmmig__mutex_unlock(&options->lock);
    return ok;
}

void vmmig__options_fix(struct vmmig_options *options)
{
    vmmig__mutex_lock(&options->lock);
    options->fixed = true;
    vmmig__mutex_unlock(&options->lock);
}

static bool find_row(const char *name, size_t *ret_index, vmmig_error **error)
{
    for (size_t i = 0; name && i < G_N_ELEMENTS(rows); i++) {
        if (strcmp(rows[i].name, name) == 0) {
            *ret_index = i;
            return true;
        }
    }
    return vmmig__fail(error, VMMIG_ERROR_INVALID, "there is no option \"%s\"",
                       name ? name : "");
}

static bool check_type(const struct row *row, uint32_t type,
                       vmmig_error **error)
{
    static const char *const names[] = {
        [VMMIG_OPTION_BOOL] = "on or off",
        [VMMIG_OPTION_UINT] = "a number",
        [VMMIG_OPTION_STRING] = "a text",
    };

    return row->type == type ||
           vmmig__fail(error, VMMIG_ERROR_INVALID, "%s is %s, not %s",
                       row->name, names[row->type], names[type]);
}

static bool check_number(const struct row *row, uint64_t number,
                         vmmig_error **error)
{
    if (row->type == VMMIG_OPTION_BOOL ||
        (number >= row->minimum && number <= row->maximum))
        return true;
    return vmmig__fail(error, VMMIG_ERROR_INVALID,
                       "%s: %" PRIu64 " is not from %" PRIu64 " to %" PRIu64
                       " %s",
                       row->name, number, row->minimum, row->maximum,
                       row->unit);
}

static bool check_choice(const struct row *row, const char *text,
                         vmmig_error **error)
{
    char **choices = g_strsplit(row->choices, "|", -1);
    bool found = text && g_strv_contains((const char *const *)choices, text);

    g_strfreev(choices);
    return found || vmmig__fail(error, VMMIG_ERROR_INVALID,
                                "%s: \"%s\" is none of %s", row->name,
                                text ? text : "", row->choices);
}

/* Puts a checked value into @values, unless the option is fixed. */
static bool put(struct vmmig_options *options, struct value *values,
                size_t option, uint64_t number, const char *text,
                vmmig_error **error) VMMIG_REQUIRES(options->lock)
{
    const struct row *row = &rows[option];

    if (options->fixed && row->fixed == FROM_START)
        return vmmig__fail(error, VMMIG_ERROR_BLOCKED,
                           "%s cannot be changed: it is fixed since the "
                           "migration began (setup)",
                           row->name);
    values[option].number = number;
    g_free(values[option].text);
    values[option].text = g_strdup(text);
    values[option].by_name = true;
    return true;
}

/* One value, which must also make sense with the others. */
static bool set(struct vmmig_options *options, size_t option, uint64_t number,
                const char *text, vmmig_error **error)
{
    struct value changed[VMMIG__OPTION_COUNT];
    bool ok;

    vmmig__mutex_lock(&options->lock);
    copy_values(changed, options->values);
    ok = put(options, changed, option, number, text, error) &&
         check_combination(changed, error);
    if (ok) {
        clear_values(options->values);
        memcpy(options->values, changed, sizeof changed);
    } else {
        clear_values(changed);
    }
    vmmig__mutex_unlock(&options->lock);
    return ok;
}

bool vmmig_options_set_bool(struct vmmig_options *options, const char *name,
                            bool value, vmmig_error **error)
{
    size_t option;

    return find_row(name, &option, error) &&
           check_type(&rows[option], VMMIG_OPTION_BOOL, error) &&
           set(options, option, value, NULL, error);
}

bool vmmig_options_set_uint(struct vmmig_options *options, const char *name,
                            uint64_t value, vmmig_error **error)
{
    size_t option;

    return find_row(name, &option, error) &&
           check_type(&rows[option], VMMIG_OPTION_UINT, error) &&
           check_number(&rows[option], value, error) &&
           set(options, option, value, NULL, error);
}

bool vmmig_options_set_string(struct vmmig_options *options, const char *name,
                              const char *value, vmmig_error **error)
{
    size_t option;

    return find_row(name, &option, error) &&
           check_type(&rows[option], VMMIG_OPTION_STRING, error) &&
           check_choice(&rows[option], value, error) &&
           set(options, option, 0, value, error);
}

static bool parse_bool(const struct row *row, const char *text,
                       uint64_t *ret_number, vmmig_error **error)
{
    if (strcmp(text, "on") == 0)
        *ret_number = true;
    else if (strcmp(text, "off") == 0)
        *ret_number = false;
    else
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "%s: \"%s\" is neither on nor off", row->name, text);
    return true;
}

/* Digits, decimal or hexadecimal, and at most one of K, M, G, T. */
static bool parse_uint(const struct row *row, const char *text,
                       uint64_t *ret_number, vmmig_error **error)
{
    static const char units[] = "KMGT";
    bool hexadecimal = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    const char *digits = hexadecimal ? text + 2 : text;
    const char *unit;
    char *end = NULL;
    uint64_t number = 0;
    unsigned shift = 0;
    bool ok;

    /* strtoull would take spaces and signs. */
    ok = hexadecimal ? g_ascii_isxdigit(*digits) : g_ascii_isdigit(*digits);
    if (ok) {
        errno = 0;
        number = g_ascii_strtoull(digits, &end, hexadecimal ? 16 : 10);
        ok = errno == 0;
    }
    if (ok && *end != '\0') {
        unit = strchr(units, g_ascii_toupper(*end));
        ok = unit && end[1] == '\0';
        shift = ok ? 10 * (unsigned)(unit - units + 1) : 0;
    }
    if (!ok)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "%s: \"%s\" is not a number", row->name, text);
    if (number > UINT64_MAX >> shift)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "%s: \"%s\" is too large", row->name, text);
    number <<= shift;
    if (!check_number(row, number, error))
        return false;
    *ret_number = number;
    return true;
}

/* "name=value", with double commas already single. */
static bool parse_one(struct vmmig_options *options, struct value *values,
                      char *text, vmmig_error **error)
    VMMIG_REQUIRES(options->lock)
{
    char *value = strchr(text, '=');
    uint64_t number = 0;
    const char *string = NULL;
    const struct row *row;
    size_t option;
    bool ok;

    if (!value)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "\"%s\" is not of the form name=value", text);
    *value++ = '\0';
    if (!find_row(text, &option, error))
        return false;
    row = &rows[option];
    switch (row->type) {
    case VMMIG_OPTION_BOOL:
        ok = parse_bool(row, value, &number, error);
        break;
    case VMMIG_OPTION_UINT:
        ok = parse_uint(row, value, &number, error);
        break;
    default:
        string = value;
        ok = check_choice(row, value, error);
    }
    return ok && put(options, values, option, number, string, error);
}

/* The text up to the next single comma; *ret_rest is what follows, or NULL. */
static char *take_item(const char *text, const char **ret_rest)
{
    GString *item = g_string_new(NULL);

    for (; *text; text++) {
        if (*text == ',' && *++text != ',') {
            *ret_rest = text;
            return g_string_free(item, FALSE);
        }
        g_string_append_c(item, *text);
    }
    *ret_rest = NULL;
    return g_string_free(item, FALSE);
}

bool vmmig_options_parse(struct vmmig_options *options, const char *text,
                         vmmig_error **error)
{
    struct value changed[VMMIG__OPTION_COUNT];
    const char *rest = text && *text ? text : NULL;
    bool ok = true;

    vmmig__mutex_lock(&options->lock);
    copy_values(changed, options->values);
    while (ok && rest) {
        char *item = take_item(rest, &rest);

        ok = parse_one(options, changed, item, error);
        g_free(item);
    }
    ok = ok && check_combination(changed, error);
    if (ok) {
        clear_values(options->values);
        memcpy(options->values, changed, sizeof changed);
    } else {
        clear_values(changed);
    }
    vmmig__mutex_unlock(&options->lock);
    return ok;
}

static char *text_of(size_t option, uint64_t number, const char *text)
{
    switch (rows[option].type) {
    case VMMIG_OPTION_BOOL:
        return g_strdup(number ? "on" : "off");
    case VMMIG_OPTION_UINT:
        return g_strdup_printf("%" PRIu64, number);
    default:
        return g_strdup(text);
    }
}

static char *text_now(const struct value *values, size_t option)
{
    return text_of(option, number_now(values, option), values[option].text);
}

char *vmmig_options_get_text(struct vmmig_options *options, const char *name,
                             vmmig_error **error)
{
    GString *all;
    size_t option = 0;
    char *text;

    if (name && !find_row(name, &option, error))
        return NULL;
    vmmig__mutex_lock(&options->lock);
    if (name) {
        text = text_now(options->values, option);
    } else {
        all = g_string_new(NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
            text = text_now(options->values, i);
            g_string_append_printf(all, "%s%s=%s", i > 0 ? "," : "",
                                   rows[i].name, text);
            g_free(text);
        }
        text = g_string_free(all, FALSE);
    }
    vmmig__mutex_unlock(&options->lock);
    return text;
}

/* The defaults as text, which live as long as the program. */
static char *default_texts[G_N_ELEMENTS(rows)];
static pthread_once_t default_texts_once = PTHREAD_ONCE_INIT;

static void make_default_texts(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        default_texts[i] = text_of(i, rows[i].number, rows[i].text);
}

bool vmmig_option_describe(uint32_t index, struct vmmig_option_info *ret_info)
{
    uint32_t size = ret_info->struct_size;
    const struct row *row;
    struct vmmig_option_info info;

    if (index >= G_N_ELEMENTS(rows))
        return false;
    row = &rows[index];
    pthread_once(&default_texts_once, make_default_texts);
    info = (struct vmmig_option_info){
        .struct_size = size,
        .type = row->type,
        .minimum = row->minimum,
        .maximum = row->maximum,
        .name = row->name,
        .unit = row->unit,
        .initially = default_texts[index],
        .fixed_from = row->fixed == FROM_START ? "setup" : "",
        .help = row->help,
    };
    memset(ret_info, 0, size);
    memcpy(ret_info, &info, MIN(size, sizeof info));
    return true;
}
