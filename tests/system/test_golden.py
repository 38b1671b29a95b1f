"""test_golden.py - tests/golden: whole stores, the table they give and the problems they have, word for word."""
import difflib
import os
import re
import shutil

from harness import Failed, ROOT, check, equal, limit
from test_cli import run

GOLDEN = os.path.join(ROOT, "tests", "golden")


def compare(path, got):
    """The file says exactly that; GOLDEN=write makes it so."""
    if os.environ.get("GOLDEN") == "write":
        with open(path, "w") as out:
            out.write(got)
    want = open(path).read()
    if got != want:
        names = (os.path.relpath(path, ROOT), "what it gives")
        raise Failed("".join(difflib.unified_diff(want.splitlines(True), got.splitlines(True), *names)))


@limit(60)
def test_every_case(w):
    cases = sorted(name for name in os.listdir(GOLDEN) if os.path.isdir(os.path.join(GOLDEN, name)))
    check(len(cases) >= 8, "there are cases")
    for case in cases:
        place = os.path.join(GOLDEN, case)
        shutil.rmtree(w.store, ignore_errors=True)
        shutil.copytree(os.path.join(place, "lattice"), w.store, symlinks=True)
        done = run(w, "-t", w.store)
        equal(done.returncode, int(case.startswith("refuses-")), f"exit status of latticefs -t for {case}")
        compare(os.path.join(place, "want.errors"), done.stderr)
        w.start()
        compare(os.path.join(place, "want.table"), w.read(".table"))
        entries = re.sub(r"^\d{4}-\S+Z ", "", w.errors(), flags=re.M)
        check(entries.startswith(done.stderr) or done.stderr.startswith(entries), f"{case}: .errors says the same as -t:\n{entries}")
        equal(w.sh(f"diff -r --no-dereference {place}/lattice {w.mnt}").out, "", "nothing was changed")
        w.stop()


test_every_case.unmounted = True
