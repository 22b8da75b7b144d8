# SPDX-License-Identifier: LGPL-2.1-or-later
"""Test Anything Protocol for test programs, with a deadline on every wait.

    suite = tap.Suite(seconds=120)
    with suite.case("a lost page is noticed"):
        ...                       # an exception fails the case, Skip skips it
    sys.exit(suite.done())

One thread uses it. A program that outlives its seconds prints where each of
its threads is and dies; what it started dies with it (see peers.spawn).
"""

import contextlib
import faulthandler
import sys
import time
import traceback


class Skip(Exception):
    """This case cannot run here; the words say why."""


class Late(AssertionError):
    """Something did not happen in its time."""


def wait_until(condition, seconds, what):
    """Returns what condition() returns once that is true."""
    deadline = time.monotonic() + seconds
    pause = 0.001
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise Late("not within %g s: %s" % (seconds, what))
        time.sleep(pause)
        pause = min(pause * 1.5, 0.02)


def one_line(words):
    return " ".join(str(words).replace("#", "").split())


class Suite:
    def __init__(self, seconds):
        self.cases = self.failures = 0
        faulthandler.dump_traceback_later(seconds, exit=True)

    def _report(self, verdict, name, directive=""):
        self.cases += 1
        print("%s %d - %s%s" % (verdict, self.cases, one_line(name),
                                directive), flush=True)

    def note(self, words):
        for line in str(words).splitlines():
            print("# " + line, flush=True)

    def skip(self, name, why):
        self._report("ok", name, " # SKIP " + one_line(why))

    @contextlib.contextmanager
    def case(self, name):
        begun = time.monotonic()
        try:
            yield
        except Skip as why:
            self.skip(name, why)
        except Exception:
            self.failures += 1
            self._report("not ok", name)
            self.note(traceback.format_exc())
        else:
            self._report("ok", name)
            self.note("%.2f s" % (time.monotonic() - begun))

    def done(self):
        """Prints the plan; the exit status of the program."""
        faulthandler.cancel_dump_traceback_later()
        print("1..%d" % self.cases, flush=True)
        if self.cases == 0:
            print("# no case was run", file=sys.stderr)
        return 1 if self.failures or not self.cases else 0
