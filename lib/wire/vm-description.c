/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The VM description: a JSON text that grows while device sections are written.
 * One thread. It keeps nothing but the text.
 */
#include "wire/vm-description.h"

#include <inttypes.h>
#include <string.h>

struct vmmig__vm_description {
    GString *text; /* without what closes the list of devices and the whole */

    /* Of each layout that was begun and not ended, outermost first: whether
     * its fields are over and its list of subsections is open. */
    bool in_subsections[VMMIG__MAX_LAYOUT_DEPTH];
    uint32_t depth;
};

/* -- JSON, spaced as QEMU spaces it */

static void put_string(GString *text, const char *string)
{
    char *valid = g_utf8_make_valid(string, -1);

    g_string_append_c(text, '"');
    for (const char *at = valid; *at; at++) {
        if (*at == '"' || *at == '\\')
            g_string_append_printf(text, "\\%c", *at);
        else if (g_ascii_iscntrl(*at))
            g_string_append_printf(text, "\\u%04x", (unsigned char)*at);
        else
            g_string_append_c(text, *at);
    }
    g_string_append_c(text, '"');
    g_free(valid);
}

/* The comma before the next member, unless it is the first of its kind. A
 * string ends in a quotation mark, so a last bracket is always one that opens
 * something. */
static void next(GString *text)
{
    char last = text->str[text->len - 1];

    if (last != '{' && last != '[')
        g_string_append(text, ", ");
}

static void key(GString *text, const char *name)
{
    next(text);
    put_string(text, name);
    g_string_append(text, ": ");
}

static void put_text(GString *text, const char *name, const char *value)
{
    key(text, name);
    put_string(text, value);
}

static void put_number(GString *text, const char *name, uint64_t value)
{
    key(text, name);
    g_string_append_printf(text, "%" PRIu64, value);
}

static void begin_object(GString *text)
{
    next(text);
    g_string_append_c(text, '{');
}

static void begin_list(GString *text, const char *name)
{
    key(text, name);
    g_string_append_c(text, '[');
}

/* -- layouts inside it: name, version, fields, subsections */

static void begin_layout(struct vmmig__vm_description *description,
                         const char *name, uint32_t version)
{
    g_return_if_fail(description->depth < VMMIG__MAX_LAYOUT_DEPTH);
    description->in_subsections[description->depth++] = false;
    put_text(description->text, "vmsd_name", name);
    put_number(description->text, "version", version);
    begin_list(description->text, "fields");
}

static void end_layout(struct vmmig__vm_description *description)
{
    g_return_if_fail(description->depth > 0);
    description->depth--;
    g_string_append_c(description->text, ']');
}

void vmmig__vm_description_add_field(struct vmmig__vm_description *description,
                                     const char *name, const char *type,
                                     uint64_t array_length, uint64_t size_bytes)
{
    GString *text = description->text;

    begin_object(text);
    put_text(text, "name", name);
    if (array_length > 0)
        put_number(text, "array_len", array_length);
    put_text(text, "type", type);
    put_number(text, "size", size_bytes);
    g_string_append_c(text, '}');
}

void vmmig__vm_description_begin_struct(
    struct vmmig__vm_description *description, const char *name,
    const char *layout_name, uint32_t version)
{
    GString *text = description->text;

    begin_object(text);
    put_text(text, "name", name);
    put_text(text, "type", "struct");
    key(text, "struct");
    g_string_append_c(text, '{');
    begin_layout(description, layout_name, version);
}

void vmmig__vm_description_end_struct(struct vmmig__vm_description *description,
                                      uint64_t size_bytes)
{
    end_layout(description);
    g_string_append_c(description->text, '}');
    put_number(description->text, "size", size_bytes);
    g_string_append_c(description->text, '}');
}

void vmmig__vm_description_begin_subsection(
    struct vmmig__vm_description *description, const char *name,
    uint32_t version)
{
    g_return_if_fail(description->depth > 0);
    if (!description->in_subsections[description->depth - 1]) {
        description->in_subsections[description->depth - 1] = true;
        g_string_append_c(description->text, ']');
        begin_list(description->text, "subsections");
    }
    begin_object(description->text);
    begin_layout(description, name, version);
}

void vmmig__vm_description_end_subsection(
    struct vmmig__vm_description *description)
{
    end_layout(description);
    g_string_append_c(description->text, '}');
}

/* -- devices */

static void begin_device(struct vmmig__vm_description *description,
                         const char *name, uint32_t instance_id)
{
    begin_object(description->text);
    put_text(description->text, "name", name);
    put_number(description->text, "instance_id", instance_id);
}

void vmmig__vm_description_add_opaque(struct vmmig__vm_description *description,
                                      const char *name, uint32_t instance_id,
                                      uint64_t length_bytes)
{
    GString *text = description->text;

    begin_device(description, name, instance_id);
    put_number(text, "size", length_bytes);
    begin_list(text, "fields");
    vmmig__vm_description_add_field(description, "data", "buffer", 0,
                                    length_bytes);
    g_string_append(text, "]}");
}

void vmmig__vm_description_begin_device(
    struct vmmig__vm_description *description, const char *name,
    const char *layout_name, uint32_t instance_id, uint32_t version)
{
    begin_device(description, name, instance_id);
    begin_layout(description, layout_name, version);
}

void vmmig__vm_description_end_device(struct vmmig__vm_description *description)
{
    end_layout(description);
    g_string_append_c(description->text, '}');
}

/* -- the whole */

/* What configuration.c writes, described. */
static void describe_configuration(struct vmmig__vm_description *description,
                                   const struct vmmig__configuration *sent)
{
    key(description->text, "configuration");
    g_string_append_c(description->text, '{');
    begin_layout(description, "configuration", 1);
    vmmig__vm_description_add_field(description, "len", "uint32", 0, 4);
    vmmig__vm_description_add_field(description, "name", "buffer", 0,
                                    strlen(sent->machine_name));
    if (sent->page_bits && sent->page_bits != VMMIG__LEGACY_PAGE_BITS) {
        vmmig__vm_description_begin_subsection(
            description, VMMIG__CONFIGURATION_PAGE_BITS, 1);
        vmmig__vm_description_add_field(description, "target_page_bits",
                                        "uint32", 0, 4);
        vmmig__vm_description_end_subsection(description);
    }
    if (sent->ignore_shared) {
        vmmig__vm_description_begin_subsection(
            description, VMMIG__CONFIGURATION_CAPABILITIES, 1);
        vmmig__vm_description_add_field(description, "caps_count", "uint32", 0,
                                        4);
        vmmig__vm_description_add_field(
            description, "capabilities", "capability", 0,
            1 + strlen(VMMIG__CAPABILITY_IGNORE_SHARED));
        vmmig__vm_description_end_subsection(description);
    }
    if (sent->has_uuid) {
        vmmig__vm_description_begin_subsection(description,
                                               VMMIG__CONFIGURATION_UUID, 1);
        vmmig__vm_description_add_field(description, "uuid.data", "uint8",
                                        VMMIG__UUID_BYTES, 1);
        vmmig__vm_description_end_subsection(description);
    }
    end_layout(description);
    g_string_append_c(description->text, '}');
}

struct vmmig__vm_description *
vmmig__vm_description_new(const struct vmmig__configuration *configuration,
                          uint32_t page_bytes)
{
    struct vmmig__vm_description *description =
        g_new0(struct vmmig__vm_description, 1);

    description->text = g_string_new("{");
    if (configuration)
        describe_configuration(description, configuration);
    put_number(description->text, "page_size", page_bytes);
    begin_list(description->text, "devices");
    return description;
}

void vmmig__vm_description_free(struct vmmig__vm_description *description)
{
    if (!description)
        return;
    g_string_free(description->text, TRUE);
    g_free(description);
}

char *
vmmig__vm_description_get_text(const struct vmmig__vm_description *description)
{
    return g_strconcat(description->text->str, "]}", NULL);
}

/* Tools look for the text at the end of a file, at the first brace behind the
 * last zero byte. Whether they would find one in the length instead. */
static bool has_brace(uint32_t length)
{
    for (; (length & 0xff) != 0; length >>= 8)
        if ((length & 0xff) == '{')
            return true;
    return false;
}

void vmmig__put_vm_description(struct vmmig_writer *writer,
                               const struct vmmig__vm_description *description)
{
    char *json = description ? vmmig__vm_description_get_text(description)
                             : g_strdup("");
    GString *text = g_string_new(json);

    g_free(json);
    /* Nobody needs it to load the guest: too long a text is left out. */
    if (text->len > VMMIG__MAX_DESCRIPTION_BYTES)
        g_string_truncate(text, 0);
    while (has_brace((uint32_t)text->len))
        g_string_append_c(text, ' ');
    vmmig_writer_put_u8(writer, VMMIG__RECORD_DESCRIPTION);
    vmmig_writer_put_u32(writer, (uint32_t)text->len);
    vmmig_writer_put_bytes(writer, text->str, text->len);
    g_string_free(text, TRUE);
}

bool vmmig__skip_vm_description(struct vmmig_reader *reader, bool *ret_present,
                                vmmig_error **error)
{
    uint32_t length;
    uint8_t type;
    bool at_end;

    if (!vmmig__reader_peek(reader, &type, &at_end, error))
        return false;
    if (at_end || type != VMMIG__RECORD_DESCRIPTION) {
        *ret_present = false;
        return true;
    }
    if (!vmmig_reader_get_u8(reader, &type, error) ||
        !vmmig__reader_get_length(reader, VMMIG__MAX_DESCRIPTION_BYTES,
                                  "length of the VM description", &length,
                                  error) ||
        !vmmig__reader_skip(reader, length, error))
        return false;
    *ret_present = true;
    return true;
}
