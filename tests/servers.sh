#!/bin/sh
# The programs that the tests start themselves, from the distribution and never as a service. Needs root where one is missing.
set -eu
missing=
command -v redis-server >/dev/null || missing="$missing redis-server"
command -v haproxy >/dev/null || [ -x /usr/sbin/haproxy ] || missing="$missing haproxy"
command -v openssl >/dev/null || missing="$missing openssl"
[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
    echo "install$missing by hand: the tests start them, and fail without" >&2
    exit 0
fi
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends -qq $missing >/dev/null
