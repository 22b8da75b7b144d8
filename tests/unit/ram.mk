# Unit tests of lib/ram.

guest_memory = tests/unit/guest-memory.h tests/unit/ram-stream.h \
	tests/unit/run-case.h

unit_tests += tests/unit/check-dirty-log
tests_unit_check_dirty_log_SOURCES = \
	tests/unit/check-dirty-log.c $(guest_memory)
tests_unit_check_dirty_log_CPPFLAGS = $(unit_cppflags)
tests_unit_check_dirty_log_CFLAGS = $(unit_cflags)
tests_unit_check_dirty_log_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-guess-ahead
tests_unit_check_guess_ahead_SOURCES = \
	tests/unit/check-guess-ahead.c $(guest_memory)
tests_unit_check_guess_ahead_CPPFLAGS = $(unit_cppflags)
tests_unit_check_guess_ahead_CFLAGS = $(unit_cflags)
tests_unit_check_guess_ahead_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-memory-holes
tests_unit_check_memory_holes_SOURCES = \
	tests/unit/check-memory-holes.c $(guest_memory)
tests_unit_check_memory_holes_CPPFLAGS = $(unit_cppflags)
tests_unit_check_memory_holes_CFLAGS = $(unit_cflags)
tests_unit_check_memory_holes_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-page-placer
tests_unit_check_page_placer_SOURCES = \
	tests/unit/check-page-placer.c $(guest_memory)
tests_unit_check_page_placer_CPPFLAGS = $(unit_cppflags)
tests_unit_check_page_placer_CFLAGS = $(unit_cflags)
tests_unit_check_page_placer_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-page-search
tests_unit_check_page_search_SOURCES = \
	tests/unit/check-page-search.c $(guest_memory)
tests_unit_check_page_search_CPPFLAGS = $(unit_cppflags)
tests_unit_check_page_search_CFLAGS = $(unit_cflags)
tests_unit_check_page_search_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-ram-blocks
tests_unit_check_ram_blocks_SOURCES = \
	tests/unit/check-ram-blocks.c $(guest_memory)
tests_unit_check_ram_blocks_CPPFLAGS = $(unit_cppflags)
tests_unit_check_ram_blocks_CFLAGS = $(unit_cflags)
tests_unit_check_ram_blocks_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-ram-load
tests_unit_check_ram_load_SOURCES = \
	tests/unit/check-ram-load.c $(guest_memory)
tests_unit_check_ram_load_CPPFLAGS = $(unit_cppflags)
tests_unit_check_ram_load_CFLAGS = $(unit_cflags)
tests_unit_check_ram_load_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-ram-save
tests_unit_check_ram_save_SOURCES = \
	tests/unit/check-ram-save.c $(guest_memory)
tests_unit_check_ram_save_CPPFLAGS = $(unit_cppflags)
tests_unit_check_ram_save_CFLAGS = $(unit_cflags)
tests_unit_check_ram_save_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-received-pages
tests_unit_check_received_pages_SOURCES = \
	tests/unit/check-received-pages.c $(guest_memory)
tests_unit_check_received_pages_CPPFLAGS = $(unit_cppflags)
tests_unit_check_received_pages_CFLAGS = $(unit_cflags)
tests_unit_check_received_pages_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-write-tracking
tests_unit_check_write_tracking_SOURCES = \
	tests/unit/check-write-tracking.c $(guest_memory)
tests_unit_check_write_tracking_CPPFLAGS = $(unit_cppflags)
tests_unit_check_write_tracking_CFLAGS = $(unit_cflags)
tests_unit_check_write_tracking_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-zero-page
tests_unit_check_zero_page_SOURCES = \
	tests/unit/check-zero-page.c $(guest_memory)
tests_unit_check_zero_page_CPPFLAGS = $(unit_cppflags)
tests_unit_check_zero_page_CFLAGS = $(unit_cflags)
tests_unit_check_zero_page_LDADD = $(unit_ldadd)
