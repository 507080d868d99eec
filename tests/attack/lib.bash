# shellcheck shell=bash
# What the rows share beside tests/lib.bash. Sourced by run.
# shellcheck disable=SC2154 # what `begin` sets

racer=$build/tests/attack/kt-attack-racer
spy=$build/tests/attack/kt-attack-spy
witness=$build/tests/attack/kt-attack-witness.so
require_built "$program" "$pack" "$daemon" "$driver" "$payload" "$striker" "$racer" "$spy" "$witness"
! has_sanitizer "$program" ||
	nothing "$program has a sanitizer: it needs room without bound, and can be loaded with nothing else"

# shellcheck source=../store/store.bash
. "$top/tests/store/store.bash"

# until_true SECONDS COMMAND...: waits for it
until_true() { within "$@" || { say "never came: ${*:2}"; return 1; }; }
# All of a tree that a change would show.
print_of() { listing_of "$1"; }
# As print_of, but for what the store remembers of a bundle that failed, and the folders that wait for components.
store_of() { print_of "$1" | grep -vE '/\.failed-|^\./versions/[a-z-]+ d |^\.(/versions)? d '; }

# The config that every installation here uses: this KVM may emulate, and the machine may be busy.
settings() {
	[ -e "$work/config.yaml" ] ||
		printf '%s\n' 'proof:' '  allowEmulated: true' '  timeoutSeconds: 60' '  intervalSeconds: 5' >"$work/config.yaml"
	echo "$work/config.yaml"
}
# packed VARIANT VERSION: a bundle of the tests' monitor, made once; its folder is printed
packed() { monitor_bundle "$@"; }
# installs STATUS WORDS BUNDLE [OPTION...]: into r
installs() {
	local want=$1 words=$2
	shift 2
	does "$want" "$words" install --config "$(settings)" --root "$PWD/r" --bundle "$@"
}
# serves VERSION: it is current, whole to the last byte, and proven through the live links
serves() {
	same "$(readlink r/current)" "sets/$1" && does 0 "verification passed" verify --root "$PWD/r" &&
		does 0 READY status --config "$(settings)" --root "$PWD/r"
}
# pack_refuses WORDS INPUT: exit 1, one line with the words, no output and nothing beside it
pack_refuses() {
	local status
	"$pack" --version 1.0 --output "$PWD/packed" "$2" >said 2>why </dev/null
	status=$?
	[ $status = 1 ] || { say "$2: exit $status: $(cat said why)"; return 1; }
	grep -qF -- "$1" why || { say "$2: no word of '$1': $(cat why)"; return 1; }
	[ "$(wc -l <why)" = 1 ] && gone packed && [ -z "$(find . -maxdepth 1 -name '.packed*')" ] ||
		{ say "$2 left behind: $(ls -A)"; return 1; }
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
	found=$(find "$work" -xdev -name 'escaped*'; ls -d /escaped /tmp/escaped /etc/escaped /etc/cron.d/escaped \
		/opt/escaped 2>/dev/null)
	[ -z "$found" ] || { say "it got out: $found"; return 1; }
}
