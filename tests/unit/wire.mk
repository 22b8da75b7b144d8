# The unit tests of lib/wire.

wire_kit = \
	tests/unit/wire-kit.c tests/unit/wire-kit.h tests/unit/run-case.h

unit_tests += tests/unit/check-stream-reader
tests_unit_check_stream_reader_SOURCES = tests/unit/check-stream-reader.c $(wire_kit)
tests_unit_check_stream_reader_CPPFLAGS = $(unit_cppflags)
tests_unit_check_stream_reader_CFLAGS = $(unit_cflags)
tests_unit_check_stream_reader_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-stream-writer
tests_unit_check_stream_writer_SOURCES = tests/unit/check-stream-writer.c $(wire_kit)
tests_unit_check_stream_writer_CPPFLAGS = $(unit_cppflags)
tests_unit_check_stream_writer_CFLAGS = $(unit_cflags)
tests_unit_check_stream_writer_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-section-frame
tests_unit_check_section_frame_SOURCES = tests/unit/check-section-frame.c $(wire_kit)
tests_unit_check_section_frame_CPPFLAGS = $(unit_cppflags)
tests_unit_check_section_frame_CFLAGS = $(unit_cflags)
tests_unit_check_section_frame_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-configuration
tests_unit_check_configuration_SOURCES = tests/unit/check-configuration.c $(wire_kit)
tests_unit_check_configuration_CPPFLAGS = $(unit_cppflags)
tests_unit_check_configuration_CFLAGS = $(unit_cflags)
tests_unit_check_configuration_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-ram-record
tests_unit_check_ram_record_SOURCES = tests/unit/check-ram-record.c $(wire_kit)
tests_unit_check_ram_record_CPPFLAGS = $(unit_cppflags)
tests_unit_check_ram_record_CFLAGS = $(unit_cflags)
tests_unit_check_ram_record_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-command
tests_unit_check_command_SOURCES = tests/unit/check-command.c $(wire_kit)
tests_unit_check_command_CPPFLAGS = $(unit_cppflags)
tests_unit_check_command_CFLAGS = $(unit_cflags)
tests_unit_check_command_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-reply
tests_unit_check_reply_SOURCES = tests/unit/check-reply.c $(wire_kit)
tests_unit_check_reply_CPPFLAGS = $(unit_cppflags)
tests_unit_check_reply_CFLAGS = $(unit_cflags)
tests_unit_check_reply_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-device-fields
tests_unit_check_device_fields_SOURCES = tests/unit/check-device-fields.c $(wire_kit)
tests_unit_check_device_fields_CPPFLAGS = $(unit_cppflags)
tests_unit_check_device_fields_CFLAGS = $(unit_cflags)
tests_unit_check_device_fields_LDADD = $(unit_ldadd)

unit_tests += tests/unit/check-vm-description
tests_unit_check_vm_description_SOURCES = tests/unit/check-vm-description.c $(wire_kit)
tests_unit_check_vm_description_CPPFLAGS = $(unit_cppflags)
tests_unit_check_vm_description_CFLAGS = $(unit_cflags)
tests_unit_check_vm_description_LDADD = $(unit_ldadd)
