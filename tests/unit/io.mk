# The unit tests of lib/base and lib/io.

channel_kit = \
	tests/unit/channel-kit.c tests/unit/channel-kit.h tests/unit/run-case.h

unit_tests += tests/unit/check-address
tests_unit_check_address_SOURCES = \
	tests/unit/check-address.c tests/unit/run-case.h
tests_unit_check_address_CPPFLAGS = $(unit_cppflags)
tests_unit_check_address_CFLAGS = $(unit_cflags)
tests_unit_check_address_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-channel
tests_unit_check_channel_SOURCES = \
	tests/unit/check-channel.c $(channel_kit)
tests_unit_check_channel_CPPFLAGS = $(unit_cppflags)
tests_unit_check_channel_CFLAGS = $(unit_cflags)
tests_unit_check_channel_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-channel-exec
tests_unit_check_channel_exec_SOURCES = \
	tests/unit/check-channel-exec.c $(channel_kit)
tests_unit_check_channel_exec_CPPFLAGS = $(unit_cppflags)
tests_unit_check_channel_exec_CFLAGS = $(unit_cflags)
tests_unit_check_channel_exec_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-channel-fd
tests_unit_check_channel_fd_SOURCES = \
	tests/unit/check-channel-fd.c $(channel_kit)
tests_unit_check_channel_fd_CPPFLAGS = $(unit_cppflags)
tests_unit_check_channel_fd_CFLAGS = $(unit_cflags)
tests_unit_check_channel_fd_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-channel-memory
tests_unit_check_channel_memory_SOURCES = \
	tests/unit/check-channel-memory.c $(channel_kit)
tests_unit_check_channel_memory_CPPFLAGS = $(unit_cppflags)
tests_unit_check_channel_memory_CFLAGS = $(unit_cflags)
tests_unit_check_channel_memory_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-listen
tests_unit_check_listen_SOURCES = \
	tests/unit/check-listen.c $(channel_kit)
tests_unit_check_listen_CPPFLAGS = $(unit_cppflags)
tests_unit_check_listen_CFLAGS = $(unit_cflags)
tests_unit_check_listen_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-rate-limit
tests_unit_check_rate_limit_SOURCES = \
	tests/unit/check-rate-limit.c tests/unit/run-case.h
tests_unit_check_rate_limit_CPPFLAGS = $(unit_cppflags)
tests_unit_check_rate_limit_CFLAGS = $(unit_cflags)
tests_unit_check_rate_limit_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-bitmap
tests_unit_check_bitmap_SOURCES = tests/unit/check-bitmap.c tests/unit/run-case.h
tests_unit_check_bitmap_CPPFLAGS = $(unit_cppflags)
tests_unit_check_bitmap_CFLAGS = $(unit_cflags)
tests_unit_check_bitmap_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-error
tests_unit_check_error_SOURCES = tests/unit/check-error.c tests/unit/run-case.h
tests_unit_check_error_CPPFLAGS = $(unit_cppflags)
tests_unit_check_error_CFLAGS = $(unit_cflags)
tests_unit_check_error_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-thread
tests_unit_check_thread_SOURCES = tests/unit/check-thread.c tests/unit/run-case.h
tests_unit_check_thread_CPPFLAGS = $(unit_cppflags)
tests_unit_check_thread_CFLAGS = $(unit_cflags)
tests_unit_check_thread_LDADD = $(unit_ldadd)
