# shellcheck shell=bash
# What a bundle, or an archive that is to become one, may try: rows 1, 2, 7, 8, 13, 38. Sourced by run.
# shellcheck disable=SC2154 # what tests/lib.bash and lib.bash set

# refused_archives ROW: each of that row's, by kontain-pack, and nothing around it changes
refused_archives() {
	local name words ok=0 count=0
	bounded python3 "$here/archives.py" "$payload" "$1" >rows || return 1
	while read -r _ name words; do
		count=$((count + 1))
		bounded_pack_refuses "$words" "$name.tar" || { say "archive $name"; ok=1; }
		rm -f "$name.tar"
	done <rows
	no_escape || ok=1
	say "$count archives"
	return $ok
}
bounded_pack_refuses() { local pack=pack_bounded; pack_refuses "$@"; }
pack_bounded() { bounded "$KONTAIN_BUILD/installer/pack/kontain-pack" "$@"; }

# plain_bundle DIR VERSION [TEXT]: km, lib/data and a self-test, nothing of it to run
plain_bundle() {
	mkdir -p "$1.tree"/{bin,lib,tests} && cp "$payload" "$1.tree/bin/km" && cp "$payload" "$1.tree/tests/hello_test.km" &&
		echo "${3-lib}" >"$1.tree/lib/data" &&
		"$pack" --version "$2" --output "$1" "$1.tree" >/dev/null
}

# refused_manifests ROW: each of that row's, by the node and by kontain-pack --check, while a version is current
refused_manifests() {
	local name words before ok=0 count=0
	plain_bundle first 1.0 && plain_bundle good 2.0 && "$driver" land "$PWD/r" first >/dev/null || return 1
	before=$(store_of r)
	python3 "$here/manifests.py" good "$1" >rows || return 1
	while read -r _ name words; do
		count=$((count + 1))
		refused_manifest "$name" "$words" && unchanged r "$before" || { say "manifest $name"; ok=1; }
	done <rows
	no_escape && whole "$PWD/r" || ok=1
	say "$count manifests"
	return $ok
}
refused_manifest() {
	local out status words
	out=$(bounded "$driver" land "$PWD/r" "$1" 2>&1 </dev/null)
	status=$?
	[ $status = 1 ] && [ "$(wc -l <<<"$out")" = 1 ] || { say "status $status: $out"; return 1; }
	while read -r words; do [[ $out != *"$words"* ]] || break; done <<<"${2// OR /$'\n'}"
	is "$out" "${words:-$2}" || return 1
	bounded "$pack" --check "$1" >said 2>why </dev/null
	same $? 1 && same "$(wc -l <why)" 1
}

case_01_names_that_lead_outside() { refused_archives 1 && refused_manifests 1; }

case_02_entries_that_are_no_plain_files() {
	local how words ok=0
	refused_archives 2 && refused_manifests 2 || ok=1
	# a tree that somebody built
	while IFS='|' read -r how words; do
		rm -rf t && mkdir -p t/bin t/lib && cp "$payload" t/bin/km && echo x >t/lib/data && (cd t && eval "$how") &&
			pack_refuses "$words" t || { say "tree, after: $how"; ok=1; }
	done <<-'ROWS'
		rm bin/km; ln -s /bin/true bin/km|component km is missing
		rm bin/km; ln -s data bin/km|component km has no file km
		mkfifo lib/pipe|lib/pipe is not a regular file
		mknod lib/null c 1 3|lib/null is not a regular file
		mknod lib/disk b 8 0|lib/disk is not a regular file
		python3 -c "import socket; socket.socket(socket.AF_UNIX).bind('lib/socket')"|lib/socket is not a regular file
		chmod u+s bin/km|bin/km is setuid
		chmod g+s lib/data|lib/data is setuid, setgid
		python3 -c "import os; os.setxattr('lib/data','security.capability', bytes([1,0,0,2,0,32,*[0]*14]))"|has capabilities
	ROWS
	# a bundle whose folder holds something else than its manifest says, as the node reads it
	plain_bundle b 3.0 other && rm b/kontain-bundle.json b/*.files && echo more >b/tests/more && "$driver" pack b 3.0 ||
		return 1
	while IFS='|' read -r how words; do
		rm -rf bad && cp -a b bad && (cd bad && eval "$how") && refused_manifest bad "$words" ||
			{ say "bundle, after: $how"; ok=1; }
	done <<-'ROWS'
		rm lib/data; ln -s /etc/passwd lib/data|not a regular file
		rm lib/data; mkfifo lib/data|not a regular file
		rm lib/data; mknod lib/data c 1 5|not a regular file
		mv lib elsewhere; ln -s elsewhere lib|BundleInvalid
		mv lib elsewhere; ln -s /etc lib|BundleInvalid
		mkdir lib/d; ln -s /etc lib/d/out|lib/d is in the bundle
		mkdir tools; cp bin/km tools/krun|tools/krun is in the bundle
		mkdir -p sbin; cp bin/km sbin/km|sbin is in the bundle
		ln -s /etc shim|shim is not a folder
		rm lib.files|lib.files of component lib is missing
		ln -sf km.files lib.files|BundleInvalid
		rm lib.files; mkfifo lib.files|BundleInvalid
		rm lib.files; mknod lib.files c 1 5|BundleInvalid
		rm lib.files; mkdir lib.files|BundleInvalid
	ROWS
	gone r/sets/3.0 && whole "$PWD/r" && return $ok
}

# A symbolic link that leads out is what real trees hold: it is left out and said, and with --strict refused. Whatever
# would go through it is refused.
case_02_links_that_lead_out() {
	local name words how ok=0
	bounded python3 "$here/archives.py" "$payload" left-out >rows || return 1
	while read -r _ name words; do left_out "$words" "$name.tar" || { say "archive $name"; ok=1; }; done <rows
	while IFS='|' read -r how words; do
		rm -rf t && mkdir -p t/bin t/lib && cp "$payload" t/bin/km && echo x >t/lib/data && (cd t && eval "$how") &&
			left_out "$words" t || { say "tree, after: $how"; ok=1; }
	done <<-'ROWS'
		ln -s ../../../etc/passwd lib/d|the link lib/d: it leads out of its tree
		ln -s ../bin/km lib/d|the link lib/d: it leads out of its tree
		ln -s /etc lib/d|the link lib/d: it leads outside of /opt/kontain
		ln -s data/../../../etc lib/d|the link lib/d: it has a ".." behind a name
	ROWS
	no_escape && return $ok
}
# left_out WORDS INPUT: packed without lib/d
left_out() {
	rm -rf packed
	bounded "$pack" --version 1.0 --output packed "$2" >said 2>why && is "$(cat said)" "left out   $1" &&
		is "$(cat said)" "findings   1" && gone packed/lib/d &&
		"$pack" --check packed --strict >/dev/null && ! "$pack" --version 1.0 --strict --output strict "$2" 2>why &&
		is "$(cat why)" "the link lib/d" && gone strict
}

# What is hard-linked in a bundle is no danger to it: each name becomes a file of its own.
case_02_hard_links_become_files() {
	plain_bundle b 1.0 && rm -rf b && ln b.tree/bin/km b.tree/bin/krun && ln b.tree/bin/km b.tree/lib/again &&
		tar -C b.tree -cf b.tar . || return 1
	"$pack" --version 1.0 --output b b.tar >/dev/null &&
		same "$(stat -c %h b/bin/km b/bin/krun b/lib/again | tr '\n' ' ')" "1 1 1 " && cmp b/bin/krun "$payload"
}

case_07_lists_of_another_version() { refused_manifests 7; }

case_07_files_of_another_version() {
	local a b c before
	needs_kvm || return
	a=$(packed good 1.0) && b=$(packed good2 2.0) && c=$(packed silent 3.0-silent) && installs 0 READY "$a" || return 1
	before=$(store_of r)
	# the manifest of one version, the lists and files of another; its lists too; its lists alone; one list
	cp -a "$c" mixed && cp "$b/kontain-bundle.json" mixed/ && installs 1 "mixed/km.files: its SHA-256 is" "$PWD/mixed" &&
		grep -q 'DigestMismatch: ' err && unchanged r "$before" || return 1
	cp "$b"/*.files mixed/ && installs 1 "DigestMismatch: bin" "$PWD/mixed" && unchanged r "$before" || return 1
	cp -a "$b" lists && cp "$c"/*.files lists/ && installs 1 "lists/km.files: its SHA-256 is" "$PWD/lists" &&
		unchanged r "$before" || return 1
	cp -a "$b" list && cp "$b/km.files" list/extras.files && installs 1 "list/extras.files: its SHA-256 is" "$PWD/list" &&
		unchanged r "$before" || return 1
	# one file of another among a version's own
	cp -a "$b" one && cp "$c/bin/km" one/bin/km && installs 1 "DigestMismatch: " "$PWD/one" && unchanged r "$before" ||
		return 1
	# a component that is landed already is taken from there, whatever lies in its place in the bundle
	cp -a "$c" shared && cp "$a"/*.files shared/ &&
		sed 's/"version": "1.0"/"version": "1.1"/' "$a/kontain-bundle.json" >shared/kontain-bundle.json &&
		installs 0 READY "$PWD/shared" && cmp r/bin/km "$a/bin/km" && serves 1.1 &&
		does 0 "1.0 is current" rollback --config "$(settings)" --root "$PWD/r" || return 1
	# what is landed cannot be given another content
	before=$(store_of r)
	cp -a "$b" replayed && sed -i 's/"version": "2.0"/"version": "1.0"/' replayed/kontain-bundle.json &&
		installs 1 "VersionConflict: version 1.0" "$PWD/replayed" && unchanged r "$before" && serves 1.0
}

# By whom it is asked for: a bundle that is named, or rollback. The agent goes back for neither a failure nor a repair,
# and keeps what a person went back to until another bundle is asked for.
case_07_older_version_only_when_asked() {
	local a b c bad
	needs_kvm || return
	a=$(packed good 1.0) && b=$(packed good2 2.0) && bad=$(packed aborts 3.0-aborts) && c=$(packed good 4.0) &&
		installs 0 READY "$a" && installs 0 READY "$b" || return 1
	run_once() { "$program" run --once -q --config "$(settings)" --root "$PWD/r" --bundle "$1" --state "$PWD/state.json" \
		>out 2>err </dev/null; }
	run_once "$bad" && serves 2.0 &&
		jq -e '.rollout.reason == "KmAborted" and .versions.current == "2.0"' state.json >/dev/null ||
		{ say "$(cat out err)"; return 1; }
	# damage of what is current is healed by the bundle that is asked for; without it the node says so and stays
	rm r/versions/km/"$(basename "$(readlink -f r/bin/..)")"/bin/km
	run_once "$bad"
	same "$(readlink r/current)" sets/2.0 && jq -e '.node.ready | not' state.json >/dev/null && run_once "$b" &&
		serves 2.0 || { say "$(jq -c .node state.json)"; return 1; }
	does 0 "version 1.0 is current" rollback --config "$(settings)" --root "$PWD/r" && serves 1.0 && run_once "$b" &&
		serves 1.0 && run_once "$c" && serves 4.0 && run_once "$a" && serves 1.0
}

# Read early or not at all: what would fill the disk first is refused for that, and not for its own sake.
case_38_what_counts_as_nothing() {
	(ulimit -f $((16 << 10)) && refused_archives 38)
}

case_08_more_than_can_be() { refused_archives 8 && refused_manifests 8; }

# Endless where it is read: a device, a pipe, a file that grows while it is copied, a sparse file beyond every cap.
case_08_endless_sources() {
	local how words before writer
	plain_bundle first 1.0 && plain_bundle b 2.0 other && "$driver" land "$PWD/r" first >/dev/null || return 1
	before=$(store_of r)
	while IFS='|' read -r how words; do
		rm -rf bad && cp -a b bad && (cd bad && eval "$how") && refused_manifest bad "$words" && unchanged r "$before" ||
			{ say "after: $how"; return 1; }
	done <<-'ROWS'
		rm lib/data; mknod lib/data c 1 5|not a regular file
		rm lib/data; mkfifo lib/data|not a regular file
		truncate -s 4398046511104 lib/data|longer
		rm kontain-bundle.json; mkfifo kontain-bundle.json|BundleInvalid
		rm kontain-bundle.json; mknod kontain-bundle.json c 1 5|BundleInvalid
		truncate -s 4398046511104 kontain-bundle.json|BundleInvalid
		rm lib.files; mkfifo lib.files|BundleInvalid
		rm lib.files; mknod lib.files c 1 5|BundleInvalid
		truncate -s 4398046511104 lib.files|BundleInvalid
	ROWS
	(while printf 'lib\n'; do :; done >>b/lib/data 2>/dev/null) & writer=$!
	children+=("$writer")
	until_true 60 grep -qc . b/lib/data && refused_manifest b longer && unchanged r "$before" || return 1
	kill -9 $writer; wait $writer 2>/dev/null
	mkdir -p t/bin t/lib && cp "$payload" t/bin/km && truncate -s 5G t/lib/sparse &&
		bounded_pack_refuses "more than 4096 MiB" t && whole "$PWD/r"
}

case_13_hostile_elf_files() {
	local name reason words where before ok=0 count=0
	needs_kvm || return
	installs 0 READY "$(packed good 1.0)" || return 1
	before=$(store_of r)
	mkdir elves &&
		python3 "$here/elves.py" elves "$KONTAIN_BUILD/tests/monitor/good/km" /usr/lib/x86_64-linux-musl/libc.so >rows ||
		return 1
	while read -r name where reason words; do
		count=$((count + 1))
		rm -rf t packed && cp -a "$(packed good 1.0)" t && rm t/kontain-bundle.json t/*.files &&
			mkdir -p "t/$(dirname "$where")" && cp "elves/$name" "t/$where" || return 1
		[ "$where" != runtime/libc.so ] || ln -s libc.so t/runtime/libc.musl-x86_64.so.1
		chmod 755 "t/$where"
		# kontain-pack refuses it; another packer would not
		pack_refuses "$reason" t && "$driver" pack t 2.0 &&
			bounded "$program" install --config "$(settings)" --root "$PWD/r" --bundle "$PWD/t" >out 2>err </dev/null
		same $? 1 && grep -q "^kontain-installer: $reason: .*$where" err && grep -qF -- "$words" err &&
			unchanged r "$before" || { say "$name as $where: $(cat out err)"; ok=1; }
	done <rows
	say "$count files refused"
	serves 1.0 && return $ok
}
