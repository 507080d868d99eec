# shellcheck shell=bash
# shellcheck disable=SC2154 # what run and ../lab.bash set
# Sourced by run: from an empty cluster to a node that is proven, and what a payload's pod sees of it.

# The start-up taint keeps payloads off node a until km is proven there; b has none, as most clusters.
case_apply() {
	local since=$EPOCHREALTIME
	is "the start-up taint before" kontain.app/not-ready "$(taints a)"
	kube apply -f "$top/manifests/kontaind.yaml"
	rolled_out 60
	note "apply to rolled out: $(elapsed "$since") s"
	# A random delay of up to 10 s spreads a fleet's first reports.
	becomes 30 "b, which has no /dev/kvm" "False DeviceMissing" condition b
	becomes 30 "a has a verdict" yes has_verdict a
	note "apply to both nodes' conditions: $(elapsed "$since") s"
	is "b's label km" false "$(label b km)"
	is "b's label hypervisor" none "$(label b hypervisor)"
	comes 10 "b's /readyz is 200 and says unfit" answers b /readyz 200 "unfit: DeviceMissing"
	is "b's own check of km" yes "$(answers b /readyz/km 503 DeviceMissing && echo yes)"
	is "nothing landed on b" "" "$(enter b sh -c 'ls /opt/kontain 2>/dev/null')"
	case $(condition a) in
	"True Ready") note "a runs compiled code: Ready by the rendered manifest as it is" ;;
	"False GuestEmulated")
		note "this machine's KVM emulates: by the rendered manifest a is False GuestEmulated, and settled"
		comes 10 "a's /readyz is 200 and says unfit" answers a /readyz 200 "unfit: GuestEmulated"
		is "a's label km" false "$(label a km)"
		is "the start-up taint stays" kontain.app/not-ready "$(taints a)"
		;;
	*) echo "a: $(condition a)"; exit 1 ;;
	esac
}

has_verdict() { case $(condition "$1") in True\ * | False\ *) echo yes ;; *) echo no ;; esac; }

case_ready() {
	local since=$EPOCHREALTIME
	kube apply -k "$top/manifests/overlays/emulated"
	rolled_out 90
	note "another config, rolled out in $(elapsed "$since") s"
	kube wait node a --for=condition=kontain.app/KMReady --timeout=40s
	is a "True Ready" "$(condition a)"
	becomes 10 "a's label km" true label a km
	is "a's label km-version" "${km_of[1]}" "$(label a km-version)"
	is "a's label hypervisor" kvm "$(label a hypervisor)"
	becomes 10 "the start-up taint goes" "" taints a
	becomes 30 b "False DeviceMissing" condition b
	is "current" "sets/${version_of[1]}" "$(store a readlink current)"
	comes 10 "status in a's pod, as it is typed" in_installer a "node      READY" status
	comes 10 "check in a's pod" in_installer a "guest in long mode  ok" check
	comes 10 "list in a's pod" in_installer a "${version_of[1]}" list
	comes 10 "the liveness probe in a's pod" in_installer a "is alive" alive
	comes 10 "a's /readyz" answers a "/readyz?verbose" 200 "[+]km ok"
}

# said_after SINCE CONTAINER MSG: seconds until the first line of that kind in a's pod
said_after() {
	in_pods logs "$(pod a)" -c "$2" | jq -rRn --arg since "$1" --arg msg "$3" '
		[inputs | fromjson? | select(.msg == $msg).ts | (.[:19] + "Z" | fromdate) + (.[19:23] | tonumber)][0] -
		($since | tonumber) | . * 10 | round / 10'
}
# The pace that the other cases want. Without the random delay, and nothing to replace: this is what an apply costs.
case_pace() {
	local since
	in_pods delete daemonset kontaind --cascade=foreground
	since=$EPOCHREALTIME
	kube apply -k "$(settings)"
	rolled_out 90
	note "apply to rolled out, both nodes at once, km landed before: $(elapsed "$since") s (budget 2)"
	note "of it until the installer starts $(said_after "$since" installer started) s, until it is Ready" \
		"$(said_after "$since" installer ready) s, until kontaind serves $(said_after "$since" kontaind serving) s;" \
		"the rest is kubelet's probe and kubectl's wait"
	becomes 20 a "True Ready" condition a
	becomes 20 b "False DeviceMissing" condition b
}

# The whole of it first: a reader that is content early would make kubectl fail.
visitor_says() {
	local log
	log=$(kube logs visitor) && grep -qxF -- "$1" <<<"$log"
}

case_visitor() {
	local line
	kube apply -f "$here/cases/visitor.yaml"
	comes 30 "the pod's last line" visitor_says "current sets/${version_of[1]}"
	kube logs visitor
	for line in "uid 1000" "/opt/kontain folder 0755" "/opt/kontain/bin link current/bin leads" \
		"/opt/kontain/runtime link current/runtime leads" "/opt/kontain/bin/km file 0755 elf" \
		"/opt/kontain/runtime/libc.so file 0755 elf" "/opt/kontain/alpine-lib/lib/data-1 file 0644 data" \
		"/opt/kontain/current link sets/${version_of[1]} leads" "write /opt/kontain/mine Permission denied" \
		"write /opt/kontain/bin/km Permission denied" "km --version exit 0"; do
		visitor_says "$line" || { echo "the pod does not say: $line"; exit 1; }
	done
}

# What README prints for a payload, as it prints it. The payload is of integer code, as KVM emulates its guests here.
readme_pod() { awk '/^```yaml$/ { on = 1; next } on && /^```$/ { exit } on' "$top/README.md"; }
payload_is() {
	kube get pod hello -o jsonpath='{.status.phase} {.status.containerStatuses[0].state.terminated.exitCode}'
}
payload_runs() {
	kube delete pod hello --ignore-not-found --wait
	readme_pod | kube apply -f -
	becomes 60 "the payload's pod: phase and exit code" "Succeeded 0" payload_is
	is "what it says" "Hello, world world" "$(kube logs hello | tr '\n' ' ' | sed 's/ $//')"
}
case_payload() { payload_runs; }

# The store's file system is read-only: a reason, not a pod that never starts.
case_read_only() {
	enter b sh -c 'mkdir -p /opt/kontain && mount --bind /opt /opt && mount -o remount,bind,ro /opt'
	# shellcheck disable=SC2064
	trap "enter b sh -c 'umount /opt'" EXIT
	in_pods delete pod "$(pod b)" --wait
	comes 30 "b's new pod is Ready" pod_ready b
	becomes 30 b "False StoreReadOnly" condition b
	is "b's /readyz" yes "$(answers b /readyz 200 "unfit: StoreReadOnly" && echo yes)"
	is "both containers run" "true true" "$(pod b '[.status.containerStatuses[].ready] | map(tostring) | join(" ")')"
	node b '.status.conditions[] | select(.type == "kontain.app/KMReady").message'
}

case_writable() {
	in_pods delete pod "$(pod b)" --wait
	becomes 40 "b, writable again" "False DeviceMissing" condition b
}
