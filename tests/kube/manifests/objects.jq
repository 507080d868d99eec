# Shorthands over the array of rendered objects.
# The device plugin is another pod, and has shorthands of its own.
def is_plugin: .metadata.labels["app.kubernetes.io/name"] == "kontain-device-plugin";
def of($kind): map(select(.kind == $kind and (is_plugin | not)));
def one($kind): of($kind) | if length == 1 then .[0] else error("\(length) of \($kind)") end;
def named($kind; $name): map(select(.kind == $kind and .metadata.name == $name)) | one($kind);
def pod: one("DaemonSet").spec.template.spec;
def container($name): pod.containers[] | select(.name == $name);
# Names of the containers that mount the volume.
def mounts($volume): [pod.containers[] | select(any(.volumeMounts[]; .name == $volume)) | .name];
def config: one("ConfigMap").data["config.yaml"];
# What a component adds beside it.
def added: one("ConfigMap").data | del(.["config.yaml"]);
# The pod names the ConfigMap that is rendered, and that one never changes.
def config_is_named: one("ConfigMap") as $c | $c.immutable and
	(pod.volumes[] | select(.name == "config").configMap.name == $c.metadata.name);
# Fargate and virtual-kubelet nodes get no pod.
def nowhere: pod.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms |
	length == 1 and (.[0].matchExpressions as $rows | all(
		{"key": "eks.amazonaws.com/compute-type", "operator": "NotIn", "values": ["fargate"]},
		{"key": "type", "operator": "NotIn", "values": ["virtual-kubelet", "kwok"]};
		. as $row | any($rows[]; . == $row)));
def plugin: map(select(is_plugin)) | if length == 1 then .[0] else error("\(length) device plugins") end;
def plugin_pod: plugin.spec.template.spec;
