"""What the parts of tests/kube/daemon share: counting, and the kontaind processes that they start."""
import os
import signal

import kontaind as k

BUILD = os.environ.get("KONTAIN_BUILD", os.path.join(k.HERE, "../../../build/dev"))
PROGRAM = os.path.join(os.path.abspath(BUILD), "daemon/kontaind")
counts = {"passed": 0, "failed": 0, "skipped": 0}
logs = []  # every kontaind that was started


def check(good, name, detail=""):
	counts["passed" if good else "failed"] += 1
	if not good:
		print(f"FAIL {name}: {detail}", flush=True)
	return good


def skip(name, why):
	counts["skipped"] += 1
	print(f"SKIP {name}: {why}", flush=True)


UNFIT = {"ready": False, "reason": "DeviceMissing", "message": "no /dev/kvm"}


def daemon(*arguments, **options):
	one = k.Daemon(PROGRAM, *arguments, **options)
	logs.append(one)
	return one


def end(one, name, number=signal.SIGTERM):
	status, seconds = one.stop(number)
	check(status == 0, f"{name}: ends with 0", f"{status}: {one.text()[-300:]}")
	# Seconds where a moment is meant: a busy machine must not fail it, a wait for a timeout (5 s and more) must.
	check(seconds < 4, f"{name}: ends at once", f"took {seconds:.1f} s")
	check(one.sanitizer() == "", f"{name}: the sanitizers have nothing to say", one.sanitizer()[:2000])
