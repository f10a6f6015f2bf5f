#!/usr/bin/env bash
# Compiles the Pulumi CLI, its Python language host and the provider plugins, once, into a cache
# outside the repository; prints the folder. README.md says why, and how to change versions.
# With --cached it compiles nothing, and fails when that hasn't been done yet.
set -euo pipefail
cd "$(dirname "$0")"

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }

sources() { find . -type f \( -name '*.go' -o -name 'go.*' -o -name build.sh \) ! -name '*_test.go' | LC_ALL=C sort; }
key=$(sources | xargs sha256sum | sha256sum | cut -c1-16)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/registry
folder=$cache/toolchain-$key
pinned() { sed -n "s|^.*$1 v\([^ ]*\).*|\1|p" "$2" | head -n 1; }

if [ -e "$folder/complete" ]; then
	echo "$folder"
	exit
fi

[ "${1:-}" != --cached ] || exit 1

command -v go >/dev/null ||
	fail "Pulumi must be compiled here, which takes Go $(sed -n 's/^go //p' cli/go.mod) or later: go.dev/doc/install"

mkdir -p "$cache"
exec 9>"$cache/toolchain.lock"
flock 9 # Whoever was waiting finds the work done.
if [ -e "$folder/complete" ]; then
	echo "$folder"
	exit
fi
work=$(mktemp -d "$cache/toolchain-XXXXXX")
trap 'kill $(jobs -p) 2>/dev/null || :; rm -rf "$work"' EXIT
mkdir -p "$work/bin" "$work/plugins"

# go.sum is the check; the public checksum database doesn't have all of these versions.
export CGO_ENABLED=0 GOWORK=off GOFLAGS=-mod=readonly GONOSUMDB='github.com/pulumi/*'

# compile NAME MODULE OUTPUT PACKAGE [FLAG…]: with a line every 30 s, since some take minutes.
# Each program is kept by what it is made of: a change recompiles what it concerns alone.
compile() {
	local name=$1 module=$2 output=$3 package=$4 start=$SECONDS log=$work/log-$1 part
	shift 4
	part=$cache/program-$( (
		echo "$package $*"
		cd "$module"
		case $package in
		./*) sources | xargs cat ;;
		*) cat go.mod go.sum ;;
		esac
	) | sha256sum | cut -c1-16)
	if [ -e "$part" ]; then
		ln "$part" "$output"
		return
	fi
	(cd "$module" && exec go build -v -trimpath -buildvcs=false "$@" -o "$output" "$package") 2>"$log" &
	local build=$!
	while kill -0 "$build" 2>/dev/null; do
		if (((SECONDS - start) % 30 == 29)); then
			say "  $name: $(grep -c '^go: downloading' "$log") modules downloaded," \
				"$(grep -vc '^go: ' "$log") packages compiled, $((SECONDS - start + 1)) s"
		fi
		sleep 1
	done
	wait "$build" || fail "compiling $name failed:
$(tail -n 20 "$log")"
	ln -f "$output" "$part"
	say "  $name: done after $((SECONDS - start)) s"
}

version=$(pinned github.com/pulumi/pulumi/pkg/v3 cli/go.mod)
stamp="-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v$version"
say "compiling Pulumi $version, its Python host and two plugins, once: about 12 minutes on 2 cores"
# Side by side: downloads and links leave a core idle.
{
	# no_compose leaves out Docker Compose, a large part of the provider that no resource here uses.
	compile "docker plugin" plugins "$work/plugins/pulumi-resource-docker" ./docker \
		-tags no_compose -ldflags '-s -w'
	compile "random plugin" plugins "$work/plugins/pulumi-resource-random" ./random -ldflags '-s -w'
} &
plugins=$!
compile pulumi cli "$work/bin/pulumi" github.com/pulumi/pulumi/pkg/v3/cmd/pulumi -ldflags "$stamp"
compile "python host" cli "$work/bin/pulumi-language-python" ./language -ldflags '-s -w'
wait "$plugins" || exit 1

# Scripts of Pulumi's SDK that its language host starts.
sdk=$(cd cli && go list -m -f '{{.Dir}}' github.com/pulumi/pulumi/sdk/v3)
install -m 755 "$sdk/python/cmd/pulumi-language-python-exec" \
	"$sdk/python/dist/pulumi-resource-pulumi-python" "$work/bin/"

for plugin in docker random; do
	version=$(sed -n 's/^const version = "\(.*\)"$/\1/p' "plugins/$plugin/main.go")
	PULUMI_HOME=$work/home PULUMI_SKIP_UPDATE_CHECK=1 PULUMI_CREDENTIALS_PATH=$work/home \
		"$work/bin/pulumi" plugin install resource "$plugin" "$version" \
		--file "$work/plugins/pulumi-resource-$plugin" >"$work/log" 2>&1 ||
		fail "installing the $plugin plugin failed: $(tail -n 5 "$work/log")"
done
rm -rf "$work/plugins" "$work"/log*
touch "$work/complete"
chmod 755 "$work"
mv "$work" "$folder"
trap - EXIT
echo "$folder"
