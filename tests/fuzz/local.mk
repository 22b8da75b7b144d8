# Parsers under attack: `make check` replays the corpus and damages it;
# tests/fuzz/run looks for more with libFuzzer.

fuzz_kit = tests/fuzz/replay.c tests/fuzz/fuzz.h
fuzz_walk = tests/wire/stream-walk.c tests/wire/stream-walk.h

fuzz_programs =

fuzz_programs += tests/fuzz/fuzz-stream
tests_fuzz_fuzz_stream_SOURCES = tests/fuzz/fuzz-stream.c $(fuzz_kit) $(fuzz_walk)
tests_fuzz_fuzz_stream_CPPFLAGS = $(unit_cppflags)
tests_fuzz_fuzz_stream_CFLAGS = $(AM_CFLAGS) $(GLIB_CFLAGS)
tests_fuzz_fuzz_stream_LDADD = tests/libinternals.la $(GLIB_LIBS)

fuzz_programs += tests/fuzz/fuzz-load
tests_fuzz_fuzz_load_SOURCES = tests/fuzz/fuzz-load.c $(fuzz_kit)
tests_fuzz_fuzz_load_CPPFLAGS = $(unit_cppflags)
tests_fuzz_fuzz_load_CFLAGS = $(AM_CFLAGS) $(GLIB_CFLAGS)
tests_fuzz_fuzz_load_LDADD = tests/libinternals.la $(GLIB_LIBS)

fuzz_programs += tests/fuzz/fuzz-ram
tests_fuzz_fuzz_ram_SOURCES = tests/fuzz/fuzz-ram.c $(fuzz_kit) $(fuzz_walk)
tests_fuzz_fuzz_ram_CPPFLAGS = $(unit_cppflags)
tests_fuzz_fuzz_ram_CFLAGS = $(AM_CFLAGS) $(GLIB_CFLAGS)
tests_fuzz_fuzz_ram_LDADD = tests/libinternals.la $(GLIB_LIBS)

fuzz_programs += tests/fuzz/fuzz-command
tests_fuzz_fuzz_command_SOURCES = tests/fuzz/fuzz-command.c $(fuzz_kit)
tests_fuzz_fuzz_command_CPPFLAGS = $(unit_cppflags)
tests_fuzz_fuzz_command_CFLAGS = $(AM_CFLAGS) $(GLIB_CFLAGS)
tests_fuzz_fuzz_command_LDADD = tests/libinternals.la $(GLIB_LIBS)

fuzz_programs += tests/fuzz/fuzz-reply
tests_fuzz_fuzz_reply_SOURCES = tests/fuzz/fuzz-reply.c $(fuzz_kit)
tests_fuzz_fuzz_reply_CPPFLAGS = $(unit_cppflags)
tests_fuzz_fuzz_reply_CFLAGS = $(AM_CFLAGS) $(GLIB_CFLAGS)
tests_fuzz_fuzz_reply_LDADD = tests/libinternals.la $(GLIB_LIBS)

fuzz_programs += tests/fuzz/fuzz-fields
tests_fuzz_fuzz_fields_SOURCES = tests/fuzz/fuzz-fields.c $(fuzz_kit)
tests_fuzz_fuzz_fields_CPPFLAGS = $(unit_cppflags)
tests_fuzz_fuzz_fields_CFLAGS = $(AM_CFLAGS) $(GLIB_CFLAGS)
tests_fuzz_fuzz_fields_LDADD = tests/libinternals.la $(GLIB_LIBS)

fuzz_programs += tests/fuzz/fuzz-address
tests_fuzz_fuzz_address_SOURCES = tests/fuzz/fuzz-address.c $(fuzz_kit)
tests_fuzz_fuzz_address_CPPFLAGS = $(unit_cppflags)
tests_fuzz_fuzz_address_CFLAGS = $(AM_CFLAGS) $(GLIB_CFLAGS)
tests_fuzz_fuzz_address_LDADD = tests/libinternals.la $(GLIB_LIBS)

if HAVE_CHECK
check_PROGRAMS += $(fuzz_programs)
TESTS += $(fuzz_programs)
endif
EXTRA_DIST += tests/fuzz/run

fuzz_corpus_stream = \
	tests/fuzz/corpus/stream/commands \
	tests/fuzz/corpus/stream/description-of-4-gib \
	tests/fuzz/corpus/stream/footer-missing \
	tests/fuzz/corpus/stream/footer-of-another \
	tests/fuzz/corpus/stream/icount-7.2.22 \
	tests/fuzz/corpus/stream/ignore-shared-11.1.3 \
	tests/fuzz/corpus/stream/machine-name-of-4-gib \
	tests/fuzz/corpus/stream/newer-version \
	tests/fuzz/corpus/stream/nomem-11.1.3 \
	tests/fuzz/corpus/stream/nomem-7.2.22 \
	tests/fuzz/corpus/stream/nothing \
	tests/fuzz/corpus/stream/only-eof \
	tests/fuzz/corpus/stream/pages \
	tests/fuzz/corpus/stream/part-without-start \
	tests/fuzz/corpus/stream/start-twice \
	tests/fuzz/corpus/stream/start-with-id-0 \
	tests/fuzz/corpus/stream/subsection-twice \
	tests/fuzz/corpus/stream/timer-twice \
	tests/fuzz/corpus/stream/unknown-subsection \
	tests/fuzz/corpus/stream/uuid-and-capabilities \
	tests/fuzz/corpus/stream/zero-pages

fuzz_corpus_load = \
	tests/fuzz/corpus/load/commands \
	tests/fuzz/corpus/load/guess-ends-in-a-name \
	tests/fuzz/corpus/load/no-end-of-ram \
	tests/fuzz/corpus/load/old-timer \
	tests/fuzz/corpus/load/page-at-the-end \
	tests/fuzz/corpus/load/page-twice \
	tests/fuzz/corpus/load/pages-in-a-row \
	tests/fuzz/corpus/load/part-after-end \
	tests/fuzz/corpus/load/section-twice \
	tests/fuzz/corpus/load/state-that-is-no-text \
	tests/fuzz/corpus/load/whole \
	tests/fuzz/corpus/load/without-live

fuzz_corpus_ram = \
	tests/fuzz/corpus/ram/block-empty \
	tests/fuzz/corpus/ram/block-list \
	tests/fuzz/corpus/ram/block-of-2-63-in-a-small-list \
	tests/fuzz/corpus/ram/block-twice \
	tests/fuzz/corpus/ram/block-unknown \
	tests/fuzz/corpus/ram/continue-first \
	tests/fuzz/corpus/ram/eos-with-address \
	tests/fuzz/corpus/ram/filled-with-2a \
	tests/fuzz/corpus/ram/flush \
	tests/fuzz/corpus/ram/hook \
	tests/fuzz/corpus/ram/list-of-2-63-bytes \
	tests/fuzz/corpus/ram/list-of-a-million-names \
	tests/fuzz/corpus/ram/name-empty \
	tests/fuzz/corpus/ram/name-with-zero \
	tests/fuzz/corpus/ram/page-at-2-64 \
	tests/fuzz/corpus/ram/page-behind-the-block \
	tests/fuzz/corpus/ram/pages \
	tests/fuzz/corpus/ram/two-flags \
	tests/fuzz/corpus/ram/xbzrle \
	tests/fuzz/corpus/ram/zero-pages

fuzz_corpus_command = \
	tests/fuzz/corpus/command/all \
	tests/fuzz/corpus/command/bitmap-name-shorter \
	tests/fuzz/corpus/command/discard-name-longer-than-payload \
	tests/fuzz/corpus/command/discard-range-beyond-2-64 \
	tests/fuzz/corpus/command/discard-two-ranges \
	tests/fuzz/corpus/command/discard-without-range \
	tests/fuzz/corpus/command/number-12 \
	tests/fuzz/corpus/command/package-of-4-gib \
	tests/fuzz/corpus/command/ping-of-0-bytes

fuzz_corpus_reply = \
	tests/fuzz/corpus/reply/bitmap \
	tests/fuzz/corpus/reply/bitmap-of-2-63-bytes \
	tests/fuzz/corpus/reply/bitmap-with-more-bits \
	tests/fuzz/corpus/reply/legacy-ack \
	tests/fuzz/corpus/reply/length-65535 \
	tests/fuzz/corpus/reply/request-beyond-2-64 \
	tests/fuzz/corpus/reply/request-of-nothing \
	tests/fuzz/corpus/reply/requests \
	tests/fuzz/corpus/reply/return-path \
	tests/fuzz/corpus/reply/type-0

fuzz_corpus_fields = \
	tests/fuzz/corpus/fields/all-subsections \
	tests/fuzz/corpus/fields/boolean-2 \
	tests/fuzz/corpus/fields/inner-before-outer \
	tests/fuzz/corpus/fields/mark-and-long-name \
	tests/fuzz/corpus/fields/other-order \
	tests/fuzz/corpus/fields/subsection-twice \
	tests/fuzz/corpus/fields/subsection-version-99 \
	tests/fuzz/corpus/fields/unknown-subsection \
	tests/fuzz/corpus/fields/version-2 \
	tests/fuzz/corpus/fields/version-3 \
	tests/fuzz/corpus/fields/version-4

fuzz_corpus_address = \
	tests/fuzz/corpus/address/bracket-empty \
	tests/fuzz/corpus/address/bracket-open \
	tests/fuzz/corpus/address/bracket-twice \
	tests/fuzz/corpus/address/empty \
	tests/fuzz/corpus/address/exec \
	tests/fuzz/corpus/address/fd \
	tests/fuzz/corpus/address/fd-huge \
	tests/fuzz/corpus/address/fd-negative \
	tests/fuzz/corpus/address/file \
	tests/fuzz/corpus/address/file-unit \
	tests/fuzz/corpus/address/host \
	tests/fuzz/corpus/address/no-port \
	tests/fuzz/corpus/address/offset-huge \
	tests/fuzz/corpus/address/offset-overflow \
	tests/fuzz/corpus/address/port-huge \
	tests/fuzz/corpus/address/port-too-large \
	tests/fuzz/corpus/address/scheme-only \
	tests/fuzz/corpus/address/tcp \
	tests/fuzz/corpus/address/tcp-any \
	tests/fuzz/corpus/address/tcp-name \
	tests/fuzz/corpus/address/tcp6 \
	tests/fuzz/corpus/address/unix \
	tests/fuzz/corpus/address/unix-empty \
	tests/fuzz/corpus/address/unix-long \
	tests/fuzz/corpus/address/unknown

EXTRA_DIST += $(fuzz_corpus_stream) $(fuzz_corpus_load) $(fuzz_corpus_ram) \
	$(fuzz_corpus_command) $(fuzz_corpus_reply) $(fuzz_corpus_fields) \
	$(fuzz_corpus_address)
