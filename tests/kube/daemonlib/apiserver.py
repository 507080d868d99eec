"""Stand-ins for the API server, each with one vice. A real kube-apiserver tells no lies and breaks no protocol, so what
kontaind does with one that does cannot be asked of it; what an honest one makes of the reports is tests/kube/report's
matter, which starts the real program."""
import gzip
import json
import os
import socket
import ssl
import subprocess
import threading
import time

NODE = "mine"


def make_certificates(folder):
	"""Two CAs; a server's certificate of each for 127.0.0.1, and one of the first for another name."""
	def openssl(*words):
		subprocess.run(["openssl", *words], check=True, cwd=folder, capture_output=True)
	for name in ("ca", "wrong-ca"):
		openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
			"-keyout", f"{name}.key", "-out", f"{name}.crt")
	for name, authority, subject in (("good", "ca", "IP:127.0.0.1"), ("foreign", "wrong-ca", "IP:127.0.0.1"),
			("elsewhere", "ca", "DNS:elsewhere.example,IP:127.0.0.9")):
		with open(os.path.join(folder, f"{name}.ext"), "w") as file:
			file.write(f"subjectAltName={subject}\n")
		openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key",
			"-out", f"{name}.csr")
		openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.crt", "-CAkey", f"{authority}.key",
			"-CAcreateserial", "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.crt")


class Server:
	"""One thread a connection; answer(server, connection, request) writes whatever it likes. A request is
	{"line", "token", "body"}."""

	def __init__(self, folder, answer, certificate="good", tls=True, old_tls=False, address="127.0.0.1"):
		self.answer, self.requests, self.connections, self.is_over = answer, [], 0, False
		self.tokens = None  # None: any is good
		self.node = {"kind": "Node", "apiVersion": "v1", "metadata": {"name": NODE, "labels": {"team": "blue"}},
			"spec": {}, "status": {"conditions": []}}
		self.context = None
		if tls:
			self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
			if old_tls:  # SECLEVEL=0: OpenSSL 3 offers no TLS 1.1 otherwise
				self.context.set_ciphers("ALL:@SECLEVEL=0")
				self.context.minimum_version = ssl.TLSVersion.TLSv1
				self.context.maximum_version = ssl.TLSVersion.TLSv1_1
			self.context.load_cert_chain(f"{folder}/{certificate}.crt", f"{folder}/{certificate}.key")
		self.listener = socket.create_server((address, 0))
		self.port = self.listener.getsockname()[1]
		threading.Thread(target=self.accept, daemon=True).start()

	def accept(self):
		while not self.is_over:
			try:
				connection, _ = self.listener.accept()
			except OSError:
				return
			self.connections += 1
			threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

	def serve(self, connection):
		connection.settimeout(60)
		try:
			if self.context:
				connection = self.context.wrap_socket(connection, server_side=True)
			while request := read_request(connection):
				self.requests.append(request)
				if self.answer(self, connection, request) is False:
					break
		except (OSError, ssl.SSLError, ValueError):
			pass
		finally:
			connection.close()

	def close(self):
		self.is_over = True
		self.listener.close()


def read_request(connection):
	got = b""
	while b"\r\n\r\n" not in got:
		chunk = connection.recv(65536)
		if not chunk:
			return None
		got += chunk
	head, _, body = got.partition(b"\r\n\r\n")
	fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
	while len(body) < int(fields.get("Content-Length", 0)):
		body += connection.recv(65536)
	token = fields.get("Authorization", "").removeprefix("Bearer ")
	return {"line": head.decode().split("\r\n")[0], "token": token,
		"type": fields.get("Content-Type", ""), "agent": fields.get("User-Agent", ""), "body": body.decode()}


def reply(connection, code, body, head="Content-Type: application/json\r\n"):
	body = body if isinstance(body, bytes) else body.encode()
	connection.sendall(f"HTTP/1.1 {code} X\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)


def merge(into, patch):
	for key, value in patch.items():
		if value is None:
			into.pop(key, None)
		elif isinstance(value, dict):
			merge(into.setdefault(key, {}), value)
		else:
			into[key] = value


def honest(server, connection, request):
	"""As much of an API server as these tests need: one node, tokens, the patches."""
	if server.tokens is not None and request["token"] not in server.tokens:
		return reply(connection, 401, json.dumps({"kind": "Status", "message": "Unauthorized"}))
	if request["type"] == "application/merge-patch+json":
		merge(server.node, json.loads(request["body"]))
	elif request["type"] == "application/strategic-merge-patch+json":
		for change in json.loads(request["body"])["status"]["conditions"]:
			rest = [c for c in server.node["status"]["conditions"] if c["type"] != change["type"]]
			server.node["status"]["conditions"] = rest + ([] if "$patch" in change else [change])
	return reply(connection, 200, json.dumps(server.node))


def flood(connection, first, more):
	connection.sendall(first)
	sent = 0
	while sent < 256 << 20:
		connection.sendall(more)
		sent += len(more)


def garbage(server, connection, request):
	connection.sendall(bytes(range(256)) * 64)
	return False


def plain_429(server, connection, request):
	return reply(connection, 429, "Too many requests, please try again later.\n",
		"Content-Type: text/plain; charset=utf-8\r\nRetry-After: 1\r\n")


def html_500(server, connection, request):
	return reply(connection, 500, "<html>\x1b[2J\nInternal</html>", "Content-Type: text/html\r\n")


def endless_body(server, connection, request):
	flood(connection, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		b"10000\r\n" + b" " * 65536 + b"\r\n")


def endless_line(server, connection, request):
	flood(connection, b"HTTP/1.1 200 OK\r\nX: ", b"x" * 65536)


def endless_headers(server, connection, request):
	flood(connection, b"HTTP/1.1 200 OK\r\n", b"".join(b"X-%d: %s\r\n" % (i, b"y" * 900) for i in range(64)))


def large_claim(server, connection, request):
	connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n" + b" " * 4096)
	return False


def silence(server, connection, request):
	while not server.is_over:
		time.sleep(0.1)


def drip(server, connection, request):
	connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
	while not server.is_over:
		connection.sendall(b" ")
		time.sleep(0.3)


def deep(server, connection, request):
	return reply(connection, 200, "[" * 90000)


def dense(server, connection, request):
	return reply(connection, 200, '{"kind":"Node","x":[' + "[]," * 300000 + "0]}")


def another_node(server, connection, request):
	return reply(connection, 200, json.dumps(dict(server.node, metadata={"name": "other"})))


def a_list(server, connection, request):
	return reply(connection, 200, json.dumps({"kind": "NodeList", "items": [server.node]}))


def echo(server, connection, request):
	return reply(connection, 403, json.dumps({"kind": "Status", "message": f"no right for {request['token']}"}))


def compressed(server, connection, request):
	return reply(connection, 200, gzip.compress(json.dumps(server.node).encode()), "Content-Encoding: gzip\r\n")


def switching(server, connection, request):
	connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n{}")
	return False


def refuses_writes(server, connection, request):
	if request["line"].startswith("GET"):
		return reply(connection, 200, json.dumps(server.node))
	return reply(connection, 403, json.dumps({"kind": "Status", "message": "nodes is forbidden"}))


def keeps_nothing(server, connection, request):
	return reply(connection, 200, json.dumps(server.node))


def redirect_to(port):
	def redirect(server, connection, request):
		return reply(connection, 307, "", f"Location: https://127.0.0.2:{port}/api/v1/nodes/{NODE}\r\n")
	return redirect
