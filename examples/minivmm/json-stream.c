/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* JSON values out of a stream; see json-stream.h. */
#include "json-stream.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <glib.h>

#define MAX_DEPTH 64

/* What may come next. */
enum expectation {
    WANT_VALUE,
    WANT_VALUE_OR_END, /* just behind [ */
    WANT_KEY,
    WANT_KEY_OR_END, /* just behind { */
    WANT_COLON,
    WANT_COMMA_OR_END,
    IN_STRING,
    IN_ESCAPE,
    IN_HEX,
    IN_WORD, /* a number, true, false, null */
    IN_RUBBISH,
};

struct json_stream {
    size_t max_value_bytes;
    json_value_fn on_value;
    json_mistake_fn on_mistake;
    void *data;
    GString *text; /* of the value so far */
    enum expectation expectation;
    enum expectation after_string;
    char open[MAX_DEPTH]; /* the brackets that are open */
    unsigned int depth;
    size_t word_start;     /* in text */
    unsigned int hex_left; /* digits to come */
    uint32_t hex;
    bool needs_low_surrogate;
    bool at_line_start;
};

struct json_stream *json_stream_new(size_t max_value_bytes,
                                    json_value_fn on_value,
                                    json_mistake_fn on_mistake, void *data)
{
    struct json_stream *stream = g_new0(struct json_stream, 1);

    stream->max_value_bytes = max_value_bytes;
    stream->on_value = on_value;
    stream->on_mistake = on_mistake;
    stream->data = data;
    stream->text = g_string_new(NULL);
    stream->at_line_start = true;
    return stream;
}

void json_stream_free(struct json_stream *stream)
{
    if (!stream)
        return;
    g_string_free(stream->text, TRUE);
    g_free(stream);
}

static void restart(struct json_stream *stream)
{
    g_string_truncate(stream->text, 0);
    stream->expectation = WANT_VALUE;
    stream->depth = 0;
    stream->needs_low_surrogate = false;
}

static void value_ends(struct json_stream *stream)
{
    if (stream->depth > 0) {
        stream->expectation = WANT_COMMA_OR_END;
        return;
    }
    if (g_utf8_validate(stream->text->str, (gssize)stream->text->len, NULL))
        stream->on_value(stream->data, stream->text->str, stream->text->len);
    else
        stream->on_mistake(stream->data, "a string is not UTF-8");
    restart(stream);
}

static bool is_space(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static bool is_word_byte(char byte)
{
    return g_ascii_isalnum(byte) || byte == '+' || byte == '-' || byte == '.';
}

static bool is_in_string(const struct json_stream *stream)
{
    return stream->expectation == IN_STRING ||
           stream->expectation == IN_ESCAPE || stream->expectation == IN_HEX;
}

static const char *skip_digits(const char *at)
{
    while (g_ascii_isdigit(*at))
        at++;
    return at;
}

static bool is_number(const char *at)
{
    const char *digits;

    if (*at == '-')
        at++;
    digits = at;
    at = skip_digits(at);
    if (at == digits || (*digits == '0' && at > digits + 1))
        return false;
    if (*at == '.') {
        digits = at + 1;
        at = skip_digits(digits);
        if (at == digits)
            return false;
    }
    if (*at == 'e' || *at == 'E') {
        at++;
        if (*at == '+' || *at == '-')
            at++;
        digits = at;
        at = skip_digits(digits);
        if (at == digits)
            return false;
    }
    return *at == '\0';
}

static bool is_word(const char *word)
{
    return strcmp(word, "true") == 0 || strcmp(word, "false") == 0 ||
           strcmp(word, "null") == 0 || is_number(word);
}

/* Each of these takes one byte and returns NULL, or what is wrong with it. */

static const char *open_bracket(struct json_stream *stream, char byte)
{
    if (stream->depth == MAX_DEPTH)
        return "too many brackets inside each other";
    stream->open[stream->depth++] = byte;
    stream->expectation = byte == '{' ? WANT_KEY_OR_END : WANT_VALUE_OR_END;
    return NULL;
}

static const char *close_bracket(struct json_stream *stream)
{
    stream->depth--;
    value_ends(stream);
    return NULL;
}

static const char *take_value(struct json_stream *stream, char byte)
{
    if (byte == '{' || byte == '[')
        return open_bracket(stream, byte);
    if (byte == ']' && stream->expectation == WANT_VALUE_OR_END)
        return close_bracket(stream);
    if (byte == '"') {
        stream->expectation = IN_STRING;
        stream->after_string = WANT_COMMA_OR_END;
        return NULL;
    }
    if (!is_word_byte(byte))
        return "a value is expected";
    stream->expectation = IN_WORD;
    stream->word_start = stream->text->len - 1;
    return NULL;
}

static const char *take_key(struct json_stream *stream, char byte)
{
    if (byte == '}' && stream->expectation == WANT_KEY_OR_END)
        return close_bracket(stream);
    if (byte != '"')
        return "a member's name is expected";
    stream->expectation = IN_STRING;
    stream->after_string = WANT_COLON;
    return NULL;
}

static const char *take_separator(struct json_stream *stream, char byte)
{
    char open = stream->open[stream->depth - 1];

    if (byte == (open == '{' ? '}' : ']'))
        return close_bracket(stream);
    if (byte != ',')
        return "a comma or a closing bracket is expected";
    stream->expectation = open == '{' ? WANT_KEY : WANT_VALUE;
    return NULL;
}

static const char *take_in_string(struct json_stream *stream, char byte)
{
    if ((unsigned char)byte < 0x20)
        return "a string has a control character, or does not end";
    if (stream->needs_low_surrogate && byte != '\\')
        return "a string has half a surrogate pair";
    if (byte == '\\') {
        stream->expectation = IN_ESCAPE;
    } else if (byte == '"') {
        stream->expectation = stream->after_string;
        if (stream->after_string == WANT_COMMA_OR_END)
            value_ends(stream);
    }
    return NULL;
}

static const char *take_escape(struct json_stream *stream, char byte)
{
    if (byte == 'u') {
        stream->expectation = IN_HEX;
        stream->hex_left = 4;
        stream->hex = 0;
        return NULL;
    }
    if (stream->needs_low_surrogate || byte == '\0' ||
        !strchr("\"\\/bfnrt", byte))
        return "a string has an unknown escape";
    stream->expectation = IN_STRING;
    return NULL;
}

static const char *take_hex(struct json_stream *stream, char byte)
{
    bool is_high, is_low;

    if (!g_ascii_isxdigit(byte))
        return "\\u takes four hexadecimal digits";
    stream->hex = stream->hex << 4 | (uint32_t)g_ascii_xdigit_value(byte);
    if (--stream->hex_left > 0)
        return NULL;
    is_high = stream->hex >= 0xd800 && stream->hex < 0xdc00;
    is_low = stream->hex >= 0xdc00 && stream->hex < 0xe000;
    if (is_low != stream->needs_low_surrogate)
        return "a string has half a surrogate pair";
    stream->needs_low_surrogate = is_high;
    stream->expectation = IN_STRING;
    return NULL;
}

static const char *take(struct json_stream *stream, char byte)
{
    switch (stream->expectation) {
    case WANT_VALUE:
    case WANT_VALUE_OR_END:
        return take_value(stream, byte);
    case WANT_KEY:
    case WANT_KEY_OR_END:
        return take_key(stream, byte);
    case WANT_COLON:
        stream->expectation = WANT_VALUE;
        return byte == ':' ? NULL : "a colon is expected";
    case WANT_COMMA_OR_END:
        return take_separator(stream, byte);
    case IN_STRING:
        return take_in_string(stream, byte);
    case IN_ESCAPE:
        return take_escape(stream, byte);
    case IN_HEX:
        return take_hex(stream, byte);
    case IN_WORD:
    case IN_RUBBISH:
        break;
    }
    g_return_val_if_reached(NULL);
}

static void make_mistake(struct json_stream *stream, char byte, const char *why)
{
    stream->on_mistake(stream->data, why);
    restart(stream);
    if (byte == '{' && stream->at_line_start) {
        g_string_append_c(stream->text, byte);
        take(stream, byte);
    } else if (byte != '\n') {
        stream->expectation = IN_RUBBISH;
    }
}

/* A word ends before the first byte that cannot belong to it. */
static const char *end_word(struct json_stream *stream)
{
    if (!is_word(stream->text->str + stream->word_start))
        return "a value is expected";
    value_ends(stream);
    return NULL;
}

/* Space between values and marks is not kept: both end by themselves. */
static const char *feed_byte(struct json_stream *stream, char byte)
{
    const char *why;

    if (stream->expectation == IN_WORD && !is_word_byte(byte)) {
        why = end_word(stream);
        if (why)
            return why;
    }
    if (is_space(byte) && !is_in_string(stream))
        return NULL;
    if (stream->text->len == stream->max_value_bytes)
        return "a value is too long";
    g_string_append_c(stream->text, byte);
    return stream->expectation == IN_WORD ? NULL : take(stream, byte);
}

void json_stream_feed(struct json_stream *stream, const char *bytes,
                      size_t length_bytes)
{
    size_t i;

    for (i = 0; i < length_bytes; i++) {
        if (stream->expectation == IN_RUBBISH) {
            if (bytes[i] == '\n')
                restart(stream);
        } else {
            const char *why = feed_byte(stream, bytes[i]);

            if (why)
                make_mistake(stream, bytes[i], why);
        }
        stream->at_line_start = bytes[i] == '\n';
    }
}
