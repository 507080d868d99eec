# shellcheck shell=bash
# shellcheck disable=SC2154 # what run and ../lab.bash set
# Sourced by run: the way out.

# ours NODE: whatever of kontain.app is on the Node object; what the server keeps about who wrote is not meant
ours() {
	node "$1" '[(.metadata.labels // {} | keys[]), (.metadata.annotations // {} | keys[]), (.spec.taints[]?.key),
		(.status.conditions[].type)] | map(select(startswith("kontain.app/"))) | join(" ")'
}

case_uninstall() {
	local one since=$EPOCHREALTIME
	# Whoever has the store mounted would hold it.
	kube delete pod visitor --wait
	# As manifests/README.md has it: the image that runs is the one that takes back.
	local running
	running=$(in_pods get ds kontaind -o 'jsonpath={.spec.template.spec.containers[0].image}')
	kube kustomize "$top/manifests/uninstall" | sed "s|image: localhost/kontaind:.*|image: $running|" | kube apply -f -
	is "the image" "$running" "$(in_pods get ds kontaind -o 'jsonpath={.spec.template.spec.containers[0].image}')"
	rolled_out 90
	note "uninstall to settled: $(elapsed "$since") s"
	for one in a b; do
		becomes 40 "of kontain.app on $one" "" ours $one
		is "/opt/kontain on $one" gone "$(enter $one sh -c 'test -e /opt/kontain || echo gone')"
		comes 10 "$one's /readyz" answers $one "/readyz?verbose" 200 "[+]version ok: Absent"
	done
}

case_deleted() {
	local one
	kube delete -k "$top/manifests/uninstall" --wait --timeout=60s
	is "what is left in the cluster" "" "$(kube get -o name \
		clusterroles,clusterrolebindings,namespaces,validatingadmissionpolicies,validatingadmissionpolicybindings |
		grep -i kontain)"
	for one in a b; do
		stays 3 "of kontain.app on $one" "" ours $one
		is "/opt/kontain on $one" gone "$(enter $one sh -c 'test -e /opt/kontain || echo gone')"
		is "processes on $one" "" "$(process $one kontaind)$(process $one kontain-installer)"
	done
}
