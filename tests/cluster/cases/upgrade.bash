# shellcheck shell=bash
# shellcheck disable=SC2154 # what run and ../lab.bash set
# Sourced by run: another km by another image, one that works and one that does not.

# What lies below versions/ but km's: inode, size, and the times of content and of the inode itself.
other_components() {
	store a find versions -path 'versions/km*' -prune -o -printf '%p %i %s %T@ %C@\n' | grep -v '^versions ' | sort
}

set_image() { in_pods set image ds/kontaind "*=$image:$1"; }

case_payload_upgraded() {
	in_pods exec "$(pod a)" -c installer -- kontain-installer prune
	payload_runs
}

case_upgrade() {
	local before after since kms
	before=$(other_components)
	[ -n "$before" ] || { echo "no other component is landed on a, so this would show nothing"; exit 1; }
	since=$EPOCHREALTIME
	set_image "${tag_of[2]}"
	rolled_out 90
	note "set image to rolled out on both nodes, one after the other: $(elapsed "$since") s"
	is "current" "sets/${version_of[2]}" "$(store a readlink current)"
	is "previous" "sets/${version_of[1]}" "$(store a readlink previous)"
	becomes 20 "a's label km-version" "${km_of[2]}" label a km-version
	becomes 20 "a's annotation previous-version" "${version_of[1]}" annotation a previous-version
	is "a" "True Ready" "$(condition a)"
	after=$(other_components)
	is "every other component's inodes and times" "$before" "$after"
	kms=$(store a sh -c 'ls -d versions/km/*' | wc -l)
	is "versions of km that are kept" 2 "$kms"
	is "the previous km is what it was" "kontaind test monitor version 1.0" \
		"$(store a previous/bin/km -k stderr --version 2>&1 | head -1)"
	comes 10 "a pod that mounts /opt/kontain follows" visitor_says "current sets/${version_of[2]}"
}

# Node b gets a /dev/kvm, and nobody tells its agent.
case_repaired() {
	give_kvm b
	becomes 40 "b, now that it has /dev/kvm" "True Ready" condition b
	becomes 20 "b's label km" true label b km
	is "b's current" "sets/${version_of[2]}" "$(store b readlink current)"
	comes 20 "b's /readyz" answers b /readyz 200 ok
}

# new_pods: the nodes whose pod has the image with km that aborts
new_pods() {
	local one
	for one in a b; do
		[ "$(pod "$one" ".spec.containers[0].image")" != "$image:${tag_of[bad]}" ] || echo $one
	done
}

has_new_pod() { [ -n "$(new_pods)" ]; }

# Either node may be the first; it keeps what it has, and the other one is not even tried.
case_failed_upgrade() {
	local first other identity
	local -A identities=([a]=$(pod a .metadata.uid) [b]=$(pod b .metadata.uid))
	set_image "${tag_of[bad]}"
	# after the API server's outage before, the controller's watches come back with pauses of up to 30 s, and more
	comes 120 "one node gets the new image" has_new_pod
	first=$(new_pods | head -1)
	other=$([ "$first" = a ] && echo b || echo a)
	note "the first node is $first"
	comes 40 "$first's /readyz fails with the reason" answers "$first" /readyz 503 KmAborted
	identity=${identities[$other]}
	is "$first" "True Ready" "$(condition "$first")"
	is "$first's current" "sets/${version_of[2]}" "$(store "$first" readlink current)"
	is "$first's label km-version" "${km_of[2]}" "$(label "$first" km-version)"
	is "$first can run payloads" yes "$(answers "$first" /readyz/km 200 ok && echo yes)"
	stays 8 "the other node's pod" "$identity" pod "$other" .metadata.uid
	is "$other" "True Ready" "$(condition "$other")"
	is "the rollout waits" 1 "$(in_pods get ds kontaind -o jsonpath='{.status.updatedNumberScheduled}')"
	answers "$first" "/readyz?verbose" 503 KmAborted && ask "$first" "/readyz?verbose"
	# What failed is known: the next attempt does not land it again.
	is "what failed is remembered" 1 "$(store "$first" sh -c 'ls -d .failed-* | wc -l')"
}

case_undo() {
	local since=$EPOCHREALTIME one
	in_pods rollout undo ds/kontaind
	rolled_out 60
	note "undo to rolled out: $(elapsed "$since") s"
	for one in a b; do
		comes 20 "$one's /readyz" answers $one /readyz 200 ok
		is "$one" "True Ready" "$(condition $one)"
		is "$one's current" "sets/${version_of[2]}" "$(store $one readlink current)"
	done
}

told_of_device() {
	in_pods logs "$(pod "$1")" -c installer --tail=20 | grep '"reason":"DeviceMissing"' | tail -1 |
		grep -q '"cause":"device"'
}

case_broken() {
	local since
	give_kvm b
	becomes 40 "b, while it has /dev/kvm" "True Ready" condition b
	take_kvm b
	since=$EPOCHREALTIME
	becomes 40 "b, without /dev/kvm again" "False DeviceMissing" condition b
	note "unlink to condition False, by polling: $(elapsed "$since") s"
	comes 10 "it was told, and did not wait for the next reconcile" told_of_device b
	becomes 20 "b's label km" false label b km
}
