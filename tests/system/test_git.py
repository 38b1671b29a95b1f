"""test_git.py - git with .git inside the mount: one generation a command, and a bad tree never served."""
import os
import signal
import subprocess

from harness import check, equal, free_port, limit, match, until

GIT = "git -c user.name=t -c user.email=t@example.org -c init.defaultBranch=main -c advice.detachedHead=false"


def git(w, command, **how):
    return w.sh(f"set -o pipefail; {GIT} {command}", **how)


def repository(w):
    """A site under git on main; branch `wide` changes many files, `bad` refers to nothing."""
    w.site()
    for i in range(20):
        w.rule(w.place, f"r{i}", i + 1, f"path-exact = /{i}", "fixed-response = 401")
    git(w, "init -q . && git config gc.auto 0 && git config maintenance.auto false")
    git(w, "add -A", quiet=True)
    git(w, "commit -q -m one", quiet=True)
    equal(git(w, "status --porcelain").out, "")
    git(w, "checkout -q -b wide", quiet=True)
    w.sh(f"for i in $(seq 0 19); do echo 'fixed-response = 402' > {w.place}/rules/r$i/action; done", quiet=True)
    git(w, "commit -q -am wide", quiet=True)
    git(w, "checkout -q main", quiet=True)


def settled(w):
    """The generation when git's removals have settled."""
    return w.generation()


def one_generation(w, command, want, path="/3"):
    before = settled(w)
    git(w, command)
    equal(w.get(path).status, want, f"after git {command}")
    equal(settled(w), before + 1, f"generations of git {command}")


@limit(60)
def test_every_command_that_moves_the_tree_is_one_generation(w):
    repository(w)
    equal(w.get("/3").status, 401)
    one_generation(w, "checkout -q wide", 402)
    one_generation(w, "checkout -q main", 401)
    one_generation(w, "merge -q wide", 402)
    one_generation(w, "reset -q --hard HEAD~1", 401)
    w.sh(f"for i in 3 4; do echo 'fixed-response = 403' > {w.place}/rules/r$i/action; done")
    one_generation(w, "stash -q", 401)
    one_generation(w, "stash pop -q", 403)
    one_generation(w, f"restore {w.place}", 401)
    one_generation(w, "cherry-pick wide", 402)
    one_generation(w, "revert --no-edit HEAD", 401)
    one_generation(w, "switch -q --detach wide", 402)
    git(w, "switch -q main", quiet=True)
    equal(git(w, "status --porcelain").out, "")
    equal(w.sh("git fsck --full 2>&1 | grep -v dangling", rc=None).out, "", "the repository is whole")
    equal(w.sh(f"diff -r --no-dereference {w.store} {w.mnt}").out, "")


@limit(60)
def test_clean_rm_clone_pull_worktree(w):
    repository(w)
    w.rule(w.place, "extra", 100, "path-exact = /extra", "fixed-response = 405")
    equal(w.get("/extra").status, 405)
    git(w, "clean -q -fd", quiet=True)
    until(lambda: w.get("/extra").status == 200, 2, "git clean takes the rule away")
    git(w, f"rm -q -r {w.place}/rules/r3 && {GIT} commit -q -m less", quiet=True)
    until(lambda: w.get("/3").status == 200, 2, "git rm takes the rule away")
    out = f"{w.base}/out"
    w.sh(f"{GIT} clone -q . {out} && diff -r --no-dereference -x .git . {out}", quiet=True)
    w.sh(f"cd {out} && echo 'fixed-response = 406' > {w.place}/rules/r5/action && {GIT} commit -q -am six", quiet=True)
    before = settled(w)
    git(w, f"pull -q {out} main", quiet=True)
    equal(w.get("/5").status, 406)
    equal(settled(w), before + 1, "one generation for a pull")
    git(w, f"worktree add -q {w.base}/tree wide", quiet=True)
    git(w, "worktree add -q .tree main~1", quiet=True)
    git(w, f"worktree remove --force {w.base}/tree && git worktree remove --force .tree", quiet=True)
    git(w, "gc -q", quiet=True)
    equal(git(w, "status --porcelain").out, "")
    equal(w.get().status, 200)


@limit(60)
def test_clone_into_the_empty_mount(w):
    other = type(w)()
    try:
        other.start()
        repository(other)
        origin = f"{other.base}/origin"
        other.sh(f"{GIT} clone -q --bare . {origin}", quiet=True)
        target, port = other.target, other.port
        other.stop()
        w.sh(f"{GIT} clone -q {origin} {w.mnt}", cwd=w.base, quiet=True)
        equal(w.get("/3", port=port).status, 401)
        equal(target.count() > 0 or w.get("/none", port=port).status == 200, True)
        equal(git(w, "status --porcelain").out, "")
    finally:
        other.close()
        other.remove()


def test_a_bad_branch_is_refused_and_service_goes_on(w):
    repository(w)
    bad = bad_commit(w, "forward = nowhere", "default-action")
    table = w.read(".table")
    generation = w.generation()
    done = git(w, f"checkout -q {bad}", rc=128)
    check("index" in done.err, done.err)
    equal(w.read(".table"), table, "what was served goes on")
    equal(w.generation(), generation)
    equal(w.get().status, 200)
    hold = w.read(".hold")
    match(r"^[1-9]\d* problems?$", hold.splitlines()[0])
    match(rf"{w.place}/default-action:1:\d+: no target group 'nowhere'", hold)
    match(r"^held ", w.read(".status"))
    git(w, "checkout -q -f main")
    check(not os.path.exists(w.path(".hold")), "a good tree ends the hold")
    equal(w.get().status, 200)
    equal(git(w, "status --porcelain").out, "")
    w.write(f"{w.place}/default-action", "fixed-response = 409\n")
    equal(w.get().status, 409, "writes are in force again")


def bad_commit(w, text, name):
    """A commit in which one file says something wrong, made without touching the tree."""
    return w.sh(f"""export GIT_INDEX_FILE={w.base}/index; git read-tree main
        blob=$(echo '{text}' | git hash-object -w --stdin)
        git update-index --cacheinfo 100644,$blob,{w.place}/{name}
        {GIT} commit-tree -m bad -p main $(git write-tree)""").out.strip()


def test_a_branch_that_does_not_parse_is_refused_too(w):
    repository(w)
    commit = bad_commit(w, "port = what", "port")
    git(w, f"checkout -q {commit}", rc=128)
    equal(w.read(f"{w.place}/port"), "port = what\n", "git's files are kept for it")
    equal(w.get().status, 200)
    match(rf"{w.place}/port:1:0", w.read(".hold"))
    git(w, "checkout -q -f main")
    equal(w.get().status, 200)
    equal(w.read(f"{w.place}/port"), f"{w.port}\n")


def test_the_lock_of_a_killed_git_is_released(w):
    repository(w)
    holder = subprocess.Popen(["python3", "-c", "import os,time;os.open('.git/index.lock',os.O_CREAT|os.O_EXCL|os.O_WRONLY);"
                               "print('x',flush=True);time.sleep(60)"], cwd=w.mnt, stdout=subprocess.PIPE)
    holder.stdout.readline()
    w.write(f"{w.place}/default-action", "fixed-response = 404\n")
    equal(w.get().status, 200, "held while git is at work")
    match(r"^held ", w.read(".status"))
    holder.send_signal(signal.SIGKILL)
    holder.wait(10)
    until(lambda: w.get().status == 404, 10, "released when its maker died")
    check("held" not in w.read(".status"), "no longer held")


def test_a_new_port_and_group_by_one_checkout(w):
    """References in any order within one git command are right in the end."""
    repository(w)
    port = free_port()
    git(w, "checkout -q -b more")
    w.group("zebra", w.target)
    w.group("aardvark", w.target)
    w.service("cart", port, "forward = zebra aardvark")
    git(w, f"add -A && {GIT} commit -q -m more", quiet=True)
    one_generation(w, "checkout -q main", 401)
    equal(os.path.exists(w.path("services/cart")), False)
    one_generation(w, "checkout -q more", 401)
    equal(w.get(host="cart", port=port).status, 200)


def test_git_status_is_harmless(w):
    repository(w)
    generation = w.generation()
    w.sh("touch services/shop/listeners/web/port; for i in 1 2 3; do git status > /dev/null; done; git diff; git log -1", quiet=True)
    equal(w.generation(), generation)
    check("held" not in w.read(".status"), "not held")
