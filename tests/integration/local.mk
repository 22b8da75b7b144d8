# minivmm as a whole: its words, and guests that check their own memory.

integration_tests = tests/integration/check-minivmm-cli.py \
	tests/integration/check-qmp.py
long_integration_tests = tests/integration/check-migrate.py \
	tests/integration/check-ownership.py
TESTS += $(integration_tests)
LONG_TESTS += $(long_integration_tests)
EXTRA_DIST += $(integration_tests) $(long_integration_tests) \
	tests/support/guests.py
