#!/bin/sh
# Prints the path of the schema of Suricata's events, which it gets from Debian's source of
# Suricata 8 where build/suricata lacks it; KEEPWORD_EVE_SCHEMA names another. Needs no root:
# what apt keeps is in a folder of its own, and it checks the archive's signatures.
set -eu

if [ -n "${KEEPWORD_EVE_SCHEMA:-}" ]; then
	echo "$KEEPWORD_EVE_SCHEMA"
	exit 0
fi
schema=$(cd "$(dirname "$0")/.." && pwd)/build/suricata/schema.json
if [ -s "$schema" ]; then
	echo "$schema"
	exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
	echo "set KEEPWORD_EVE_SCHEMA to etc/schema.json of Suricata 8: only with apt-get it is fetched" >&2
	exit 1
fi

# Where this machine has Debian from. apt knows whose an archive is only after an update.
site=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Codename: bookworm' | head -n 1)
: "${site:=http://deb.debian.org/debian}"

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p "$dir/lists/partial" "$dir/archives/partial"
echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site forky main" >"$dir/sources.list"
private() {
	apt-get -qq -o Dir::Etc::SourceList="$dir/sources.list" -o Dir::Etc::SourceParts=- \
		-o Dir::State::Lists="$dir/lists" -o Dir::Cache="$dir" -o APT::Sandbox::User= "$@" >&2
}
echo "fetching the schema of Suricata's events" >&2
private update
(cd "$dir" && private source --download-only --tar-only suricata)
mkdir -p "$(dirname "$schema")"
tar -xzOf "$dir"/suricata_8*.orig.tar.gz --wildcards "*/etc/schema.json" >"$schema.part"
mv "$schema.part" "$schema" # whole or not at all
echo "$schema"
