# host, device, returnpath, session

toy_vm = tests/support/toy-vm.c tests/support/toy-vm.h \
	tests/support/session-kit.c tests/support/session-kit.h \
	tests/unit/run-case.h
session_cppflags = $(unit_cppflags) -I$(top_srcdir)/tests/unit

unit_tests += tests/unit/check-session
tests_unit_check_session_SOURCES = tests/unit/check-session.c $(toy_vm)
tests_unit_check_session_CPPFLAGS = $(session_cppflags)
tests_unit_check_session_CFLAGS = $(unit_cflags)
tests_unit_check_session_LDADD = $(unit_ldadd)

unit_tests += tests/fault/check-fault-points
tests_fault_check_fault_points_SOURCES = \
	tests/fault/check-fault-points.c $(toy_vm)
tests_fault_check_fault_points_CPPFLAGS = $(session_cppflags)
tests_fault_check_fault_points_CFLAGS = $(unit_cflags)
tests_fault_check_fault_points_LDADD = $(unit_ldadd)

unit_tests += tests/session/check-hostile-streams
tests_session_check_hostile_streams_SOURCES = \
	tests/session/check-hostile-streams.c $(toy_vm)
tests_session_check_hostile_streams_CPPFLAGS = $(session_cppflags)
tests_session_check_hostile_streams_CFLAGS = $(unit_cflags)
tests_session_check_hostile_streams_LDADD = $(unit_ldadd)

unit_tests += tests/session/check-ownership
tests_session_check_ownership_SOURCES = \
	tests/session/check-ownership.c $(toy_vm)
tests_session_check_ownership_CPPFLAGS = $(session_cppflags)
tests_session_check_ownership_CFLAGS = $(unit_cflags)
tests_session_check_ownership_LDADD = $(unit_ldadd)

unit_tests += tests/session/check-host-thread
tests_session_check_host_thread_SOURCES = \
	tests/session/check-host-thread.c $(toy_vm)
tests_session_check_host_thread_CPPFLAGS = $(session_cppflags)
tests_session_check_host_thread_CFLAGS = $(unit_cflags)
tests_session_check_host_thread_LDADD = $(unit_ldadd)

unit_tests += tests/session/check-cancel
tests_session_check_cancel_SOURCES = tests/session/check-cancel.c $(toy_vm)
tests_session_check_cancel_CPPFLAGS = $(session_cppflags)
tests_session_check_cancel_CFLAGS = $(unit_cflags)
tests_session_check_cancel_LDADD = $(unit_ldadd)

unit_tests += tests/session/check-life
tests_session_check_life_SOURCES = tests/session/check-life.c $(toy_vm)
tests_session_check_life_CPPFLAGS = $(session_cppflags)
tests_session_check_life_CFLAGS = $(unit_cflags)
tests_session_check_life_LDADD = $(unit_ldadd)

unit_tests += tests/session/check-rules
tests_session_check_rules_SOURCES = tests/session/check-rules.c $(toy_vm)
tests_session_check_rules_CPPFLAGS = $(session_cppflags)
tests_session_check_rules_CFLAGS = $(unit_cflags)
tests_session_check_rules_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-states
tests_unit_check_states_SOURCES = tests/unit/check-states.c
tests_unit_check_states_CPPFLAGS = $(session_cppflags)
tests_unit_check_states_CFLAGS = $(unit_cflags)
tests_unit_check_states_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-options
tests_unit_check_options_SOURCES = tests/unit/check-options.c
tests_unit_check_options_CPPFLAGS = $(session_cppflags)
tests_unit_check_options_CFLAGS = $(unit_cflags)
tests_unit_check_options_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-precopy
tests_unit_check_precopy_SOURCES = tests/unit/check-precopy.c
tests_unit_check_precopy_CPPFLAGS = $(session_cppflags)
tests_unit_check_precopy_CFLAGS = $(unit_cflags)
tests_unit_check_precopy_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-host-queue
tests_unit_check_host_queue_SOURCES = tests/unit/check-host-queue.c $(toy_vm)
tests_unit_check_host_queue_CPPFLAGS = $(session_cppflags)
tests_unit_check_host_queue_CFLAGS = $(unit_cflags)
tests_unit_check_host_queue_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-host-call
tests_unit_check_host_call_SOURCES = tests/unit/check-host-call.c $(toy_vm)
tests_unit_check_host_call_CPPFLAGS = $(session_cppflags)
tests_unit_check_host_call_CFLAGS = $(unit_cflags)
tests_unit_check_host_call_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-returnpath
tests_unit_check_returnpath_SOURCES = tests/unit/check-returnpath.c $(toy_vm)
tests_unit_check_returnpath_CPPFLAGS = $(session_cppflags)
tests_unit_check_returnpath_CFLAGS = $(unit_cflags)
tests_unit_check_returnpath_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-device-save
tests_unit_check_device_save_SOURCES = \
	tests/unit/check-device-save.c tests/unit/device-kit.h
tests_unit_check_device_save_CPPFLAGS = $(session_cppflags)
tests_unit_check_device_save_CFLAGS = $(unit_cflags)
tests_unit_check_device_save_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-device-load
tests_unit_check_device_load_SOURCES = \
	tests/unit/check-device-load.c tests/unit/device-kit.h
tests_unit_check_device_load_CPPFLAGS = $(session_cppflags)
tests_unit_check_device_load_CFLAGS = $(unit_cflags)
tests_unit_check_device_load_LDADD = $(unit_ldadd)
