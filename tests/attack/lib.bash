# What the rows share. Sourced by run, which sets here, top and work.

program=$KONTAIN_BUILD/installer/kontain-installer
pack=$KONTAIN_BUILD/installer/pack/kontain-pack
daemon=$KONTAIN_BUILD/daemon/kontaind
driver=$KONTAIN_BUILD/tests/store/kt-store-driver
payload=$KONTAIN_BUILD/tests/store/kt-store-payload
striker=$KONTAIN_BUILD/tests/crash/kt-crash-at
racer=$KONTAIN_BUILD/tests/attack/kt-attack-racer
spy=$KONTAIN_BUILD/tests/attack/kt-attack-spy
witness=$KONTAIN_BUILD/tests/attack/kt-attack-witness.so
mounts=() children=()

for need in "$program" "$pack" "$daemon" "$driver" "$payload" "$striker" "$racer" "$spy" "$witness"; do
	[ -e "$need" ] || { echo "FAIL  attack: build $KONTAIN_BUILD first: no $need"; echo "attack: 0 passed, 1 failed, 0 skipped"; exit 1; }
done
! grep -qa __asan_init "$program" || nothing "$program has a sanitizer: it needs room without bound, and can be loaded with nothing else"

. "$top/tests/store/store.bash"

end_children() {
	local one
	for one in "${children[@]}"; do kill -9 "$one" && wait "$one"; done 2>/dev/null
	children=()
}
undo_mounts() {
	local i
	for ((i = ${#mounts[@]} - 1; i >= 0; i--)); do umount -l "${mounts[i]}" 2>/dev/null; done
	mounts=()
}
finish() {
	end_children
	undo_mounts
	umount -l "$work"
	rmdir "$work"
}

skip() { skip_reason=$*; return 77; }
needs_kvm() { [ -c /dev/kvm ] || skip "no /dev/kvm here"; }
# until_true SECONDS COMMAND...: waits for it; the machine may be busy, so the seconds are many
until_true() {
	local deadline=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $deadline ] || { say "never came: $*"; return 1; }
		sleep 0.05
	done
}
# All of a tree that a change would show.
print_of() { (cd "$1" 2>/dev/null && find . -not -name .lock -printf '%p %y %m %U:%G %i %s %l\n' | sort); }
# As print_of, but for what the store remembers of a bundle that failed, and the folders that wait for components.
store_of() { print_of "$1" | grep -vE '/\.failed-|^\./versions/[a-z-]+ d |^\.(/versions)? d '; }

# The config that every installation here uses: this KVM may emulate, and the machine may be busy.
settings() {
	[ -e "$work/config.yaml" ] ||
		printf '%s\n' 'proof:' '  allowEmulated: true' '  timeoutSeconds: 60' '  intervalSeconds: 5' >"$work/config.yaml"
	echo "$work/config.yaml"
}
# packed VARIANT VERSION: a bundle of the tests' monitor, made once; its folder is printed
packed() {
	local out=$work/bundles/$1-$2
	mkdir -p "$work/bundles"
	[ -d "$out" ] || "$top/tests/monitor/bundle" --variant "$1" --version "$2" "$out" >"$work/bundle.log" 2>&1 || { cat "$work/bundle.log" >&2; return 1; }
	echo "$out"
}
# does STATUS WORDS ARGUMENT...: runs kontain-installer; "out" and "err" hold what it said
does() {
	local want=$1 words=$2 status
	shift 2
	"$program" "$@" >out 2>err </dev/null
	status=$?
	[ $status = "$want" ] || { say "$*: exit $status, not $want: $(cat out err)"; return 1; }
	[ -z "$words" ] || grep -qF -- "$words" out err || { say "$*: no word of '$words': $(cat out err)"; return 1; }
}
# installs STATUS WORDS BUNDLE [OPTION...]: into r
installs() {
	local want=$1 words=$2
	shift 2
	does "$want" "$words" install --config "$(settings)" --root "$PWD/r" --bundle "$@"
}
# serves VERSION: it is current, whole to the last byte, and proven through the live links
serves() {
	same "$(readlink r/current)" "sets/$1" && does 0 "verification passed" verify --root "$PWD/r" && does 0 READY status --config "$(settings)" --root "$PWD/r"
}
# pack_refuses WORDS INPUT: exit 1, one line with the words, no output and nothing beside it
pack_refuses() {
	local status
	"$pack" --version 1.0 --output "$PWD/packed" "$2" >said 2>why </dev/null
	status=$?
	[ $status = 1 ] || { say "$2: exit $status: $(cat said why)"; return 1; }
	grep -qF -- "$1" why || { say "$2: no word of '$1': $(cat why)"; return 1; }
	[ "$(wc -l <why)" = 1 ] && gone packed && [ -z "$(find . -maxdepth 1 -name '.packed*')" ] || { say "$2 left behind: $(ls -A)"; return 1; }
}
# bounded COMMAND...: in 400 MiB of memory and two minutes, or it ends as a crash and not as a refusal
bounded() { prlimit --as=$((400 << 20)) --core=0 timeout 120 "$@"; }
# unchanged TREE BEFORE: what store_of said of it before
unchanged() {
	[ "$(store_of "$1")" = "$2" ] || { say "$1 changed: $(diff <(echo "$2") <(store_of "$1") | head -4)"; return 1; }
}
# Every name that the attacks would write to outside.
no_escape() {
	local found
	found=$(find "$work" -xdev -name 'escaped*'; ls -d /escaped /tmp/escaped /etc/escaped /etc/cron.d/escaped /opt/escaped 2>/dev/null)
	[ -z "$found" ] || { say "it got out: $found"; return 1; }
}
