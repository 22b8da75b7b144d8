# The library, one list for each layer; lib/LAYERS gives their order.

base_sources = \
	lib/base/bitmap.c lib/base/bitmap.h \
	lib/base/bytes.h \
	lib/base/clock.c lib/base/clock.h \
	lib/base/error.c lib/base/error.h \
	lib/base/fault-points.c lib/base/fault-points.h \
	lib/base/log.c lib/base/log.h \
	lib/base/stop-flag.c lib/base/stop-flag.h \
	lib/base/struct-copy.c lib/base/struct-copy.h \
	lib/base/thread.c lib/base/thread.h

host_sources = \
	lib/host/host-call.c lib/host/host-call.h \
	lib/host/host-queue.c lib/host/host-queue.h \
	lib/host/host-table.c lib/host/host-table.h

io_sources = \
	lib/io/address.c lib/io/address.h \
	lib/io/channel-exec.c lib/io/channel-exec.h \
	lib/io/channel-fd.c lib/io/channel-fd.h \
	lib/io/channel-file.c lib/io/channel-file.h \
	lib/io/channel-memory.c lib/io/channel-memory.h \
	lib/io/channel.c lib/io/channel.h \
	lib/io/connect.c lib/io/connect.h \
	lib/io/fd-stream.c lib/io/fd-stream.h \
	lib/io/io-error.c lib/io/io-error.h \
	lib/io/listen.c lib/io/listen.h \
	lib/io/open.c lib/io/open.h \
	lib/io/rate-limit.c lib/io/rate-limit.h \
	lib/io/socket.c lib/io/socket.h \
	lib/io/wait-limits.c lib/io/wait-limits.h

wire_sources = \
	lib/wire/command.c lib/wire/command.h \
	lib/wire/configuration.c lib/wire/configuration.h \
	lib/wire/device-fields.c lib/wire/device-fields.h \
	lib/wire/format.h \
	lib/wire/ram-record.c lib/wire/ram-record.h \
	lib/wire/reply.c lib/wire/reply.h \
	lib/wire/section-frame.c lib/wire/section-frame.h \
	lib/wire/stream-reader.c lib/wire/stream-reader.h \
	lib/wire/stream-writer.c lib/wire/stream-writer.h \
	lib/wire/vm-description.c lib/wire/vm-description.h

device_sources = \
	lib/device/device-call.c lib/device/device-call.h \
	lib/device/device-load.c lib/device/device-load.h \
	lib/device/device-registry.c lib/device/device-registry.h \
	lib/device/device-save.c lib/device/device-save.h

ram_sources = \
	lib/ram/dirty-log.c lib/ram/dirty-log.h \
	lib/ram/guess-ahead.c lib/ram/guess-ahead.h \
	lib/ram/main-sink.c lib/ram/main-sink.h \
	lib/ram/memory-holes.c lib/ram/memory-holes.h \
	lib/ram/page-placer.c lib/ram/page-placer.h \
	lib/ram/page-search.c lib/ram/page-search.h \
	lib/ram/page-sink.h \
	lib/ram/ram.c lib/ram/ram.h \
	lib/ram/ram-blocks.c lib/ram/ram-blocks.h \
	lib/ram/ram-load.c lib/ram/ram-load.h \
	lib/ram/ram-save.c lib/ram/ram-save.h \
	lib/ram/received-pages.c lib/ram/received-pages.h \
	lib/ram/write-tracking.c lib/ram/write-tracking.h \
	lib/ram/zero-page.c lib/ram/zero-page.h

returnpath_sources = \
	lib/returnpath/returnpath-receive.c \
	lib/returnpath/returnpath-receive.h \
	lib/returnpath/returnpath-send.c lib/returnpath/returnpath-send.h

session_sources = \
	lib/session/destination.c \
	lib/session/events.c lib/session/events.h \
	lib/session/globalstate.c lib/session/globalstate.h \
	lib/session/library.c \
	lib/session/machine.c lib/session/machine.h \
	lib/session/options.c lib/session/options.def lib/session/options.h \
	lib/session/precopy.c lib/session/precopy.h \
	lib/session/session.c lib/session/session.h \
	lib/session/source.c lib/session/source.h \
	lib/session/states.c lib/session/states.h \
	lib/session/stats.c lib/session/stats.h \
	lib/session/switchover.c \
	lib/session/vcpus.c lib/session/vcpus.h

library_sources = $(base_sources) $(host_sources) $(io_sources) \
	$(wire_sources) $(device_sources) $(ram_sources) \
	$(returnpath_sources) $(session_sources)

lib_LTLIBRARIES += libvmmigrate.la
libvmmigrate_la_SOURCES = $(library_sources)
libvmmigrate_la_CPPFLAGS = $(AM_CPPFLAGS) -DVMMIG_TESTING=0
libvmmigrate_la_CFLAGS = $(AM_CFLAGS) $(GLIB_CFLAGS) -fvisibility=hidden
libvmmigrate_la_LIBADD = $(GLIB_LIBS)
if SANITIZED
# A sanitizer's runtime is in the program, not in the library.
undefined_flags =
else
undefined_flags = -no-undefined -Wl,-z,defs
endif
libvmmigrate_la_LDFLAGS = $(AM_LDFLAGS) -version-info $(VMMIG_LT_VERSION) \
	$(undefined_flags) -Wl,-z,nodelete \
	-Wl,--version-script=$(top_srcdir)/lib/vmmigrate.map
libvmmigrate_la_DEPENDENCIES = lib/vmmigrate.map

EXTRA_DIST += lib/LAYERS lib/vmmigrate.map
