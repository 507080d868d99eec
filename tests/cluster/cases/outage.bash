# shellcheck shell=bash
# shellcheck disable=SC2154 # what run and ../lab.bash set
# Sourced by run: what ends and comes back, and whether the report is true again without anybody's help.

# lie NODE: somebody else's report in place of ours. A kontaind that lives puts it right at once; what matters is what
# the node says in the end.
lie() {
	local now
	now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
	kube label --overwrite node "$1" kontain.app/km=lie kontain.app/km-version=lie
	kube patch node "$1" --subresource=status --type=strategic -p "{\"status\": {\"conditions\": [{\"type\":
		\"kontain.app/KMReady\", \"status\": \"Unknown\", \"reason\": \"Lie\", \"message\": \"no\",
		\"lastHeartbeatTime\": \"$now\", \"lastTransitionTime\": \"$now\"}]}}"
}

# truth NODE: the report that fits what a has
truth() {
	becomes "$1" a "True Ready" condition a
	becomes 20 "a's label km" true label a km
	is "a's label km-version" "${km_of[2]}" "$(label a km-version)"
	comes 20 "a's /readyz" answers a /readyz 200 ok
}

# While nobody can be told, b gets what it lacked.
case_api_away() {
	local uid
	uid=$(pod a .metadata.uid)
	# Asked to end, it would wait a minute for those who watch.
	stop a kube-apiserver KILL
	is "the API server is away" no "$(api_ready && echo yes || echo no)"
	# Whatever fails here, the next case finds a server.
	trap 'start_api; take_kvm b' EXIT
	give_kvm b
	sleep 10
	trap 'take_kvm b' EXIT
	start_api
	comes 60 "the API server is back" api_ready
	becomes 60 "b's report of what happened meanwhile" "True Ready" condition b
	truth 60
	is "a's pod" "$uid" "$(pod a .metadata.uid)"
	is "a's restarts" "0 0" "$(restarts a installer) $(restarts a kontaind)"
	trap - EXIT
	take_kvm b
	becomes 40 "b, without /dev/kvm again" "False DeviceMissing" condition b
}

# killed PROGRAM CONTAINER: KILLs it on a; the kubelet starts it again
killed() {
	local before number
	before=$(restarts a "$2")
	number=$(process a "$1")
	[ -n "$number" ] || { echo "no process $1 on a"; exit 1; }
	lie a
	enter a kill -KILL "$number"
	becomes 60 "$2 was started again" $((before + 1)) restarts a "$2"
}

case_kontaind_killed() { killed kontaind kontaind; truth 40; }

# The state of its predecessor still lies there: kontaind goes on by it, and then by the new one.
case_installer_killed() {
	killed kontain-installer installer
	truth 60
	comes 20 "the state is young" answers a /readyz/state 200 ok
}

case_kubelet_killed() {
	local uid
	uid=$(pod a .metadata.uid)
	stop a kubelet KILL
	trap 'start_kubelet a' EXIT
	lie a
	truth 60
	trap - EXIT
	start_kubelet a
	# It sends its own conditions again at its start, and must leave ours.
	comes 60 "the kubelet has reported" newer_heartbeat
	truth 30
	is "a's pod" "$uid" "$(pod a .metadata.uid)"
}

# The kubelet's own heartbeat is younger than its start.
newer_heartbeat() {
	local beat started
	beat=$(node a '.status.conditions[] | select(.type == "Ready").lastHeartbeatTime')
	started=$(stat -c %Y "$lab/a/kubelet.pid")
	[ "$(date -d "$beat" +%s)" -ge "$started" ]
}

# The whole pod at once, as when a node boots again.
case_pod_killed() {
	lie a
	in_pods delete pod "$(pod a)" --grace-period=0 --force
	comes 60 "a new pod is Ready" pod_ready a
	truth 40
}
