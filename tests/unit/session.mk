# host, device, returnpath, session

unit_tests += tests/unit/check-session
tests_unit_check_session_SOURCES = tests/unit/check-session.c \
	tests/support/toy-vm.c tests/support/toy-vm.h
tests_unit_check_session_CPPFLAGS = $(unit_cppflags)
tests_unit_check_session_CFLAGS = $(unit_cflags)
tests_unit_check_session_LDADD = $(unit_ldadd)
