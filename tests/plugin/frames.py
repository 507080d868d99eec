"""HTTP/2 by hand: what no client library sends."""
import socket
import struct
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1


def frame(kind, flags=0, stream=0, payload=b""):
	return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def literal(name, value):
	"""a header that is put into no table, without Huffman; each shorter than 127"""
	return b"\x00" + bytes((len(name),)) + name + bytes((len(value),)) + value


def request_headers(path, authority=b"localhost", more=()):
	rows = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", path), (b":authority", authority),
		(b"content-type", b"application/grpc"), (b"te", b"trailers"), *more]
	return b"".join(literal(name, value) for name, value in rows)


def message(data, compressed=0):
	return bytes((compressed,)) + struct.pack(">I", len(data)) + data


class Raw:
	def __init__(self, path, settings=b""):
		self.socket = socket.socket(socket.AF_UNIX)
		self.socket.connect(path)  # waits where the backlog is full
		self.socket.settimeout(10)
		self.got = b""
		self.send(PREFACE + frame(SETTINGS, 0, 0, settings))

	def send(self, data):
		self.socket.sendall(data)

	def frames(self, until=None, seconds=10):
		"""Frames that come until one is until(frame), the end of the connection, or the time's."""
		found, deadline = [], time.monotonic() + seconds
		while time.monotonic() < deadline:
			while len(self.got) >= 9:
				size = int.from_bytes(self.got[:3], "big")
				if len(self.got) < 9 + size:
					break
				one = (self.got[3], self.got[4], int.from_bytes(self.got[5:9], "big"), self.got[9:9 + size])
				self.got = self.got[9 + size:]
				found.append(one)
				if until and until(one):
					return found
			self.socket.settimeout(max(0.01, deadline - time.monotonic()))
			try:
				data = self.socket.recv(65536)
			except (socket.timeout, ConnectionResetError):
				break
			if not data:
				break
			self.got += data
		return found

	def is_closed(self, seconds=10):
		"""The other side ends the connection."""
		self.socket.settimeout(seconds)
		try:
			while self.socket.recv(65536):
				pass
			return True
		except socket.timeout:
			return False
		except OSError:
			return True

	def close(self):
		self.socket.close()
