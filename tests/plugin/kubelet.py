"""A fake kubelet: it speaks the device plugin API v1beta1 by python's grpcio, and does nothing with what it is told. No
container runtime is behind it; what a real kubelet and a real pod make of the answers is tests/cluster's matter. The
messages are written and read here by hand, field number by field number, so that the program's own .proto is no
witness in its own case."""
import concurrent.futures
import os
import queue
import threading
import time

import grpc

PLUGIN = "/v1beta1.DevicePlugin/"
RESOURCE = "kontain.app/kvm"


def varint(number):
	out = bytearray()
	while number > 127:
		out.append(number & 127 | 128)
		number >>= 7
	out.append(number)
	return bytes(out)


def text(field, value):
	value = value.encode() if isinstance(value, str) else value
	return varint(field << 3 | 2) + varint(len(value)) + value


def fields(data):
	"""[(number, value)]: bytes, or an int for a varint"""
	found, at = [], 0

	def number():
		nonlocal at
		shift = value = 0
		while True:
			byte = data[at]
			at += 1
			value |= (byte & 127) << shift
			shift += 7
			if byte < 128:
				return value
	while at < len(data):
		key = number()
		size = number()
		if key & 7 == 0:
			found.append((key >> 3, size))
		else:
			assert key & 7 == 2, f"wire type {key & 7}"
			found.append((key >> 3, data[at:at + size]))
			at += size
	return found


def values(data, field):
	return [value for number, value in fields(data) if number == field]


def allocate_request(*containers):
	return b"".join(text(1, b"".join(text(1, one) for one in ids)) for ids in containers)


def read_list(data):
	"""{id: health}"""
	return {values(one, 1)[0].decode(): values(one, 2)[0].decode() for one in values(data, 1)}


def read_allocation(data):
	"""[{"devices": [(container, host, permissions)], "mounts": [(container, host, read-only)]}], a container each"""
	def row(one):
		return tuple(value.decode() if isinstance(value, bytes) else value for _, value in sorted(fields(one)))
	return [{"mounts": [row(one) for one in values(container, 2)], "devices": [row(one) for one in values(container, 3)],
		"other": [number for number, _ in fields(container) if number not in (2, 3)]} for container in values(data, 1)]


class Client:
	"""A connection to a plugin's socket."""

	def __init__(self, path, authority="localhost", options=()):
		self.channel = grpc.insecure_channel("unix:" + path, options=[
			("grpc.default_authority", authority), ("grpc.use_local_subchannel_pool", 1),
			("grpc.max_receive_message_length", 1 << 26), *options])

	def call(self, method, request=b"", **more):
		return self.channel.unary_unary(PLUGIN + method)(request, timeout=10, **more)

	def watch(self):
		return self.channel.unary_stream(PLUGIN + "ListAndWatch")(b"")

	def close(self):
		self.channel.close()


class Watch(threading.Thread):
	"""A ListAndWatch stream as a kubelet has it; updates is a queue of (time, {id: health})."""

	def __init__(self, client):
		super().__init__(daemon=True)
		self.updates, self.last, self.ended, self.code = queue.Queue(), {}, threading.Event(), None
		self.stream = client.watch()
		self.start()

	def run(self):
		try:
			for data in self.stream:
				self.last = read_list(data)
				self.updates.put((time.monotonic(), self.last))
		except grpc.RpcError as problem:
			self.code = problem.code()
		self.ended.set()

	def next(self, timeout=10):
		"""(time, the one health that all of them have, their number)"""
		when, devices = self.updates.get(timeout=timeout)
		health = set(devices.values())
		return when, health.pop() if len(health) == 1 else f"mixed {health}", len(devices)


class Registration(grpc.GenericRpcHandler):
	def __init__(self, kubelet):
		self.kubelet = kubelet

	def service(self, details):
		if details.method != "/v1beta1.Registration/Register":
			return None
		return grpc.unary_unary_rpc_method_handler(self.kubelet.register)


class Kubelet:
	"""Serves kubelet.sock in the folder. Like the real one, it calls the plugin (options, and the stream) before it
	answers Register, and may wipe the folder at its start."""

	def __init__(self, folder, authority="localhost", wipes=True, refuses=None, before_answer=None):
		self.folder, self.authority, self.refuses, self.before_answer = folder, authority, refuses, before_answer
		self.registrations = queue.Queue()  # {"version", "endpoint", "resource", "watch", "time"}
		self.watches = {}
		self.clients = []
		if wipes:
			for name in os.listdir(folder):
				os.unlink(os.path.join(folder, name))
		self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(4), handlers=[Registration(self)])
		assert self.server.add_insecure_port("unix:" + os.path.join(folder, "kubelet.sock"))
		self.server.start()

	def register(self, request, context):
		if self.refuses:
			context.abort(grpc.StatusCode.INVALID_ARGUMENT, self.refuses)
		said = {"version": values(request, 1)[0].decode(), "endpoint": values(request, 2)[0].decode(),
			"resource": values(request, 3)[0].decode(), "time": time.monotonic()}
		client = Client(os.path.join(self.folder, said["endpoint"]), self.authority)
		self.clients.append(client)
		said["options"] = client.call("GetDevicePluginOptions")
		old = self.watches.get(said["resource"])
		said["watch"] = self.watches[said["resource"]] = Watch(client)
		said["first"] = said["watch"].next()
		said["old ended"] = old is None or old.ended.is_set()
		said["client"] = client
		if self.before_answer:
			self.before_answer(said)
		self.registrations.put(said)
		return b""

	def registered(self, timeout=15):
		return self.registrations.get(timeout=timeout)

	def stop(self):
		"""Connections are closed; grpcio removes the socket."""
		self.server.stop(0).wait()
		for client in self.clients:
			client.close()
