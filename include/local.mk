# Public headers. A host includes <vmmigrate/vmmigrate.h>, which has them all.

vmmigrateincludedir = $(includedir)/vmmigrate
vmmigrateinclude_HEADERS = \
	include/vmmigrate/vmmigrate.h \
	include/vmmigrate/channel.h \
	include/vmmigrate/device.h \
	include/vmmigrate/error.h \
	include/vmmigrate/events.h \
	include/vmmigrate/glib.h \
	include/vmmigrate/host.h \
	include/vmmigrate/memory.h \
	include/vmmigrate/options.h \
	include/vmmigrate/session.h \
	include/vmmigrate/stats.h \
	include/vmmigrate/version.h
