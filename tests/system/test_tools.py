"""test_tools.py - real tools on the mount, without a single error line, and what they say when the text is wrong."""
import os

from harness import check, equal, limit, match, until


def served(w, want=200):
    equal(w.get().status, want, "still served")


def same(w):
    """The store and the mount hold the same bytes."""
    equal(w.sh(f"diff -r --no-dereference {w.store} {w.mnt}", quiet=True).out, "")


def group_status(w, code):
    """The default action answers code."""
    until(lambda: w.get().status == code, 1, f"answers {code}")


def test_redirections_of_every_shell(w):
    w.site()
    code = 400
    for shell in ("bash", "dash", "zsh", "busybox sh"):
        argv = "busybox" if shell.startswith("busybox") else shell
        for line in ("echo 'fixed-response = {}' > {}", "printf 'fixed-response = {}\\n' > {}",
                     "cat > {1} <<E\n# a comment\nfixed-response = {0}\nE",
                     "{{ echo '# head'; echo 'fixed-response = {}'; }} > {}",
                     "{{ echo '# head' | cat; echo 'fixed-response = {}' | cat; }} > {}"):
            code += 1
            script = line.format(code, f"{w.place}/default-action")
            if argv == "busybox":
                script = f"busybox sh -c {quoted(script)}"
                w.sh(script, quiet=True)
            else:
                w.sh(script, shell=argv, quiet=True)
            equal(w.get().status, code, f"{shell}: {script}")
    for shell in ("bash", "dash", "zsh"):
        done = w.sh(f"echo 'forward = nowhere' > {w.place}/default-action", shell=shell, rc=1)
        check("rror" in done.err, f"{shell} says so: {done.err}")
        equal(w.get().status, code, "the old action goes on")
    same(w)


def quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


def test_cp_both_ways(w):
    w.site()
    out = os.path.join(w.base, "copy")
    w.sh(f"cp -a . {out} && diff -r --no-dereference . {out}", quiet=True)
    w.sh("cp -a services/shop services/.twin && cp -r services/shop/listeners services/.twin/again", quiet=True)
    w.sh(f"echo 'fixed-response = 404' > {w.base}/new && cp {w.base}/new {w.place}/default-action", quiet=True)
    equal(w.get().status, 404)
    w.sh(f"cp --remove-destination {out}/{w.place}/default-action {w.place}/default-action", quiet=True)
    served(w)
    w.sh(f"cp --backup {w.base}/new {w.place}/default-action", quiet=True)
    equal(w.get().status, 404)
    equal(w.read(f"{w.place}/default-action~"), "forward = blue\n")
    done = w.sh(f"echo 'forward = x' > {w.base}/bad; cp {w.base}/bad {w.place}/default-action", rc=1)
    check("Invalid argument" in done.err, done.err)
    equal(w.get().status, 404)
    same(w)


def test_a_whole_site_comes_and_goes(w):
    w.site()
    out = os.path.join(w.base, "copy")
    w.sh(f"cp -a . {out}", quiet=True)
    w.sh("rm -r networks/net/services/shop && rm -r services networks vpcs target-groups", quiet=True)
    equal(os.listdir(w.mnt), [])
    match(r"services 0\b", w.read(".status"))
    w.sh(f"cp -a {out}/vpcs {out}/target-groups . && cp -a {out}/services . && cp -a {out}/networks .", quiet=True)
    served(w)
    w.sh(f"touch .hold && rm -r services networks vpcs target-groups && cp -a {out}/. . && rm .hold", quiet=True)
    served(w)
    equal(w.sh(f"diff -r --no-dereference . {out}", quiet=True).out, "")
    same(w)


def test_mv_in_out_and_about(w):
    w.site()
    w.sh(f"mv {w.place}/default-action {w.place}/default-action.orig && mv {w.place}/default-action.orig {w.place}/default-action",
         quiet=True)
    served(w)
    w.sh(f"echo 'fixed-response = 410' > {w.base}/from && mv {w.base}/from {w.place}/default-action", quiet=True)
    equal(w.get().status, 410)
    w.sh(f"mv {w.place}/default-action {w.base}/to && cat {w.base}/to && mv {w.base}/to {w.place}/default-action", quiet=True)
    equal(w.get().status, 410)
    w.group("spare", w.target)
    w.sh("mv target-groups/spare target-groups/extra && ls target-groups/extra/targets", quiet=True)
    w.write(f"{w.place}/default-action", "forward = extra\n")
    served(w)
    same(w)


def test_tar_both_ways(w):
    w.site()
    w.sh(f"tar cf {w.base}/site.tar . && tar tf {w.base}/site.tar", quiet=True)
    w.sh(f"tar xf {w.base}/site.tar", quiet=True)
    served(w)
    w.sh(f"mkdir {w.base}/out && tar xf {w.base}/site.tar -C {w.base}/out && diff -r --no-dereference . {w.base}/out",
         quiet=True)
    w.sh("rm networks/net/services/shop && rm -r services networks vpcs target-groups", quiet=True)
    w.sh(f"touch .hold && tar xf {w.base}/site.tar && rm .hold", quiet=True)
    served(w)
    w.sh(f"tar cf {w.base}/status.tar .status .table services/shop/.status", quiet=True)
    same(w)


def test_rsync_both_ways(w):
    w.site()
    out = os.path.join(w.base, "site")
    w.sh(f"rsync -a ./ {out}/ && diff -r --no-dereference . {out}", quiet=True)
    w.sh(f"echo 'fixed-response = 402' > {out}/{w.place}/default-action; echo x > {out}/README; "
         f"mkdir -p {out}/target-groups/green/targets; touch {out}/target-groups/green/targets/127.0.0.1:9", quiet=True)
    w.sh(f"rsync -a --delete {out}/ ./", quiet=True)
    equal(w.get().status, 402)
    w.sh(f"rm -r {out}/target-groups/green {out}/README && echo 'forward = blue' > {out}/{w.place}/default-action")
    w.sh(f"touch .hold && rsync -a --delete {out}/ ./ && rm .hold", quiet=True)
    served(w)
    w.sh(f"rsync -a --delete {out}/ ./", quiet=True)
    equal(w.sh(f"rsync -ain --delete {out}/ ./", quiet=True).out, "", "nothing to send again")
    w.sh(f"echo 'fixed-response = 403' > {out}/{w.place}/default-action && rsync -a --inplace {out}/ ./", quiet=True)
    equal(w.get().status, 403)
    w.sh(f"printf '# longer\\nfixed-response = 406\\n' > {out}/{w.place}/default-action && rsync -a --delay-updates --backup {out}/ ./",
         quiet=True)
    equal(w.get().status, 406)
    w.sh(f"echo 'forward = nowhere' > {out}/{w.place}/default-action")
    w.sh(f"rsync -a {out}/ ./", rc=23)
    equal(w.get().status, 406)
    w.sh(f"cp -p {w.place}/default-action {out}/{w.place}/default-action && rsync -a --delete {out}/ ./", quiet=True)
    same(w)


def test_editors_in_place(w):
    w.site()
    name = f"{w.place}/default-action"
    w.write(name, "# comment\nfixed-response = 401\n")
    steps = [(f"sed -i s/401/402/ {name}", 402), (f"sed -i.bak s/402/403/ {name}", 403),
             (f"perl -i -pe s/403/404/ {name}", 404), (f"perl -i.old -pe s/404/405/ {name}", 405),
             (f"busybox sed -i s/405/406/ {name}", 406),
             (f"printf '%s\\n' ',s/406/407/' w q | ed -s {name}", 407),
             (f"vim -u NONE -es -c 'set backupskip=' -c '%s/407/408/' -c wq {name}", 408),
             (f"vim -u NONE -es -c 'set backupskip= backupcopy=yes' -c '%s/408/409/' -c wq {name}", 409),
             (f"vim -u NONE -es -c 'set backupskip= backup' -c '%s/409/410/' -c wq {name}", 410),
             (f"vim -u NONE -es -c 'set nowritebackup' -c '%s/410/411/' -c wq {name}", 411)]
    for script, want in steps:
        w.sh(script, quiet=True)
        equal(w.get().status, want, script)
    w.sh(f"sed -i s/411/99/ {name}", rc=4)
    w.sh(f"perl -i -pe s/411/99/ {name}", rc=None)
    w.sh(f"vim -u NONE -es -c 'set backupskip=' -c '%s/411/99/' -c w -c 'qa!' {name}", rc=None)
    equal(w.get().status, 411, "a wrong edit changes nothing")
    equal(w.read(name), "# comment\nfixed-response = 411\n")
    same(w)


def test_writers(w):
    w.site()
    name = f"{w.place}/default-action"
    new = f"{w.base}/new"
    steps = ["install -m 644 {new} {name}", "tee {name} < {new} > {new}.out", "dd if={new} of={name} status=none",
             "dd if={new} of={name} conv=fsync bs=7 status=none", "cat {new} > {name}", "awk 1 {new} > {name}",
             "sort {new} -o {name}", "curl -s file://{new} -o {name}",
             "python3 -c \"open('{name}','w').write(open('{new}').read())\"",
             "ln -f {new}.in-mount {name}", "cp -l {new}.in-mount {name}~ && mv {name}~ {name}"]
    for code, line in enumerate(steps, 420):
        w.sh(f"echo 'fixed-response = {code}' > {new}")
        if "in-mount" in line:
            w.sh(f"cp {new} .new.in-mount", quiet=True)
            line = line.replace("{new}.in-mount", ".new.in-mount")
        w.sh(line.format(new=new, name=name), quiet=True)
        equal(w.get().status, code, line)
        w.sh("rm -f .new.in-mount")
    w.sh(f"echo 'forward = nowhere' > {new}")
    for line in steps[:8]:
        done = w.sh(line.format(new=new, name=name), rc=None)
        check(done.rc != 0, f"{line} fails with a wrong text")
        equal(w.get().status, 420 + len(steps) - 1, line)
        check(os.path.exists(w.path(name)), f"{name} is there after {line}")
    same(w)


def test_patch_find_grep_and_ls(w):
    w.site()
    w.sh(f"cd {w.place} && printf -- '--- a/default-action\\n+++ b/default-action\\n@@ -1 +1 @@\\n-forward = blue\\n"
         f"+fixed-response = 451\\n' > {w.base}/change && patch -s -p1 < {w.base}/change", quiet=True)
    equal(w.get().status, 451)
    w.sh(f"cd {w.place} && patch -s -b -R -p1 < {w.base}/change", quiet=True)
    served(w)
    out = w.sh("grep -r blue .", quiet=True).out
    check("default-action:forward = blue" in out, out)
    check(".status" not in out, "hidden entries are not read")
    equal(w.sh("find . -name '.*' ! -name .", quiet=True).out, "")
    w.sh("ls -lR; ls -la . services; du -s .; stat -f .; df .; wc -c $(find . -type f); cat $(find . -type f)", quiet=True)
    w.sh("find . -type f -exec md5sum {} + > /dev/null; find . -newer vpcs", quiet=True)


def test_touch_truncate_and_chmod(w):
    w.site()
    before = w.generation()
    w.sh(f"touch {w.place}/port; chmod 640 {w.place}/port; chgrp 3 {w.place}/port; touch -d 2001-01-01 {w.place}/default-action",
         quiet=True)
    equal(w.generation(), before, "nothing that serves changed")
    served(w)
    w.sh(f"truncate -s 0 {w.place}/port", rc=None)
    until(lambda: w.read(f"{w.place}/port") == f"{w.port}\n", 2, "a required file is not emptied")
    w.sh("touch target-groups/blue/targets/127.0.0.1:9", quiet=True)
    match(r"127\.0\.0\.1:9\b", w.read("target-groups/blue/.status"))
    w.sh("rm target-groups/blue/targets/127.0.0.1:9", quiet=True)
    same(w)


@limit(60)
def test_scripts_of_a_day(w):
    """Many small steps in a row by a shell loop, each in force when the next one runs."""
    w.site()
    w.group("green", w.target)
    w.sh(f"""for i in $(seq 1 60); do
        echo "forward = blue:$i green:$((60 - i))" > {w.place}/default-action || exit 9
        grep -q "blue:$i{{" .table || exit 8
    done""", quiet=True)
    served(w)
