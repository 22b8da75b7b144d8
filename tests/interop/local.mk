# A real QEMU is the other side. These run with `make check-all`.

interop_tests = tests/interop/cancel.py tests/interop/dirty.py \
	tests/interop/failures.py tests/interop/harness.py \
	tests/interop/precopy.py tests/interop/settings.py \
	tests/interop/stored.py tests/interop/transports.py
LONG_TESTS += $(interop_tests)
EXTRA_DIST += $(interop_tests) \
	tests/support/memory.py tests/support/migration.py \
	tests/support/peers.py tests/support/qmp.py tests/support/qtest.py \
	tests/support/relay.py tests/support/stream.py
