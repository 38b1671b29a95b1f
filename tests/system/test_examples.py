"""test_examples.py - every example runs as its README says, and leaves nothing behind."""
import glob
import os
import signal
import subprocess

from harness import BUILD, ROOT, SLOW, Failed, equal, limit

SECONDS = 120 * SLOW


def example(path):
    @limit(SECONDS + 10)
    def test(w):
        """In a network namespace of its own, where the example's ports are free. What it starts has its output, so
        that has an end only when all of it has ended."""
        left = os.path.join(w.base, "tmp")
        os.mkdir(left)
        script = f"ip link set lo up && exec {path}/run"
        child = subprocess.Popen(["unshare", "--net", "sh", "-c", script], cwd=left, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                                 env=dict(w.environment(), BUILD=BUILD, TMPDIR=left), start_new_session=True)
        try:
            said = child.communicate(timeout=SECONDS)[0]
        except subprocess.TimeoutExpired as late:
            raise Failed(f"not over after {SECONDS} s, or something is left running:\n{late.output}") from None
        finally:
            try:
                os.killpg(child.pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
        equal(child.returncode, 0, said)
        equal(os.listdir(left), [], f"files left behind:\n{said}")
    test.unmounted = True
    return test


for folder in sorted(glob.glob(os.path.join(ROOT, "examples", "*", ""))):
    globals()["test_" + os.path.basename(folder[:-1]).replace("-", "_")] = example(folder[:-1])


def test_each_is_told_of(w):
    with open(os.path.join(ROOT, "examples", "README.md")) as text:
        index = text.read()
    for folder in sorted(glob.glob(os.path.join(ROOT, "examples", "*", ""))):
        name = os.path.basename(folder[:-1])
        equal((f"[{name}]({name})" in index, os.path.exists(f"{folder}README.md")), (True, True), name)


test_each_is_told_of.unmounted = True
