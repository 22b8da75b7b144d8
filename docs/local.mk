# Documents that are not made from anything.

EXTRA_DIST += docs/wire-format.md
