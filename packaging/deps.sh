#!/bin/sh
# Installs what a make target lacks. Arguments are COMMAND or COMMAND:PACKAGE: where
# the command is not found, the Debian package (by default of the same name) is
# installed with apt-get.
#
# Never name a mail server here: Debian's conflict with one another, and installing
# one would remove the user's own. The lab unpacks its own copies instead.
set -eu

missing=
for want in "$@"; do
	command -v "${want%%:*}" >/dev/null 2>&1 || missing="$missing ${want##*:}"
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
