#!/bin/sh
# Installs with apt-get those of the named Debian packages whose command is not there.
#
# Never name a mail server here: Debian's conflict with one another, and installing
# one would remove the user's own. The lab unpacks its own copies instead.
set -eu

# command_of prints the command that a package is wanted for.
command_of() {
	case $1 in
	iproute2) echo ip ;;
	nftables) echo nft ;;
	*) echo "$1" ;;
	esac
}

missing=
for package in "$@"; do
	command -v "$(command_of "$package")" >/dev/null 2>&1 || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
	echo "missing:$missing (Debian's names): install them with this system's package manager" >&2
	exit 1
fi
if [ "$(id -u)" != 0 ]; then
	echo "missing:$missing: run as root, or: sudo apt-get install$missing" >&2
	exit 1
fi
echo "installing$missing" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update >&2
# shellcheck disable=SC2086 # a list of words
apt-get -qq install -y --no-install-recommends $missing >&2
