/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Cuts a stream of bytes into JSON values, as they come: a value is complete
 * with its last byte, no line end is needed, and one value may span lines.
 *
 * It checks the grammar byte by byte, so that a mistake is noticed where it is
 * made and not when some brace closes. After a mistake the rest of the line is
 * skipped, or none of it if the mistake is a new line that begins with a brace.
 *
 * Belongs to one connection, and so to one thread.
 */
#ifndef MINIVMM_JSON_STREAM_H
#define MINIVMM_JSON_STREAM_H

#include <stddef.h>

struct json_stream;

/* A complete value: `length_bytes` of valid UTF-8 and JSON, and a zero byte. */
typedef void (*json_value_fn)(void *data, const char *text,
                              size_t length_bytes);
/* What arrived is no JSON; `why` is a sentence. */
typedef void (*json_mistake_fn)(void *data, const char *why);

struct json_stream *json_stream_new(size_t max_value_bytes,
                                    json_value_fn on_value,
                                    json_mistake_fn on_mistake, void *data);
void json_stream_free(struct json_stream *stream);

void json_stream_feed(struct json_stream *stream, const char *bytes,
                      size_t length_bytes);

#endif
