# The library, one list for each layer; lib/LAYERS gives their order.

base_sources =

host_sources =

io_sources =

wire_sources =

device_sources =

ram_sources =

returnpath_sources =

session_sources =

library_sources = $(base_sources) $(host_sources) $(io_sources) \
	$(wire_sources) $(device_sources) $(ram_sources) \
	$(returnpath_sources) $(session_sources)

lib_LTLIBRARIES += libvmmigrate.la
libvmmigrate_la_SOURCES = $(library_sources)
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
