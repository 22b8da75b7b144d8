# Streams that a QEMU wrote, read and written again.

unit_tests += tests/wire/check-vectors
tests_wire_check_vectors_SOURCES = \
	tests/wire/check-vectors.c \
	tests/wire/stream-walk.c tests/wire/stream-walk.h $(wire_kit)
tests_wire_check_vectors_CPPFLAGS = $(unit_cppflags)
tests_wire_check_vectors_CFLAGS = $(unit_cflags) $(JSON_CFLAGS)
tests_wire_check_vectors_LDADD = $(unit_ldadd) $(JSON_LIBS)

EXTRA_DIST += \
	tests/wire/vectors/README.md \
	tests/wire/vectors/index.json \
	tests/wire/vectors/bgsnapshot-11.1.3/main.bin.gz \
	tests/wire/vectors/bgsnapshot-7.2.22/main.bin.gz \
	tests/wire/vectors/dirty-11.1.3/conn0.fwd.gz \
	tests/wire/vectors/dirty-7.2.22/conn0.fwd.gz \
	tests/wire/vectors/icount-11.1.3/main.bin.gz \
	tests/wire/vectors/icount-7.2.22/main.bin.gz \
	tests/wire/vectors/ignore-shared-11.1.3/main.bin.gz \
	tests/wire/vectors/ignore-shared-7.2.22/main.bin.gz \
	tests/wire/vectors/nomem-11.1.3/main.bin.gz \
	tests/wire/vectors/nomem-7.2.22/main.bin.gz \
	tests/wire/vectors/plain-11.1.3/main.bin.gz \
	tests/wire/vectors/plain-7.2.22/main.bin.gz \
	tests/wire/vectors/ramname-11.1.3/main.bin.gz \
	tests/wire/vectors/ramname-7.2.22/main.bin.gz \
	tests/wire/vectors/return-path-11.1.3/conn0.fwd.gz \
	tests/wire/vectors/return-path-11.1.3/conn0.rev.gz \
	tests/wire/vectors/return-path-7.2.22/conn0.fwd.gz \
	tests/wire/vectors/return-path-7.2.22/conn0.rev.gz \
	tests/wire/vectors/switchover-ack-11.1.3/conn0.fwd.gz \
	tests/wire/vectors/switchover-ack-11.1.3/conn0.rev.gz \
	tests/wire/vectors/switchover-ack-legacy-11.1.3/conn0.fwd.gz \
	tests/wire/vectors/switchover-ack-legacy-11.1.3/conn0.rev.gz \
	tests/wire/vectors/uuid-11.1.3/main.bin.gz \
	tests/wire/vectors/uuid-7.2.22/main.bin.gz
