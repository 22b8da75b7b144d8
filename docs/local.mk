# What there is to read, but for README, NEWS and COPYING, which automake knows.

EXTRA_DIST += HACKING CONTRIBUTING SECURITY \
	docs/host-contract.md docs/options.md docs/states.md docs/threads.md \
	docs/wire-format.md
