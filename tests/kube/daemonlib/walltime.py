"""The wall clock jumps by hours in either direction, as when NTP finds it wrong: no verdict changes, not for a second.
The jump is kontaind's alone, by a preloaded library; the machine's clock stays as it is."""
import mmap
import os
import struct
import subprocess
import tempfile
import time

import kontaind as k
from checks import check, end, logs, skip
from memory import plain_program

JUMPS = (3600, -3600, 7 * 24 * 3600, -24 * 3600, 0)


def with_clock(name):
	"""A kontaind that serves, and how far its clocks are off: jump[:] = two numbers, wall and boot clock. None: why is
	told."""
	program, folder = plain_program(), tempfile.mkdtemp(prefix="clock-")
	if not program:
		return skip(name, "no kontaind without sanitizers: build the release")
	library, path = f"{folder}/wallclock.so", f"{folder}/jump"
	built = subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, f"{k.HERE}/wallclock.c"],
		capture_output=True, text=True)
	if built.returncode:
		check(False, f"{name}: the library builds", built.stderr)
		return None
	with open(path, "wb") as file:
		file.write(struct.pack("qq", 0, 0))
	with open(path, "r+b") as file:
		jump = mmap.mmap(file.fileno(), 16)
	one = k.Daemon(program, "--standalone", environment={"LD_PRELOAD": library, "TEST_WALL_CLOCK": path})
	logs.append(one)
	k.write(one.state_path, k.state())
	one.serving().wait_for("/readyz", 200)
	return one, jump


def test_wall_clock():
	made = with_clock("wall clock")
	if not made:
		return
	one, jump = made
	for seconds in JUMPS:
		jump[:] = struct.pack("qq", seconds, 0)
		seen, until = set(), time.monotonic() + 2.5
		while time.monotonic() < until:
			answer = one.ask("/readyz")
			seen.add((answer.code, answer.body))
			time.sleep(0.05)
		check(seen == {(200, "ok\n")}, f"wall clock: {seconds:+} s: stays ready", seen)
		# A state that is written now has the new time for people.
		document = k.state()
		document.update(observedAt=k.stamp(seconds), nextUpdateBy=k.stamp(seconds + 600))
		k.write(one.state_path, document)
		time.sleep(0.3)
		check(one.ask("/readyz").code == 200, f"wall clock: {seconds:+} s: and with a new state", one.ask("/readyz"))
		age = float(one.ask("/metrics").body.split("\nkontaind_state_age_seconds ")[1].split()[0])
		check(age < 60, f"wall clock: {seconds:+} s: its age is by the other clock", age)
	stamps = [line["ts"][:13] for line in one.lines()]
	check("node unknown" not in one.text(), "wall clock: nothing is told", one.text()[-500:])
	# The library did what it is here for: a line that is logged now has the time of the jump.
	jump[:] = struct.pack("qq", 10 * 365 * 24 * 3600, 0)
	os.unlink(one.state_path)
	one.wait_for("/readyz", 503)
	later = [line["ts"][:13] for line in one.lines()]
	check(later[-1][:4] > stamps[-1][:4], "wall clock: it did jump", later)
	end(one, "wall clock")


def test_suspend():
	"""A machine that slept for an hour: the state of before is overdue at once, and the next is believed at once."""
	made = with_clock("suspend")
	if not made:
		return
	one, jump = made
	# What it waits on goes by the boot clock (7), so that it ends with the sleep; and it is set.
	alarms = [text for text in (open(f"/proc/{one.process.pid}/fdinfo/{fd}").read()
		for fd in os.listdir(f"/proc/{one.process.pid}/fdinfo")) if "clockid: 7" in text]
	check(len(alarms) == 1 and "it_value: (0, 0)" not in alarms[0], "suspend: waits by the boot clock", alarms)
	jump[:] = struct.pack("qq", 3600, 3600)
	answer = one.ask("/readyz?verbose")
	check(answer.code == 503 and "StateOverdue" in answer.body, "suspend: what was before is overdue at once", answer)
	document = k.state()
	for key in ("observedAtBoot", "nextUpdateByBoot"):
		document[key] += 3600
	k.write(one.state_path, document)
	until = time.monotonic() + 1
	while one.ask("/readyz").code != 200 and time.monotonic() < until:
		time.sleep(0.02)
	check(one.ask("/readyz").code == 200, "suspend: a new state is believed within a second", one.ask("/readyz"))
	age = float(one.ask("/metrics").body.split("\nkontaind_state_age_seconds ")[1].split()[0])
	check(age < 60, "suspend: its age", age)
	end(one, "suspend")
