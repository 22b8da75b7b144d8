# The unit tests of lib/io.

channel_kit = \
	tests/unit/channel-kit.c tests/unit/channel-kit.h tests/unit/run-case.h

unit_tests += tests/unit/check-channel
tests_unit_check_channel_SOURCES = \
	tests/unit/check-channel.c $(channel_kit)
tests_unit_check_channel_CPPFLAGS = $(unit_cppflags)
tests_unit_check_channel_CFLAGS = $(unit_cflags)
tests_unit_check_channel_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-channel-memory
tests_unit_check_channel_memory_SOURCES = \
	tests/unit/check-channel-memory.c $(channel_kit)
tests_unit_check_channel_memory_CPPFLAGS = $(unit_cppflags)
tests_unit_check_channel_memory_CFLAGS = $(unit_cflags)
tests_unit_check_channel_memory_LDADD = $(unit_ldadd)
