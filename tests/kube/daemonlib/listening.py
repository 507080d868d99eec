"""Where kontaind listens: every address of IPv4 and IPv6, and of whichever of them there is. Each case is a process in
a network of its own, as a pod is."""
import ctypes
import socket
import struct
import subprocess

from checks import check, daemon, end

CLONE_NEWNET = 0x40000000
LIVEZ = b"GET /livez HTTP/1.1\r\nHost: test\r\n\r\n"
libc = ctypes.CDLL(None, use_errno=True)


def sysctl(name, value):
	with open(f"/proc/sys/net/{name}", "w") as file:
		file.write(value)


def refuse_ipv6():
	"""As a kernel without IPv6 (ipv6.disable=1) does: socket(AF_INET6) fails with EAFNOSUPPORT."""
	def statement(code, value, yes=0, no=0):
		return struct.pack("HBBI", code, yes, no, value)
	rows = (
		statement(0x20, 0),                 # load the call's number
		statement(0x15, 41, 0, 3),          # socket?
		statement(0x20, 16),                # load its first argument
		statement(0x15, socket.AF_INET6, 0, 1),
		statement(0x06, 0x00050000 | 97),   # SECCOMP_RET_ERRNO, EAFNOSUPPORT
		statement(0x06, 0x7fff0000),        # SECCOMP_RET_ALLOW
	)
	program = ctypes.create_string_buffer(b"".join(rows))
	class Filter(ctypes.Structure):
		_fields_ = [("length", ctypes.c_ushort), ("rows", ctypes.c_void_p)]
	one = Filter(len(rows), ctypes.addressof(program))
	if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(one), 0, 0):
		raise OSError(ctypes.get_errno(), "seccomp")


# Name, what is done to the network before the start, addresses that answer, addresses that do not.
CASES = [
	("both", lambda: None, ["127.0.0.1", "::1"], []),
	("IPv6 by itself unless told otherwise", lambda: sysctl("ipv6/bindv6only", "1"), ["127.0.0.1", "::1"], []),
	("IPv6 alone", lambda: subprocess.run(["ip", "-4", "addr", "flush", "dev", "lo"], check=True), ["::1"],
		["127.0.0.1"]),
	("IPv6 switched off", lambda: [sysctl(f"ipv6/conf/{name}/disable_ipv6", "1") for name in ("all", "default", "lo")],
		["127.0.0.1"], ["::1"]),
	("a kernel without IPv6", refuse_ipv6, ["127.0.0.1"], []),
]


def in_network_of(pid, address):
	"""Asked from inside; the answer's code, 0 for none."""
	family = "AF_INET6" if ":" in address[0] else "AF_INET"
	code = (f"import socket; s = socket.socket(socket.{family}); s.settimeout(20); s.connect({address!r}); "
		f"s.sendall({LIVEZ!r}); print(s.recv(100).split()[1].decode())")
	done = subprocess.run(["nsenter", f"--net=/proc/{pid}/ns/net", "python3", "-c", code], capture_output=True, text=True)
	return int(done.stdout or 0)


def test_listening():
	for options in (["--listen", ":0"], ["--listen", "[::]:0"]):
		for name, prepare, answers, silent in CASES:
			if options[1] != ":0" and name != "IPv6 by itself unless told otherwise":
				continue
			def before():
				if libc.unshare(CLONE_NEWNET):
					raise OSError(ctypes.get_errno(), "unshare")
				subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
				prepare()
			one = daemon("--standalone", *options, before=before).serving()
			for address, wanted in [(a, 200) for a in answers] + [(a, 0) for a in silent]:
				got = in_network_of(one.process.pid, (address, one.address[1]))
				check(got == wanted, f"listening: {name}: {options[1]}: {address}",
					f"{got} instead of {wanted}: {one.text()[-300:]}")
			end(one, f"listening: {name}")
