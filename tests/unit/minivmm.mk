# The unit tests of examples/minivmm.

minivmm_test_cppflags = $(unit_cppflags) -I$(top_srcdir) \
	-I$(top_srcdir)/examples/minivmm
minivmm_test_ldadd = \
	examples/minivmm/libminivmm.la $(GLIB_LIBS) $(CHECK_LIBS)

unit_tests += tests/unit/check-json-stream
tests_unit_check_json_stream_SOURCES = \
	tests/unit/check-json-stream.c tests/unit/run-case.h
tests_unit_check_json_stream_CPPFLAGS = $(minivmm_test_cppflags)
tests_unit_check_json_stream_CFLAGS = $(unit_cflags)
tests_unit_check_json_stream_LDADD = $(minivmm_test_ldadd)

unit_tests += tests/unit/check-machine-clock
tests_unit_check_machine_clock_SOURCES = \
	tests/unit/check-machine-clock.c tests/unit/run-case.h
tests_unit_check_machine_clock_CPPFLAGS = $(minivmm_test_cppflags)
tests_unit_check_machine_clock_CFLAGS = $(unit_cflags)
tests_unit_check_machine_clock_LDADD = $(minivmm_test_ldadd)

unit_tests += tests/unit/check-minivmm-memory
tests_unit_check_minivmm_memory_SOURCES = \
	tests/unit/check-minivmm-memory.c tests/unit/run-case.h
tests_unit_check_minivmm_memory_CPPFLAGS = $(minivmm_test_cppflags)
tests_unit_check_minivmm_memory_CFLAGS = $(unit_cflags)
tests_unit_check_minivmm_memory_LDADD = $(minivmm_test_ldadd)

unit_tests += tests/unit/check-serial
tests_unit_check_serial_SOURCES = \
	tests/unit/check-serial.c tests/unit/run-case.h
tests_unit_check_serial_CPPFLAGS = $(minivmm_test_cppflags)
tests_unit_check_serial_CFLAGS = $(unit_cflags)
tests_unit_check_serial_LDADD = $(minivmm_test_ldadd)
