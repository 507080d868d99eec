# shellcheck shell=bash
# shellcheck disable=SC2154 # what run and ../lab.bash set
# Sourced by run: the device plugin on the real kubelet, and pods that get what it offers.

# As quantities are written: 1k for 1,000.
allocatable() { node "$1" '.status.allocatable["kontain.app/kvm"] // "none"'; }
device_pod() {
	in_pods get pods -l app.kubernetes.io/name=kontain-device-plugin -o json | jq -r --arg node "$1" '[.items[] |
		select(.spec.nodeName == $node and (.metadata.deletionTimestamp | not))][0].metadata.name'
}
# payload_pod NAME NODE: applied
payload_pod() {
	sed "s/^  name: payload/  name: $1/; s/^  restartPolicy/  nodeSelector: {kubernetes.io\/hostname: $2}\n&/" \
		"$here/cases/payload.yaml" | kube apply -f -
}
payload_ended() {
	kube get pod "$1" -o json | jq -r '.status.containerStatuses[0].state.terminated.exitCode // .status.phase'
}
scheduled() {
	kube get pod "$1" -o json | jq -r '[.status.conditions[]? | select(.type == "PodScheduled")][0].message // ""'
}
says_insufficient() { [[ $(scheduled "$1") == *"Insufficient kontain.app/kvm"* ]]; }

# running_settings: as settings, with the image that runs
running_settings() {
	local current_tag
	current_tag=$(in_pods get ds kontaind -o 'jsonpath={.spec.template.spec.containers[0].image}')
	current_tag=${current_tag##*:}
	settings
}

# The base with the pace of the tests, and the component.
device_settings() {
	local current_tag
	running_settings >/dev/null
	current_tag=$(sed -n 's/.*newTag: "\(.*\)".*/\1/p' "$work/settings/kustomization.yaml")
	mkdir -p "$work/device"
	cat >"$work/device/kustomization.yaml" <<-E
		apiVersion: kustomize.config.k8s.io/v1beta1
		kind: Kustomization
		resources: [../settings]
		components: [$(realpath --relative-to="$work/device" "$top/manifests/components/device-plugin")]
		images:
		- {name: $image, newTag: "${current_tag}"}
	E
	echo "$work/device"
}

case_device() {
	local since=$EPOCHREALTIME
	kube apply -k "$(device_settings)"
	in_pods rollout status ds/kontain-device-plugin --timeout=60s
	rolled_out 60
	becomes 20 "a's allocatable" 1k allocatable a
	note "apply to allocatable on a: $(elapsed "$since") s"
	becomes 20 "b's allocatable, which has no /dev/kvm" 0 allocatable b
	since=$EPOCHREALTIME
	payload_pod payload-a a
	payload_pod payload-b b
	becomes 30 "the payload's exit code" 42 payload_ended payload-a
	note "pod applied to its payload's exit code seen: $(elapsed "$since") s"
	comes 20 "the pod for b says what is missing" says_insufficient payload-b
	is "the pod for b" Pending "$(payload_ended payload-b)"
	kube delete pod payload-a payload-b --wait
}

case_device_kubelet() {
	local since
	since=$EPOCHREALTIME
	stop a kubelet KILL
	trap 'start_kubelet a' EXIT
	start_kubelet a
	trap - EXIT
	becomes 40 "a's allocatable after the kubelet's restart" 1k allocatable a
	note "kubelet killed to allocatable: $(elapsed "$since") s"
	in_pods delete pod "$(device_pod a)" --wait
	in_pods rollout status ds/kontain-device-plugin --timeout=60s
	becomes 20 "a's allocatable with another plugin" 1k allocatable a
	payload_pod payload-a a
	becomes 30 "the payload's exit code" 42 payload_ended payload-a
	kube delete pod payload-a --wait
}

# b gets a device and loses it: a pod that asks meanwhile waits, and runs when it is back.
case_device_unready() {
	local since
	trap 'take_kvm b' EXIT
	give_kvm b
	becomes 40 "b's allocatable, now that it has /dev/kvm" 1k allocatable b
	take_kvm b
	since=$EPOCHREALTIME
	becomes 20 "b's allocatable without it" 0 allocatable b
	note "device gone to allocatable 0: $(elapsed "$since") s"
	payload_pod payload-b b
	comes 20 "the pod says what is missing" says_insufficient payload-b
	give_kvm b
	becomes 60 "the pod that waited" 42 payload_ended payload-b
	kube delete pod payload-b --wait
	take_kvm b
	becomes 20 "b" "False DeviceMissing" condition b
}

case_device_gone() {
	in_pods delete daemonset kontain-device-plugin --cascade=foreground
	kube apply -k "$(running_settings)"
	rolled_out 60
	becomes 40 "a's allocatable" 0 allocatable a
	becomes 20 a "True Ready" condition a
}
