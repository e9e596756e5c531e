#!/bin/sh
# Installs Suricata 7 from the backports of Debian 12 where the machine has none. Lists of
# packages are fetched into a folder of their own: the machine's sources stay as they are.
set -eu

if command -v suricata >/dev/null 2>&1; then
	exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
	echo "Suricata is not installed, and only root on Debian can install it here: install Suricata 7 yourself" >&2
	exit 1
fi

# Where this machine has Debian from, which has the backports too. apt knows whose an
# archive is only after an update.
archive() {
	apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Codename: bookworm' | head -n 1
}
site=$(archive)
if [ -z "$site" ]; then
	apt-get -qq update >&2
	site=$(archive)
fi
if [ -z "$site" ]; then
	echo "apt's sources name no archive of Debian 12: install Suricata 7 yourself" >&2
	exit 1
fi

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
chmod 755 "$dir" # apt fetches as a user of its own
mkdir -p "$dir/lists/partial" "$dir/archives/partial"
printf 'deb %s %s main\n' "$site" bookworm "$site" bookworm-backports >"$dir/sources.list"

private() {
	apt-get -qq -o Dir::Etc::SourceList="$dir/sources.list" -o Dir::Etc::SourceParts=- \
		-o Dir::State::Lists="$dir/lists" -o Dir::Cache="$dir" "$@" >&2
}
echo "installing suricata from bookworm-backports" >&2
export DEBIAN_FRONTEND=noninteractive
private update
private install -y --no-install-recommends -t bookworm-backports suricata
