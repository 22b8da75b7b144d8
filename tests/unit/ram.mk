# Unit tests of lib/ram.

unit_tests += tests/unit/check-dirty-log
tests_unit_check_dirty_log_SOURCES = tests/unit/check-dirty-log.c \
	tests/unit/guest-memory.h
tests_unit_check_dirty_log_CPPFLAGS = $(unit_cppflags)
tests_unit_check_dirty_log_CFLAGS = $(unit_cflags)
tests_unit_check_dirty_log_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-page-search
tests_unit_check_page_search_SOURCES = tests/unit/check-page-search.c \
	tests/unit/guest-memory.h
tests_unit_check_page_search_CPPFLAGS = $(unit_cppflags)
tests_unit_check_page_search_CFLAGS = $(unit_cflags)
tests_unit_check_page_search_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-ram-blocks
tests_unit_check_ram_blocks_SOURCES = tests/unit/check-ram-blocks.c \
	tests/unit/guest-memory.h
tests_unit_check_ram_blocks_CPPFLAGS = $(unit_cppflags)
tests_unit_check_ram_blocks_CFLAGS = $(unit_cflags)
tests_unit_check_ram_blocks_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-write-tracking
tests_unit_check_write_tracking_SOURCES = tests/unit/check-write-tracking.c \
	tests/unit/guest-memory.h
tests_unit_check_write_tracking_CPPFLAGS = $(unit_cppflags)
tests_unit_check_write_tracking_CFLAGS = $(unit_cflags)
tests_unit_check_write_tracking_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-zero-page
tests_unit_check_zero_page_SOURCES = tests/unit/check-zero-page.c
tests_unit_check_zero_page_CPPFLAGS = $(unit_cppflags)
tests_unit_check_zero_page_CFLAGS = $(unit_cflags)
tests_unit_check_zero_page_LDADD = $(unit_ldadd)
