# shellcheck shell=bash
# What goes wrong, or is made to, while a version lands and where it has landed: rows 3, 4, 5, 10, 37. Sourced by run.
# shellcheck disable=SC2154 # what tests/lib.bash and lib.bash set

# broad_bundle DIR OUTSIDE: 20,000 files in two components, in folders three deep; and the same folders outside
broad_bundle() {
	python3 - "$1" "$2" <<-'MAKE' || return 1
		import os, sys
		top, outside = sys.argv[1:]
		for name in ('bin', 'tests'):
		    os.makedirs(f'{top}/{name}')
		for name in ('bin', 'tests', 'lib', 'versions', 'extras', 'f'):
		    os.makedirs(f'{outside}/{name}')
		for n in range(20000):
		    component, d, e, f = ('lib', 'alpine-lib')[n % 2], f'd{n % 10}', f'e{n // 10 % 4}', '/f' if n % 3 else ''
		    for place in (f'{top}/{component}/{d}/{e}{f}', f'{outside}/{d}/{e}/f', f'{outside}/{e}/f'):
		        os.makedirs(place, exist_ok=True)
		    with open(f'{top}/{component}/{d}/{e}{f}/{n}', 'w') as file:
		        file.write(str(n))
	MAKE
	cp "$payload" "$1/bin/km" && cp "$payload" "$1/tests/hello_test.km" && "$driver" pack "$1" 2.0
}
# walked_paths, named_paths: where a landing copies to; where it gives names. Each becomes a link to outside, again and
# again.
walked_paths() {
	local component d
	for component in lib alpine-lib; do
		for d in 0 1 2 3 4 5 6 7 8 9; do echo ".partial-$component/d$d"; done
		for d in 0 1 2 3; do echo ".partial-$component/d$((d * 2))/e$d" ".partial-$component/d$((d * 2 + 1))/e$d/f"; done
	done
	echo .partial-lib .partial-km .partial-km/bin .partial-extras .partial-extras/tests .partial-set
}
named_paths() { echo versions versions/km versions/lib versions/alpine-lib versions/extras sets .partial-set; }
# race PAUSE ROOT PATH...: starts the racer on them; its number is in $race
race() {
	local pause=$1
	shift
	mkdir -p links || return 1
	"$racer" swap "$pause" "$PWD/links" "$PWD/outside" "$@" >raced 2>&1 & race=$!
	children+=("$race")
	until_true 30 grep -q racing raced
}
# In $swaps: how often it came by.
race_end() {
	kill -TERM "$race"
	wait "$race"
	swaps=$(sed -n 's/^swaps=//p' raced)
}
files_outside() { find outside -type f -o -type l | wc -l; }

case_03_parent_swapped_while_landing() {
	local pause paths swaps total=0 lands=0 ok=0 words
	broad_bundle b outside && plain_bundle first 1.0 other || return 1
	# seldom, so that it gets far; often, so that it is met at once
	while read -r pause paths; do
		rm -rf links r && "$driver" land "$PWD/r" first >/dev/null || return 1
		# shellcheck disable=SC2046 # one path a word
		race "$pause" "$PWD/r" $($paths) || return 1
		words=$("$driver" land "$PWD/r" b 2>&1) && lands=$((lands + 1))
		race_end
		say "$paths, every $pause us: ${words:0:100} ($swaps swaps)"
		total=$((total + swaps))
		same "$(files_outside)" 0 || ok=1
		[ "$(wc -l <<<"$words")" = 1 ] && [[ $words == written=* || $words == [A-Z]*": "* ]] ||
			{ say "it ended without a reason: $words"; ok=1; }
		# left in peace, the next one ends well, and what was there before is as whole as it was
		"$driver" verify "$PWD/r" 1.0 && "$driver" land "$PWD/r" b >after && whole "$PWD/r" && partials r &&
			same "$(readlink r/current)" sets/2.0 || { say "$(cat after)"; ok=1; }
	done <<-'ROWS'
		50000 walked_paths
		20000 walked_paths
		2000 walked_paths
		100 walked_paths
		20000 named_paths
		100 named_paths
	ROWS
	say "$lands of 6 landed under the race, $total swaps"
	[ $total -gt 100 ] || { say "the racer hardly came by"; return 1; }
	return $ok
}

# The same race against a copy by names: it loses files, or the race is none.
case_03_the_race_is_one() {
	local i
	broad_bundle b outside || return 1
	for i in 1 2 3 4 5 6 7 8 9 10; do
		rm -rf links r && mkdir r && race 100 "$PWD/r" lib/d{0,1,2,3,4,5,6,7,8,9} || return 1
		cp -r b/lib r/ 2>/dev/null
		race_end
		[ "$(files_outside)" = 0 ] || { say "cp lost $(files_outside) files outside"; return 0; }
	done
	say "a copy by names lost nothing in ten races"
	return 1
}

# Each with words of its own, before a byte is written.
case_04_roots_that_are_refused() {
	local how root words out ok=0 all=()
	plain_bundle b 1.0 && mkdir -p real/sub || return 1
	while IFS='|' read -r root how words; do
		eval "$how" || { say "cannot set up: $how"; return 1; }
		out=$("$driver" land "$PWD/$root" b 2>&1) && { say "landed in $root"; ok=1; }
		is "$out" "$words: " || { say "root $root"; ok=1; }
		all+=("${out//"$PWD/$root"/}")
	done <<-'ROWS'
		link|ln -s real link|StoreNotDirectory
		link/sub|true|StoreNotDirectory
		link/new|true|StoreNotDirectory
		file|: >file|StoreNotDirectory
		file/new|true|StoreNotDirectory
		theirs|mkdir theirs && chown 1000 theirs|StoreUnsafe
		group|mkdir group && chmod 775 group|StoreUnsafe
		all|mkdir all && chmod 757 all|StoreUnsafe
		sticky|mkdir sticky && chmod 1777 sticky|StoreUnsafe
		proc|mkdir proc && mounted -t proc proc "$PWD/proc"|StoreUnsafe
		sys|mkdir sys && mounted -t sysfs sysfs "$PWD/sys"|StoreUnsafe
		noexec|mkdir noexec && mounted -t tmpfs -o noexec,mode=755 kt-attack "$PWD/noexec"|StoreNoexec
		noexec/new|true|StoreNoexec
		ro|mkdir ro && mounted -t tmpfs -o ro,mode=755 kt-attack "$PWD/ro"|StoreReadOnly
		ro/new|true|StoreReadOnly
		bound|mkdir bound && mounted --bind "$PWD/real" "$PWD/bound" && mount -o remount,bind,ro "$PWD/bound"|StoreReadOnly
		mode|mkdir mode && mounted -t tmpfs -o mode=777 kt-attack "$PWD/mode"|StoreUnsafe
		owner|mkdir owner && mounted -t tmpfs -o mode=755,uid=1000 kt-attack "$PWD/owner"|StoreUnsafe
		relative/../real|true|StoreUnsafe
		foreign|mkdir -p foreign/bin && echo theirs >foreign/bin/data|ForeignInstallation
	ROWS
	# a link, no folder, another's, its group's, everybody's, a file system of the kernel's, noexec, read-only, foreign
	[ "$(printf '%s\n' "${all[@]}" | sort -u | wc -l)" -ge 9 ] ||
		{ say "too few of these differ: $(printf '%s\n' "${all[@]}" | sort -u)"; ok=1; }
	roots_on_cgroup && roots_on_overlay || ok=1
	same "$(find real group all sticky noexec ro theirs | sort |
		tr '\n' ' ')" "all group noexec real real/sub ro sticky theirs " && return $ok
}
roots_on_cgroup() {
	mkdir cgroup &&
		{ mounted -t cgroup2 cgroup2 "$PWD/cgroup" 2>/dev/null ||
		mounted -t cgroup -o none,name=kt-attack cgroup "$PWD/cgroup" 2>/dev/null; } ||
		{ say "no cgroup can be mounted here: left out"; return 0; }
	is "$("$driver" land "$PWD/cgroup" b)" "StoreUnsafe: "
}
# An overlay is what nodes have that keep nothing: taken, and said to keep no journal.
roots_on_overlay() {
	mkdir -p lower upper work over &&
		mounted -t overlay -o "lowerdir=$PWD/lower,upperdir=$PWD/upper,workdir=$PWD/work" kt-attack "$PWD/over" 2>/dev/null ||
		{ say "no overlay can be mounted here: left out"; return 0; }
	"$driver" land "$PWD/over" b >/dev/null && is "$("$driver" inventory "$PWD/over")" "fs=overlay journal=0" &&
		"$driver" verify "$PWD/over"
}

# A mount within the store: what is to be renamed cannot cross it, and what is current stays.
case_04_mount_within_the_store() {
	local out
	plain_bundle first 1.0 && plain_bundle b 2.0 other && "$driver" land "$PWD/r" first >/dev/null &&
		mounted -t tmpfs -o mode=755 kt-attack "$PWD/r/versions/lib" || return 1
	out=$("$driver" land "$PWD/r" b) && { say "landed across a mount"; return 1; }
	is "$out" "cannot move" && is "$out" "Invalid cross-device link" && gone r/sets/2.0 &&
		same "$(readlink r/current)" sets/1.0 && partials r || return 1
	undo_mounts
	whole "$PWD/r" && "$driver" land "$PWD/r" b >/dev/null && whole "$PWD/r"
}

# until_both COMMAND: runs it until it was seen to refuse and to land, so that both ends were met; each must be right
until_both() {
	local i landed=0 refused=0
	for ((i = 0; i < 400; i++)); do
		"$1"
		case $? in
		0) landed=$((landed + 1)) ;;
		3) refused=$((refused + 1)) ;;
		*) return 1 ;;
		esac
		[ $landed = 0 ] || [ $refused = 0 ] || [ $i -lt 10 ] || break
	done
	say "$landed landed, $refused refused"
	[ $landed -gt 0 ] && [ $refused -gt 0 ] || { say "the bytes never changed at the right time"; return 1; }
}
# One landing while the source changes: 0 landed and is what it says, 3 refused and left the old one, 1 anything else.
landing_of_changing_source() {
	local out
	rm -rf r && cp -a base r || return 1
	if out=$("$driver" land "$PWD/r" b 2>&1); then
		cmp -s r/bin/km good/bin/km && whole "$PWD/r" && return 0
		say "what became current is not what its manifest says"
		return 1
	fi
	is "$out" "DigestMismatch: " && same "$(readlink r/current)" sets/1.0 && gone r/sets/2.0 && whole "$PWD/r" &&
		partials r && return 3
	return 1
}
changing() {
	"$racer" "$@" >raced 2>&1 & race=$!
	children+=("$race")
	until_true 30 grep -q racing raced && until_both landing_of_changing_source || return 1
	race_end
	rm -rf r && cp -a base r && "$driver" land "$PWD/r" b >/dev/null && cmp r/bin/km good/bin/km && whole "$PWD/r"
}

# After the manifest was made, while km is copied: a byte of it is another and itself again; another file has its name,
# and it again.
case_05_source_changes_while_it_is_copied() {
	plain_bundle first 1.0 && mkdir -p t/bin && cp "$payload" t/bin/km && printf two >>t/bin/km &&
		"$pack" --version 2.0 --output good t >/dev/null &&
		cp -a good b && "$driver" land "$PWD/base" first >/dev/null && cp good/bin/km evil && flip evil 5000 || return 1
	changing flip "$PWD/b/bin/km" 5000 && changing exchange "$PWD/b/bin/km" "$PWD/evil"
}

# What was written is read back: a byte that changes on its way to the disk is seen too. A stand-in for such a disk: a
# byte of what was written is changed as soon as it is there, while strace holds the reader back.
case_05_written_bytes_are_read_back() {
	needs strace || return
	plain_bundle first 1.0 && plain_bundle b 2.0 other && "$driver" land "$PWD/r" first >/dev/null || return 1
	strace -f -qq -o trace -e trace=prctl -e inject=prctl:delay_enter=3000000:when=1 "$driver" land "$PWD/r" b \
		>said 2>&1 & children+=($!)
	until_true 60 [ -s r/.partial-lib/data ] && flip r/.partial-lib/data 1
	wait $!
	is "$(cat said)" "DigestMismatch: lib: data is not what its list says" && gone r/sets/2.0 && whole "$PWD/r" &&
		same "$(readlink r/current)" sets/1.0 && partials r &&
		"$driver" land "$PWD/r" b >/dev/null && whole "$PWD/r"
}

# strike_all WAY ERRNO REASON STEP FLAG: each STEP-th call of an upgrade that can have it (FLAG, as kt-crash-at writes
# it) is struck once, in the process itself and in those that read back what it wrote. (tests/crash strikes all of them,
# and asks for no reason.) Few are not reached, where two processes wait for each other.
strike_all() {
	local way=$1 error=$2 reason=$3 step=$4 flag=$5 name status count=0 missed=0 wrong=0 n=0 how=()
	[ -z "$error" ] || how=("$error")
	while read -r name; do
		[ $((n++ % step)) = 0 ] || continue
		rm -rf r && cp -a base r || return 1
		"$striker" -r "$PWD/r" "$way" "$name" "${how[@]}" "$driver" land "$PWD/r" b >said 2>struck
		status=$?
		[ $status != 98 ] || { missed=$((missed + 1)); continue; }
		count=$((count + 1))
		echo "$way $error $(cut -d' ' -f2 <<<"$name") $status" >>strikes
		[ $status -le 1 ] || { say "$way $error at $name: status $status: $(tail -1 said) $(tail -1 struck)"; return 1; }
		struck_rightly $status "$reason" || { say "$way $error at $name: $(tail -1 said)"; wrong=1; }
	done < <(sed -n "s/^[a-z]*${flag}[a-z]* //p" calls)
	say "$way ${error:-half}: $count calls, $missed not reached"
	[ $count -gt 4 ] && [ $missed -le $((count / 20 + 1)) ] && return $wrong
}
# Status 1: the reason says which; 0: the new version is there. Either way the next run ends well. (That nothing is half
# in between is what tests/crash looks at.)
struck_rightly() {
	if [ "$1" = 0 ]; then
		same "$(readlink r/current)" sets/2.0 || return 1
	else
		[ "$1" = 1 ] && [ -n "$2" ] && grep -qE "^($2)" said && [[ $(readlink r/current) == sets/[12].0 ]] || return 1
	fi
	"$driver" land "$PWD/r" b >/dev/null && partials r && same "$(readlink r/current)" sets/2.0
}

# EIO, ENOSPC, EDQUOT, EINTR and a short write at the calls of an upgrade. Not every machine has quotas, and no call is
# interrupted or cut short when one likes, so kt-crash-at stands in for the kernel: the call does not happen, and
# answers with the error. A disk that is full for real and one that fails for real are below.
case_10_errors_of_single_calls() {
	local ok=0
	plain_bundle first 1.0 && plain_bundle b 2.0 other && "$driver" land "$PWD/base" first >/dev/null && cp -a base r &&
		"$striker" -r "$PWD/r" -o calls record "$driver" land "$PWD/r" b >said || return 1
	strike_all fail 5 'IoError: |BundleUnreadable: |StoreDamaged: .*: Input/output error$' 1 e || ok=1
	strike_all fail 28 'DiskFull: ' 2 s || ok=1
	strike_all fail 122 'DiskFull: ' 2 s || ok=1
	strike_all fail 4 'IoError: |BundleUnreadable: ' 3 i || ok=1
	strike_all short '' '' 1 w || ok=1
	# a late write-back error is one that syncfs tells
	grep -q '^fail 5 syncfs 1$' strikes && grep -q '^fail 5 fsync 1$' strikes &&
		! grep -E '^fail (5|28|122) (syncfs|fsync) 0$' strikes && return $ok
}

# The bundle's disk fails, and not the store's: a loop device whose file got shorter. The old version serves, and no
# disk of the node is to blame.
case_10_bundle_on_a_disk_that_fails() {
	command -v mkfs.ext4 >/dev/null || { skip "no mkfs.ext4 here"; return; }
	plain_bundle first 1.0 && mkdir -p t/bin t/lib disk && cp "$payload" t/bin/km &&
		head -c 24000000 /dev/urandom >t/lib/large && "$pack" --version 2.0 --output b t >/dev/null &&
		truncate -s 64M image && mkfs.ext4 -q -F -O ^has_journal image || return 1
	mounted -o loop image "$PWD/disk" || { skip "no loop device here"; return; }
	cp -a b disk/ && umount disk && mount -o loop,ro image "$PWD/disk" &&
		"$driver" land "$PWD/r" first >/dev/null || return 1
	stat disk/b disk/b/lib/large disk/b/bin/km >/dev/null &&
		cat disk/b/*.json disk/b/*.files disk/b/bin/km >/dev/null && truncate -s 20M image || return 1
	is "$("$driver" land "$PWD/r" disk/b 2>&1)" \
		"BundleUnreadable: cannot read lib/large of the bundle: Input/output error" &&
		same "$(readlink r/current)" sets/1.0 && partials r && whole "$PWD/r"
}

# fill_bytes ROOT, fill_inodes ROOT: takes what is left of them there
fill_bytes() { dd if=/dev/zero of="$1/filler" bs=64k status=none 2>/dev/null; true; }
fill_inodes() {
	local n=0
	while true >"$1/filler.$n"; do n=$((n + 1)); done 2>/dev/null
}

# A disk that had room enough when it was asked, and is full half-way: filled by another while strace slows the landing.
case_10_disk_fills_up_half_way() {
	local what options
	needs strace || return
	plain_bundle first 1.0 && mkdir -p t/bin t/lib && cp "$payload" t/bin/km && head -c 900000 /dev/zero >t/lib/zz &&
		touch t/lib/{1..50} && "$pack" --version 2.0 --output b t >/dev/null || return 1
	while read -r what options; do
		mkdir "$what" && mounted -t tmpfs -o "mode=755,$options" kt-attack "$PWD/$what" &&
			"$driver" land "$PWD/$what/r" first >/dev/null || return 1
		strace -f -qq -o trace -e trace=openat2 -e inject=openat2:delay_enter=50000:when=30+ "$driver" land "$PWD/$what/r" b \
			>said 2>&1 & children+=($!)
		until_true 60 [ -d "$what/r/.partial-lib" ] && "fill_$what" "$what"
		wait $! && { say "$what: it landed before the disk was full"; return 1; }
		is "$(cat said)" "DiskFull: cannot " && partials "$what/r" && gone "$what/r/sets/2.0" &&
			same "$(readlink "$what/r/current")" sets/1.0 && whole "$PWD/$what/r" || return 1
		# full from the start: said with figures, before anything is written
		is "$("$driver" land "$PWD/$what/r" b)" "short" && rm "$what"/filler* &&
			"$driver" land "$PWD/$what/r" b >/dev/null &&
			whole "$PWD/$what/r" && same "$(readlink "$what/r/current")" sets/2.0 || return 1
	done <<-'ROWS'
		bytes size=6m
		inodes size=20m,nr_inodes=200
	ROWS
}

# A real late write-back error: the disk is an image in a memory that is too small for it, so what was written is
# promised, and lost when it is to be kept.
case_10_write_back_fails_late() {
	local out
	needs mkfs.ext4 || return
	plain_bundle first 1.0 && mkdir -p t/bin t/lib small disk && cp "$payload" t/bin/km &&
		head -c 24000000 /dev/urandom >t/lib/large && "$pack" --version 2.0 --output b t >/dev/null &&
		mounted -t tmpfs -o mode=755,size=16m kt-attack "$PWD/small" && truncate -s 96M small/image &&
		mkfs.ext4 -q -F -J size=4 -N 512 -E lazy_itable_init=0,lazy_journal_init=0,nodiscard small/image || return 1
	mounted -o loop,errors=continue small/image "$PWD/disk" || { skip "no loop device here"; return; }
	"$driver" land "$PWD/disk/r" first >/dev/null && sync -f disk || return 1
	out=$("$driver" land "$PWD/disk/r" b 2>&1) && { say "it said that it landed on a disk that kept nothing"; return 1; }
	# which of them depends on what the file system wrote when: its journal that cannot be kept makes it read-only
	[[ $out =~ ^(IoError|DiskFull|StoreReadOnly):\ cannot\  ]] || { say "it said: $out"; return 1; }
	same "$(readlink disk/r/current)" sets/1.0 || return 1
	# the disk is made good, and looked over, as anybody would
	mount -o remount,size=200m small && umount disk && { fsck.ext4 -f -y small/image >/dev/null 2>&1; [ $? -lt 4 ]; } &&
		mount -o loop small/image disk || return 1
	same "$(readlink disk/r/current)" sets/1.0 && whole "$PWD/disk/r" && "$driver" land "$PWD/disk/r" b >/dev/null &&
		whole "$PWD/disk/r" && same "$(readlink disk/r/current)" sets/2.0
}

# searched_bundle: into b, with libraries where loaders look
searched_bundle() {
	"$top/tests/monitor/bundle" --variant good --tree-only t && mkdir -p t/lib/deep && echo one >t/lib/libone.so &&
		echo two >t/lib/deep/libtwo.so && ln -s deep/libtwo.so t/lib/libtwo.so &&
		"$pack" --version 1.0 --output b t >/dev/null
}
run_with() {
	"$program" run --once -q --config "$(settings)" --root "$PWD/r" --bundle "$1" \
		--state "$PWD/run/state.json" >out 2>err \
		</dev/null
}
# Nothing of theirs is left, nor anything that is another's.
is_mended() {
	local found
	found=$(find r -name '*evil*' -o ! -uid 0)
	[ -z "$found" ] || { say "it is still there: $found"; return 1; }
	serves 1.0 && jq -e '.node.ready' run/state.json >/dev/null
}

# Seen at a look and by a verification, told by name, and mended by the agent that has the bundle: beside a library that
# was landed, in a folder of it, where the set has no component, and with a file, folder or link given to another.
case_37_added_files_and_other_owners() {
	local how words ok=0 count=0
	needs_kvm || return
	searched_bundle && "$program" install -q --config "$(settings)" --root "$PWD/base" --bundle "$PWD/b" >out 2>err ||
		{ say "$(cat out err)"; return 1; }
	while IFS='|' read -r how words; do
		count=$((count + 1))
		rm -rf r run/state.json && cp -a base r && (cd r && eval "$how") || return 1
		"$program" status --config "$(settings)" --root "$PWD/r" >out 2>err
		is "$(head -1 out)" "NOT READY" && is "$(cat out)" "$words" && does 1 "$words" verify --root "$PWD/r" &&
			run_with "$PWD/b" && is_mended || { say "after: $how"; ok=1; }
	done <<-'ROWS'
		echo x >lib/libevil.so|libevil.so is there and was not landed
		echo x >lib/deep/libevil.so|deep/libevil.so is there and was not landed
		ln -s /etc/passwd lib/libevil.so|libevil.so is there and was not landed
		mkdir lib/evil; echo x >lib/evil/libc.so|evil is there and was not landed
		cp bin/km bin/evil|bin/evil is there and was not landed
		mkdir current/runtime; echo x >current/runtime/libevil.so|runtime is there and was not landed
		ln -s /tmp current/alpine-lib|alpine-lib is there and was not landed
		chown 1000 bin/km|bin/km belongs to user 1000, expected root
		chown 1000 lib/deep/libtwo.so|deep/libtwo.so belongs to user 1000, expected root
		chown 1000 lib/deep|deep belongs to user 1000, expected root
		chown 1000 lib/.|belongs to user 1000, expected root
		chown 1000 versions/lib|versions/lib belongs to user 1000, expected root
		chown 1000 sets/1.0|sets/1.0 belongs to user 1000, expected root
		chown 1000 lib/libone.so; touch lib/libone.so|libone.so belongs to user 1000, expected root
	ROWS
	say "$count changes"
	return $ok
}

# While the agent runs, and nobody asks it.
case_37_the_agent_mends_it() {
	local agent
	needs_kvm || return
	searched_bundle && "$program" install -q --config "$(settings)" --root "$PWD/r" --bundle "$PWD/b" >out 2>err ||
		{ say "$(cat out err)"; return 1; }
	"$program" run --config "$(settings)" --root "$PWD/r" --bundle "$PWD/b" --state "$PWD/run/state.json" >log 2>&1 \
		</dev/null &
	agent=$!
	children+=("$agent")
	until_true 60 grep -qs '"ready": *true' run/state.json || { cat log; return 1; }
	echo x >r/lib/libevil.so && chown 1000 r/bin/km || return 1
	until_true 60 gone r/lib/libevil.so >/dev/null && until_true 60 test -O r/bin/km || { cat log; return 1; }
	until_true 60 jq -e '.store | .mismatches > 0 and
		(.lastMismatch | test("libevil.so is there and was not landed|bin/km belongs to user 1000"))' \
		run/state.json >/dev/null ||
		{ say "it was not told: $(jq -c .store run/state.json)"; return 1; }
	until_true 60 is_mended >/dev/null || { is_mended; cat log; return 1; }
	kill -TERM $agent && wait $agent
	is_mended
}
