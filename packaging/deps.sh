#!/bin/sh
# Installs with apt-get those of the named Debian packages that are not there: neither
# the command that a package is wanted for, nor, where it is a library, the package.
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

# there says whether package $1 need not be installed.
there() {
	command -v "$(command_of "$1")" >/dev/null 2>&1 ||
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=
for package in "$@"; do
	there "$package" || missing="$missing $package"
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
