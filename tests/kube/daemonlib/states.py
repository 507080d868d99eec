"""What kontaind says of each state that an installer, an accident or an attacker may leave; how it rests and ends."""
import json
import os
import signal
import tempfile
import time

import kontaind as k
from checks import UNFIT, check, daemon, end


def cut(document):
	text = json.dumps(document).encode()
	return text[:len(text) // 2]


def rollout(settled, reason, message=""):
	return {"settled": settled, "reason": reason, "message": message}


# Name, what is written, /readyz, /readyz/km, kontaind_ready, a part of /readyz?verbose.
STATES = [
	("proven", k.state(), 200, 200, 1, "[+]version ok: version 1.0 is current"),
	("empty", b"", 503, 503, 0, "[-]state failed: StateInvalid"),
	("garbage", bytes(range(256)), 503, 503, 0, "[-]state failed: StateInvalid"),
	("truncated", cut(k.state()), 503, 503, 0, "[-]state failed: StateInvalid"),
	("an array", b"[]", 503, 503, 0, "StateInvalid"),
	("nested deep", b"[" * 200000, 503, 503, 0, "StateInvalid"),
	("too large", k.state(top={"x": "y" * 300000}), 503, 503, 0, "StateInvalid"),
	("duplicate keys", json.dumps(k.state())[:-1].encode() + b',"kind":"NodeState"}', 503, 503, 0, "StateInvalid"),
	("of another kind", k.state(top={"kind": "Node"}), 503, 503, 0, "StateInvalid"),
	("of a later version", k.state(top={"apiVersion": "kontain.app/v2"}), 503, 503, 0, "StateInvalid"),
	("a verdict of the wrong type", k.state(node={"ready": "true"}), 503, 503, 0, "StateInvalid"),
	("an unheard-of reason", k.state(node={"reason": "Bored"}), 503, 503, 0, "StateInvalid"),
	("from the future", k.state(observed=3600, until=7200), 503, 503, 0, "[-]state failed: StateInvalid"),
	("promises for ever", k.state(until=10 ** 9), 503, 503, 0, "StateInvalid"),
	("overdue", k.state(observed=-700, until=-100), 503, 503, 0, "[-]state failed: StateOverdue"),
	("of another boot", k.state(boot="0" * 8 + "-0000-4000-8000-" + "0" * 12), 503, 503, 0, "StateOfOtherBoot"),
	("has more to say than we know", k.state(top={"later": {"x": 1}}), 200, 200, 1, "[+]state ok"),
	("unfit and settled", k.state(node=UNFIT, rollout=rollout(True, "DeviceMissing")), 200, 503, 0,
		"[+]km unfit: DeviceMissing: no /dev/kvm"),
	("unfit and held", k.state(node=UNFIT, rollout=rollout(False, "DeviceMissing")), 503, 503, 0,
		"[-]km failed: DeviceMissing"),
	("an upgrade failed", k.state(rollout=rollout(False, "KmAborted", "1.1 aborts")), 503, 200, 1,
		"[-]version failed: KmAborted: 1.1 aborts"),
	("starting", k.state(node={"ready": False, "reason": "Starting"}, rollout=rollout(False, "Starting")),
		503, 503, 0, "[-]version failed: Starting"),
	("taken back", k.state(node={"ready": False, "reason": "Absent"}, rollout=rollout(True, "Absent")), 200, 503, 0,
		"[+]version ok: Absent"),
	("lines in a sentence", k.state(node={"message": "x\nreadyz check failed\n[-]km failed"}), 200, 200, 1,
		"[+]km ok: x readyz check failed [-]km failed\n"),
	("a version that is a lie", k.state(versions={"current": "1\"} 1\nkontaind_ready 1"}), 503, 503, 0,
		"StateInvalid"),
]


def test_states():
	one = daemon("--standalone").serving()
	good, last = one.wait_for("/readyz?verbose", 503, "[-]state failed: StateMissing")
	check(good, "states: none yet", last)
	check("[+]report ok: standalone" in last.body, "states: standalone reports to nobody", last)
	delays = []
	for name, document, code, km_code, ready, text in STATES:
		between = f"between {name}"  # so that no row is taken for the one before it
		k.write(one.state_path, k.state(rollout=rollout(True, "Ready", between)))
		check(one.wait_for("/readyz?verbose", 200, between)[0], f"states: proven before {name}")
		k.write(one.state_path, document)
		start = time.monotonic()
		good, last = k.until(lambda: between not in one.ask("/readyz?verbose").body), one.ask("/readyz?verbose")
		delays.append(time.monotonic() - start)
		check(good and last.code == code and text in last.body, f"states: {name}", last)
		km, metrics, live = one.ask("/readyz/km"), one.ask("/metrics"), one.ask("/livez")
		check(km.code == km_code, f"states: {name}: /readyz/km", km)
		check(f"\nkontaind_ready {ready}\n" in metrics.body, f"states: {name}: ready {ready}", metrics.body)
		check(live.code == 200, f"states: {name}: lives", live)
	# By the slow look alone half of them would take 2.5 s and more.
	check(sorted(delays)[len(delays) // 2] < 2, "states: a rename is seen at once", delays)
	k.write(one.state_path, k.state(node=UNFIT, rollout=rollout(True, "DeviceMissing")))
	good, last = one.wait_for("/readyz", 200, "unfit: DeviceMissing")
	check(good, "states: /readyz names an unfit node", last)
	places = (("a fifo", os.mkfifo, os.unlink), ("a folder", os.mkdir, os.rmdir),
		("a link to itself", lambda path: os.symlink(path, path), os.unlink))
	for name, make, remove in places:
		k.write(one.state_path, k.state())
		check(one.wait_for("/readyz", 200, "ok")[0], f"states: proven before {name}")
		os.unlink(one.state_path)
		make(one.state_path)
		good, last = one.wait_for("/readyz?verbose", 503, "[-]state failed: StateInvalid")
		check(good, f"states: {name} in its place", last)
		remove(one.state_path)
	k.write(one.state_path, k.state())
	os.chmod(one.state_path, 0)
	good, last = one.wait_for("/readyz?verbose", 503, "Permission denied")
	check(good, "states: root without capabilities may not read what nobody may", last)
	k.write(one.state_path, k.state())
	one.wait_for("/readyz", 200)
	before = len(one.lines())
	for _ in range(20):  # the same again, as the installer writes it each minute
		k.write(one.state_path, k.state())
		one.ask("/readyz")
	check(len(one.lines()) == before, "states: no change, no line in the log", one.text()[-500:])
	end(one, "states")


def test_time_alone():
	"""Nobody tells it, and nobody asks it: the log says when a state has become overdue."""
	one = daemon("--standalone")
	k.write(one.state_path, k.state(until=3))
	one.serving()
	check(one.ask("/readyz").code == 200, "time: in time at first")
	check(one.wait_for_line("node unknown", reason="StateOverdue"), "time: overdue without an event", one.text())
	check(one.ask("/readyz").code == 503, "time: not ready then")
	k.write(one.state_path, k.state())
	good, last = one.wait_for("/readyz", 200)
	check(good, "time: ready again", last)
	end(one, "time", signal.SIGINT)


def test_folder_comes_later():
	folder = tempfile.mkdtemp(prefix="later-")
	path = os.path.join(folder, "run/kontain/state.json")
	one = daemon("--standalone", "--state", path).serving()
	os.makedirs(os.path.dirname(path))
	k.write(path, k.state())
	good, last = one.wait_for("/readyz", 200)
	check(good, "folder: made later", last)
	os.rename(os.path.dirname(path), os.path.join(folder, "run/old"))
	good, last = one.wait_for("/readyz", 503, "StateMissing")
	check(good, "folder: moved away", last)
	os.makedirs(os.path.dirname(path))
	k.write(path, k.state(node=UNFIT))
	good, last = one.wait_for("/readyz/km", 503, "DeviceMissing")
	check(good, "folder: another in its place", last)
	end(one, "folder")


def test_rest():
	"""At rest: privileges, descriptors, how often it wakes."""
	leak = os.open("/etc/hostname", os.O_RDONLY)
	one = daemon("--standalone", pass_fds=(leak,))
	k.write(one.state_path, k.state())
	one.serving().wait_for("/readyz", 200)
	for key, value in (("CapEff", 0), ("CapPrm", 0), ("CapInh", 0), ("CapBnd", 0), ("CapAmb", 0)):
		check(int(one.status(key), 16) == value, f"rest: {key}", one.status(key))
	check(one.status("NoNewPrivs") == "1", "rest: NoNewPrivs", one.status("NoNewPrivs"))
	check(one.status("Threads") == "1", "rest: one thread", one.status("Threads"))
	# 0-2, signals, the alarm, inotify, HTTP with its epoll, and the pair by which curl could be woken; a client's may
	# linger.
	check(k.until(lambda: len(one.descriptors()) <= 10), "rest: few descriptors", one.descriptors())
	open_files = one.descriptors()
	own = ("socket:", "anon_inode:")
	odd = {fd: what for fd, what in open_files.items() if fd > 2 and not what.startswith(own)}
	check(not odd, "rest: no descriptor but its own", odd)
	os.close(leak)
	before, used = int(one.status("voluntary_ctxt_switches")), one.ticks()
	time.sleep(11)
	woken, used = int(one.status("voluntary_ctxt_switches")) - before, one.ticks() - used
	check(woken <= 12, "rest: sleeps", f"woken {woken} times in 11 s")
	check(used <= 10, "rest: costs nothing", f"{used} ticks in 11 s")
	end(one, "rest")
