# A real QEMU is the other side. These run with `make check-all`.

interop_tests = tests/interop/harness.py
LONG_TESTS += $(interop_tests)
EXTRA_DIST += $(interop_tests) \
	tests/support/memory.py tests/support/migration.py \
	tests/support/peers.py tests/support/qmp.py tests/support/qtest.py \
	tests/support/relay.py tests/support/stream.py
