# shellcheck shell=bash
# What the host, a ConfigMap or a pod puts in our way: rows 16, 29, 30. Sourced by run.
# shellcheck disable=SC2154 # what tests/lib.bash and lib.bash set

# A host that would have its own things loaded: a loader's preload list, libraries, name services, module commands.
lay_host() {
	local name
	mkdir -p h/opt h/dev h/proc h/sys h/tmp h/lib/x86_64-linux-gnu h/usr/lib h/etc/modprobe.d h/etc/ld.so.conf.d \
		h/usr/lib/ssl "h/lib/modules/$(uname -r)" h/root || return 1
	mknod h/dev/kvm c 10 232 && mounted --bind /proc "$PWD/h/proc" || return 1
	for name in libc.so.6 libcrypto.so.3 libkmod.so.2 libnss_evil.so.2 libnss_files.so.2 evil.so; do
		cp "$witness" "h/lib/x86_64-linux-gnu/$name"
		cp "$witness" "h/usr/lib/$name"
	done
	echo /lib/x86_64-linux-gnu/evil.so >h/etc/ld.so.preload
	echo /lib/x86_64-linux-gnu >h/etc/ld.so.conf
	printf 'passwd: evil\nhosts: evil\n' >h/etc/nsswitch.conf
	tee h/etc/openssl.cnf >h/usr/lib/ssl/openssl.cnf <<-'CONFIG'
		openssl_conf = all
		[all]
		providers = list
		[list]
		evil = evil
		[evil]
		module = /usr/lib/evil.so
		activate = 1
	CONFIG
	printf 'install %s touch /tmp/escaped-install\n' kvm kvm_amd kvm_intel irqbypass >h/etc/modprobe.d/evil.conf
	for name in sh modprobe kmod; do
		mkdir -p h/bin h/sbin
		printf '#!/bin/sh\ntouch /tmp/escaped-run\n' | tee "h/bin/$name" >"h/sbin/$name"
		chmod 755 "h/bin/$name" "h/sbin/$name"
	done
}

# Every open and execution of a landing and its proof, looked at: below the host's prefix only folders are opened by
# name, and what libkmod is given to read; all else goes through their descriptors, without a link; nothing of it is run
# or mapped as code but km in its proof, and none of it asks for another root.
case_16_host_content_is_never_loaded() {
	local b
	needs_kvm || return
	needs strace || return
	lay_host && b=$(packed good 1.0) || return 1
	# its links lead out of it: followed, they would be ours
	ln -s /etc h/opt/link && ln -s "$PWD" h/opt/up || return 1
	strace -f -qq -y -s 4096 -o trace \
		-e trace=%file,%desc,%process,openat2,mmap,mprotect,chroot,pivot_root,init_module,finit_module \
		"$program" run --once -q \
			--host "$PWD/h" --bundle "$b" --config "$(settings)" --state "$PWD/state.json" >out 2>err </dev/null ||
		{ say "$(cat out err | head -3) $(jq -c .node state.json)"; return 1; }
	same "$(readlink h/opt/kontain/current)" sets/1.0 && python3 "$here/host_opens.py" trace "$PWD/h" "$program" ||
		return 1
	[ -z "$(find "$PWD" -xdev -name '*.so*.log')" ] && no_escape ||
		{ say "something of the host was loaded or run"; return 1; }
	# a root that a link of the host's leads to is none
	does 1 StoreNotDirectory install --config "$(settings)" --host "$PWD/h" --root /opt/link/kontain --bundle "$b" &&
		does 1 StoreNotDirectory install --config "$(settings)" --host "$PWD/h" --root /opt/up/kontain --bundle "$b" &&
		gone /etc/kontain && gone kontain
}

# wanted of a ConfigMap's text: refused in words, at once, and nothing changes
case_29_config_of_another() {
	local b before ok=0 name words
	needs_kvm || return
	b=$(packed good 1.0) && installs 0 READY "$b" || return 1
	before=$(store_of r)
	python3 "$here/configs.py" >rows || return 1
	while read -r name words; do
		bounded "$program" install --config "$PWD/$name.yaml" --root "$PWD/r" --bundle "$(packed good2 2.0)" >out 2>err \
			</dev/null
		same $? 1 && grep -q '^kontain-installer: ConfigInvalid: ' err && grep -qF -- "$words" err &&
			[ "$(wc -c <err)" -lt 2000 ] || { say "$name: $(head -c 300 out err)"; ok=1; }
		bounded "$program" run --once -q --config "$PWD/$name.yaml" --root "$PWD/r" --bundle "$(packed good2 2.0)" \
			--state "$PWD/state.json" >out 2>err </dev/null
		same $? 1 && gone state.json || ok=1
		# the networked half reads the same file
		bounded "$daemon" --standalone --config "$PWD/$name.yaml" --state "$PWD/none" --listen 127.0.0.1:0 >out 2>err \
			</dev/null
		same $? 1 && grep -q ConfigInvalid err || { say "kontaind, $name: $(head -c 300 err)"; ok=1; }
	done <rows
	say "$(wc -l <rows) configs refused"
	unchanged r "$before" && serves 1.0 && return $ok
}

# A config that is whole, and names what is not for it: other people's folders as root, a store in what the kernel
# keeps.
case_29_roots_of_another() {
	local b root words ok=0
	needs_kvm || return
	b=$(packed good 1.0) && mkdir -p h/etc/cron.d h/opt h/dev h/home/user && echo theirs >h/etc/passwd &&
		echo theirs >h/etc/cron.d/job && chown 1000 h/home/user && mknod h/dev/kvm c 10 232 &&
		mkdir h/proc h/sys && mounted -t proc proc "$PWD/h/proc" && mounted -t sysfs sysfs "$PWD/h/sys" &&
		ln -s /etc h/opt/link || return 1
	local before; before=$(print_of h/etc; print_of h/home; print_of h/opt)
	while read -r root words; do
		printf 'proof: {allowEmulated: true}\nstore: {roots: [%s]}\n' "$root" >evil.yaml
		does 1 "$words" install --config evil.yaml --host "$PWD/h" --bundle "$b" || { say "root $root"; ok=1; }
	done <<-'ROWS'
		/etc ForeignInstallation
		/etc/cron.d ForeignInstallation
		/etc/passwd StoreNotDirectory
		/home/user StoreUnsafe
		/home/../etc ConfigInvalid
		/opt/link/kontain StoreNotDirectory
		/proc/sys StoreUnsafe
		/proc/1/root/tmp StoreNotDirectory
		/proc/self/cwd Store
		/sys/fs StoreUnsafe
	ROWS
	[ "$before" = "$(print_of h/etc; print_of h/home; print_of h/opt)" ] || { say "a folder of another changed"; ok=1; }
	# absent takes back what is ours, and nothing of another's
	printf 'desired: absent\nstore: {roots: [/etc]}\n' >evil.yaml &&
		"$program" run --once -q --config evil.yaml --host "$PWD/h" --bundle "$b" --state "$PWD/state.json" >out 2>err \
			</dev/null
	[ "$before" = "$(print_of h/etc; print_of h/home; print_of h/opt)" ] ||
		{ say "absent removed what was another's"; ok=1; }
	return $ok
}

# A pod names the path of a version that was pruned, and its runtime makes the folders: they are no version.
case_30_skeleton_of_a_pruned_version() {
	local one two three v ok=0
	needs_kvm || return
	one=$(packed good 1.0) && two=$(packed good2 2.0) && three=$(packed good2 3.0) && installs 0 READY "$one" &&
		v=$(basename "$(readlink -f r/bin/..)") && installs 0 READY "$two" && installs 0 READY "$three" &&
		does 0 "" prune --root "$PWD/r" && gone r/sets/1.0 && gone "r/versions/km/$v" || return 1
	# as kubelet and runtime make a hostPath; and what the pod then writes into it
	skeleton() { mkdir -p "r/versions/km/$v/bin" r/sets/1.0/bin r/sets/4.0/runtime/lib; }
	planted() { skeleton && cp "$KONTAIN_BUILD/tests/monitor/silent/km" "r/versions/km/$v/bin/km" &&
		cp "$KONTAIN_BUILD/tests/monitor/silent/km" r/sets/1.0/bin/km; }
	for how in skeleton planted; do
		$how && does 1 "NoVersion: version 1.0 is not landed" rollback --to 1.0 --config "$(settings)" --root "$PWD/r" &&
			does 1 NoVersion verify --to 1.0 --root "$PWD/r" && does 0 3.0 list --root "$PWD/r" && ! grep -qE '1\.0|4\.0' out &&
			serves 3.0 ||
			{ say "$how is taken for a version: $(cat out err)"; ok=1; }
		# landed where it lies: replaced as a whole
		installs 0 READY "$one" && cmp r/bin/km "$one/bin/km" && same "$(stat -c %F r/sets/1.0/bin)" "symbolic link" &&
			serves 1.0 || { say "$how is not replaced"; ok=1; }
		installs 0 READY "$three" && installs 0 READY "$two" && does 0 "" prune --root "$PWD/r" || return 1
		# or taken away by the next prune
		$how && does 0 "" prune --root "$PWD/r" && gone "r/versions/km/$v" && serves 2.0 ||
			{ say "$how is not removed: $(ls r/sets r/versions/km)"; ok=1; }
		installs 0 READY "$three" || return 1
	done
	# in the place of what never moves: a folder for a link that is not made yet
	does 0 removed uninstall --root "$PWD/r" && mkdir -p r/bin r/alpine-lib/lib r/versions/km/9/bin &&
		installs 0 READY "$one" && same "$(readlink r/bin)" current/bin && serves 1.0 && return $ok
}
